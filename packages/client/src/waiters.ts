/** Scans, lookups and admin calls that wait until something changed: a stream, a route, an answer, or time. */
export interface Waiter {
  readonly untilMs: number;
  readonly resolve: () => void;
}

export class Waiters {
  readonly #waiting = new Set<Waiter>();

  get size(): number {
    return this.#waiting.size;
  }

  /** Called back at the next change, or when `tick` is called at `untilMs` or later. Whoever waits looks again. */
  add(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  /** What this one waits for has come. */
  wakeOne(waiter: Waiter): void {
    if (this.#waiting.delete(waiter)) waiter.resolve();
  }

  wake(): void {
    for (const waiter of this.#waiting) this.wakeOne(waiter);
  }

  tick(nowMs: number): void {
    for (const waiter of this.#waiting) if (waiter.untilMs <= nowMs) this.wakeOne(waiter);
  }
}
