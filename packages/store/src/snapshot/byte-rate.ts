/** A token bucket, counted in time: so many bytes a second, after a rest a quarter of a second's worth at once. */
import type { Clock } from "@flotilla/base";

const burstMs = 250;

export class ByteRate {
  readonly #bytesPerMs: number;
  readonly #clock: Clock;
  /** Until when what was taken so far uses the rate up; at most `burstMs` behind the clock. */
  #busyUntilMs = -Infinity;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerMs = bytesPerSecond / 1000;
    this.#clock = clock;
  }

  /** How many milliseconds the caller waits before it sends these bytes. Whoever takes first goes first. */
  take(bytes: number): number {
    const nowMs = this.#clock.monotonicMs();
    const startMs = Math.max(this.#busyUntilMs, nowMs - burstMs);
    this.#busyUntilMs = startMs + bytes / this.#bytesPerMs;
    return Math.max(0, Math.ceil(this.#busyUntilMs - nowMs));
  }
}
