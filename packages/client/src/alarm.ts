/** One timer for the whole client: the earliest moment anybody asked for. */
import type { Clock, Scheduler, Timer } from "@flotilla/base";

export class Alarm {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #ring: () => void;
  #timer: Timer | undefined;
  #atMs = Infinity;

  constructor(clock: Clock, scheduler: Scheduler, ring: () => void) {
    this.#clock = clock;
    this.#scheduler = scheduler;
    this.#ring = ring;
  }

  /** Rings at `atMs` (monotonic) or before; once for all requests up to then. */
  at(atMs: number): void {
    if (atMs >= this.#atMs) return;
    this.#timer?.cancel();
    this.#atMs = atMs;
    this.#timer = this.#scheduler.after(Math.max(0, Math.ceil(atMs - this.#clock.monotonicMs())), () => {
      this.#timer = undefined;
      this.#atMs = Infinity;
      this.#ring();
    });
  }

  cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#atMs = Infinity;
  }
}
