/** A clock that a test moves: timers run in the order of their time when it passes them. */
import type { LoadClock } from "../../src/bench/load-loop.ts";

export class ManualClock implements LoadClock {
  #nowMs = 0;
  #timers: { readonly atMs: number; readonly callback: () => void }[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): void {
    this.#timers.push({ atMs: this.#nowMs + Math.max(0, delayMs), callback });
  }

  runUntil(endMs: number): void {
    for (;;) {
      this.#timers.sort((a, b) => a.atMs - b.atMs);
      const next = this.#timers[0];
      if (next === undefined || next.atMs > endMs) break;
      this.#timers.shift();
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
