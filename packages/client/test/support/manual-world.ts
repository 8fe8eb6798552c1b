/** A world that stands still: time passes and turns end only when a test says so. Nothing here is random or real. */
import type { Clock, Environment, RandomSource, Scheduler } from "@flotilla/base";
import { nodeByteOperations, silentLogger } from "@flotilla/platform";

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly callback: () => void;
  cancelled: boolean;
}

/** Everything that waits for promises runs before this resolves. */
const microtasks = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class ManualWorld {
  nowMs = 1_000;
  wallOffsetMs = 1_790_000_000_000;
  readonly environment: Environment;
  #events: Event[] = [];
  #turnEnd: (() => void)[] = [];
  #order = 0;

  constructor(seed = 1) {
    const clock: Clock = { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs + this.wallOffsetMs };
    const scheduler: Scheduler = {
      after: (delayMs, callback) => this.after(delayMs, callback),
      endOfTurn: (callback) => void this.#turnEnd.push(callback),
    };
    this.environment = {
      clock,
      scheduler,
      random: seededRandom(seed),
      bytes: nodeByteOperations,
      logger: silentLogger,
    };
  }

  after(delayMs: number, callback: () => void): { cancel(): void } {
    const event: Event = { atMs: this.nowMs + delayMs, order: this.#order++, callback, cancelled: false };
    this.#events.push(event);
    return { cancel: () => void (event.cancelled = true) };
  }

  get idle(): boolean {
    return this.#turnEnd.length === 0 && this.#events.every((event) => event.cancelled);
  }

  /** Ends the turn: promises, then what was asked for at its end, until nothing is left to do without time passing. */
  async settle(): Promise<void> {
    await microtasks();
    for (let turns = 0; this.#turnEnd.length > 0; turns++) {
      if (turns > 10_000) throw new Error("turns do not end");
      const callbacks = this.#turnEnd;
      this.#turnEnd = [];
      for (const callback of callbacks) callback();
      await microtasks();
    }
  }

  async #step(): Promise<boolean> {
    this.#events = this.#events.filter((event) => !event.cancelled);
    let next: Event | undefined;
    for (const event of this.#events) {
      if (next === undefined || event.atMs < next.atMs || (event.atMs === next.atMs && event.order < next.order))
        next = event;
    }
    if (next === undefined) return false;
    next.cancelled = true;
    this.nowMs = Math.max(this.nowMs, next.atMs);
    next.callback();
    await this.settle();
    return true;
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    await this.settle();
    for (;;) {
      const due = this.#events.some((event) => !event.cancelled && event.atMs <= untilMs);
      if (!due) break;
      await this.#step();
    }
    this.nowMs = untilMs;
    await this.settle();
  }

  /** Lets as much time pass as the promise needs; fails when nothing is left that could settle it. */
  async until<T>(promise: Promise<T>, withinMs = 600_000): Promise<T> {
    let settled = false;
    const mark = (): void => void (settled = true);
    promise.then(mark, mark);
    const untilMs = this.nowMs + withinMs;
    await this.settle();
    while (!settled) {
      if (this.nowMs > untilMs) throw new Error(`not settled within ${withinMs} ms`);
      if (!(await this.#step()) && !settled)
        throw new Error("nothing is left to happen, and the promise is not settled");
    }
    return promise;
  }
}

/** xorshift32; good enough to spread things, the same in every run. */
export function seededRandom(seed: number): RandomSource {
  let state = (seed * 2654435761) >>> 0 || 1;
  const uint32 = (): number => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  return { uint32, bytes: (length) => Uint8Array.from({ length }, () => uint32() & 255) };
}
