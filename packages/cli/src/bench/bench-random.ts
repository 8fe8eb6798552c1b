/** The random numbers of a benchmark: fast, and the same again from the same seed. xoshiro128** (Blackman and Vigna, 2018). */
export class BenchRandom {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** Any integer from 0 to 2^32 - 1. */
  constructor(seed: number) {
    // splitmix32 spreads the seed over the state, which must not be all zero.
    let state = seed >>> 0;
    const fill = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = fill();
    this.#b = fill();
    this.#c = fill();
    this.#d = fill() | 1;
  }

  /** From 0 to 2^32 - 1. */
  uint32(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** From 0, below 1, with 53 bits. */
  unit(): number {
    const high = this.uint32() >>> 5;
    return (high * 67_108_864 + (this.uint32() >>> 6)) / 9_007_199_254_740_992;
  }

  /** A whole number from 0 to `bound - 1`; `bound` from 1 to 2^53. */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }
}
