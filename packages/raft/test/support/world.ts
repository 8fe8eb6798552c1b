/** Clock and random numbers that a test moves by hand. */
import type { Clock, RandomSource } from "@flotilla/base";

export class TestClock implements Clock {
  monotonic = 1_000;
  wall = 1_700_000_000_000;

  monotonicMs(): number {
    return this.monotonic;
  }

  wallMs(): number {
    return this.wall;
  }

  advance(ms: number): void {
    this.monotonic += ms;
    this.wall += ms;
  }
}

/** Numerical Recipes' linear congruential generator, high bits: enough to spread timeouts, the same on every run. */
export class TestRandom implements RandomSource {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
    for (let i = 0; i < 3; i++) this.uint32();
  }

  uint32(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    const high = this.#state >>> 16;
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return ((high << 16) | (this.#state >>> 16)) >>> 0;
  }

  below(limit: number): number {
    return Math.floor((this.uint32() / 4294967296) * limit);
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.below(256));
  }
}
