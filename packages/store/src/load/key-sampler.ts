/**
 * Samples of the keys that a range's operations go to, in windows of time. Whatever the rate, a window keeps no more than
 * `samplesMax` and spreads them over its whole time: when it is full every other one goes, and from then on only half as
 * many operations are looked at. A batch costs one subtraction unless a sample falls into it.
 */
import type { Key, RandomSource } from "@flotilla/base";
import type { LoadWindow } from "./halving-key.ts";

const samplesMax = 512;
/** With fewer samples a window says nothing, and is left out. */
const samplesMin = 100;
/** Windows that are kept. */
export const windowsKept = 3;

interface OpenWindow {
  readonly keys: Key[];
  readonly weights: number[];
}

const emptyWindow = (): OpenWindow => ({ keys: [], weights: [] });

export class KeySampler {
  readonly #random: RandomSource;
  #open: OpenWindow = emptyWindow();
  #closed: LoadWindow[] = [];
  /** Mean number of operations from one sample to the next. */
  #gap = 1;
  /** Operations that pass before the next sample. */
  #left = 0;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  /**
   * `keyAt` and `bytesAt` are asked only for operations that are sampled. The weight of a sample is its bytes when the range
   * is to be divided by bytes, or 1.
   */
  note(operations: number, keyAt: (at: number) => Key, weightAt: (at: number) => number): void {
    while (this.#left < operations) {
      this.#open.keys.push(keyAt(this.#left));
      this.#open.weights.push(weightAt(this.#left));
      this.#left += this.#draw();
      if (this.#open.keys.length === samplesMax) this.#thinOut();
    }
    this.#left -= operations;
  }

  /** Not always the same, so that no pattern in the keys falls into step with it. */
  #draw(): number {
    return this.#gap === 1 ? 1 : 1 + (this.#random.uint32() % (2 * this.#gap - 1));
  }

  #thinOut(): void {
    const { keys, weights } = this.#open;
    const half = { keys: keys.filter((_, i) => i % 2 === 0), weights: weights.filter((_, i) => i % 2 === 0) };
    this.#open = half;
    this.#gap *= 2;
  }

  /** The window ends here, and the next one begins. */
  endWindow(): void {
    const { keys } = this.#open;
    if (keys.length >= samplesMin) this.#closed.push(this.#open);
    if (this.#closed.length > windowsKept) this.#closed.shift();
    // The next one is filled about as fast.
    if (keys.length < samplesMax / 2) this.#gap = Math.max(1, Math.floor(this.#gap / 2));
    this.#open = emptyWindow();
  }

  /** Oldest first; undefined while there are too few to say anything. */
  windows(): readonly LoadWindow[] | undefined {
    return this.#closed.length < windowsKept ? undefined : this.#closed;
  }
}
