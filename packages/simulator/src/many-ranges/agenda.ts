/** What is to happen, in virtual milliseconds; equal times in the order in which they were asked for. */
import { EventQueue } from "../time/event-queue.ts";

export class Agenda {
  /** A wall clock's. */
  nowMs = 1_000_000;
  readonly #queue: EventQueue = new EventQueue();
  #sequence = 0;

  after(ms: number, run: () => void): void {
    this.#queue.push({ atMicros: (this.nowMs + ms) * 1000, sequence: this.#sequence++, run });
  }

  /** Infinity: nothing is to come. */
  get nextMs(): number {
    const next = this.#queue.peek();
    return next === undefined ? Infinity : next.atMicros / 1000;
  }

  /** Lets everything happen that is due until then. */
  goTo(ms: number): void {
    while (this.nextMs <= ms) {
      const { atMicros, run } = this.#queue.pop()!;
      this.nowMs = atMicros / 1000;
      run?.();
    }
    this.nowMs = ms;
  }
}
