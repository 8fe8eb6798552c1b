/**
 * One virtual clock for everything in a test. Events run one at a time; what their promises do is followed up before the
 * next event begins, for Node empties its microtask queue between two immediates.
 */
import type { Clock, RandomSource, Scheduler } from "@flotilla/base";

interface WorldEvent {
  readonly atMs: number;
  readonly sequence: number;
  run: (() => void) | undefined;
}

/** 2026-01-01 UTC. */
const wallStartMs: number = Date.UTC(2026, 0, 1);
const immediatesPerBatch = 64;

export class VirtualWorld {
  #nowMs = 1000;
  #sequence = 0;
  readonly #heap: WorldEvent[] = [];
  readonly #draining: (() => void)[] = [];
  /** Those that are still to come. */
  #immediates = 0;
  readonly #drained = (): void => {
    this.#immediates--;
    this.#draining.shift()?.();
  };

  get nowMs(): number {
    return this.#nowMs;
  }

  at(atMs: number, run: () => void): { cancel(): void } {
    const event: WorldEvent = { atMs: Math.max(atMs, this.#nowMs), sequence: this.#sequence++, run };
    this.#push(event);
    return {
      cancel: () => {
        event.run = undefined;
      },
    };
  }

  async runFor(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.#drain();
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= untilMs) await this.#step();
    this.#nowMs = untilMs;
  }

  /** Runs events until the condition holds; throws when that takes longer than `limitMs` of virtual time. */
  async until(what: string, condition: () => boolean, limitMs = 30_000): Promise<void> {
    const untilMs = this.#nowMs + limitMs;
    await this.#drain();
    while (!condition()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > untilMs) throw new Error(`not within ${limitMs} ms: ${what}`);
      await this.#step();
    }
  }

  /** Runs events until the promise is settled. */
  async settled<T>(what: string, promise: Promise<T>, limitMs = 30_000): Promise<T> {
    const state = { done: false };
    const done = (): void => {
      state.done = true;
    };
    promise.then(done, done);
    await this.until(what, () => state.done, limitMs);
    return promise;
  }

  async #step(): Promise<void> {
    const event = this.#pop();
    this.#nowMs = Math.max(this.#nowMs, event.atMs);
    if (event.run === undefined) return;
    event.run();
    await this.#drain();
  }

  /** One immediate for each, taken from a batch: a turn of Node's event loop for every event takes as long as the event. */
  #drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#draining.push(resolve);
      if (this.#immediates >= this.#draining.length) return;
      this.#immediates += immediatesPerBatch;
      for (let i = 0; i < immediatesPerBatch; i++) setImmediate(this.#drained);
    });
  }

  #push(event: WorldEvent): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): WorldEvent {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
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

const before = (a: WorldEvent, b: WorldEvent): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);

/** A process of the world: what was meant for an earlier life of it never runs. */
export class VirtualProcess {
  readonly world: VirtualWorld;
  life = 0;
  alive = false;
  /** While paused, what would have run. */
  #held: (() => void)[] | undefined = undefined;
  /** How far its wall clock is ahead. */
  wallAheadMs = 0;
  readonly clock: Clock;
  readonly scheduler: Scheduler;

  constructor(world: VirtualWorld) {
    this.world = world;
    this.clock = { monotonicMs: () => world.nowMs, wallMs: () => wallStartMs + this.wallAheadMs + world.nowMs };
    this.scheduler = {
      after: (delayMs, callback) => this.deliver(Math.max(1, delayMs), callback),
      endOfTurn: (callback) => void this.deliver(0, callback),
    };
  }

  deliver(delayMs: number, run: () => void): { cancel(): void } {
    const { life } = this;
    return this.world.at(this.world.nowMs + delayMs, () => {
      if (!this.alive || this.life !== life) return;
      if (this.#held === undefined) run();
      else this.#held.push(run);
    });
  }

  /** As SIGSTOP does: nothing runs, the clocks go on. */
  pause(): void {
    this.#held ??= [];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const run of held) this.deliver(0, run);
  }

  start(): void {
    this.#held = undefined;
    this.life++;
    this.alive = true;
  }

  end(): void {
    this.alive = false;
  }
}

/** splitmix32: enough to draw timeouts and ids. */
export class SmallRandom implements RandomSource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  uint32(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state ^ (this.#state >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.uint32() & 255);
  }
}
