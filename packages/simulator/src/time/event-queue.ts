/** What happens at one instant of virtual time. */
export interface VirtualEvent {
  readonly atMicros: number;
  /** Order of scheduling: breaks ties, so that equal instants run first come, first served. */
  readonly sequence: number;
  /** Undefined once cancelled; the event then leaves the queue silently when its time comes. */
  run: (() => void) | undefined;
}

/** A binary heap, earliest first, ties broken by sequence number. */
export class EventQueue {
  readonly #heap: VirtualEvent[] = [];

  get length(): number {
    return this.#heap.length;
  }

  peek(): VirtualEvent | undefined {
    return this.#heap[0];
  }

  push(event: VirtualEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): VirtualEvent | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function before(a: VirtualEvent, b: VirtualEvent): boolean {
  return a.atMicros < b.atMicros || (a.atMicros === b.atMicros && a.sequence < b.sequence);
}
