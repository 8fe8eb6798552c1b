/**
 * The only source of randomness inside a simulation: xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear
 * pseudorandom number generators", 2021), seeded through splitmix32. Both use 32-bit integer operations alone, so
 * one seed gives one sequence on every version of Node and on every machine.
 */
import type { RandomSource } from "@flotilla/base";

export class SeededRandom implements RandomSource {
  /** What it was made from; forks derive from this and not from the position, so drawing never shifts them. */
  readonly #seed: number;
  // Never all four zero (the one state that xoshiro cannot leave).
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `seed`: an integer; its low 53 bits count. */
  constructor(seed: number) {
    const folded = (Math.imul(Math.floor(seed / 4294967296), 0x9e3779b1) ^ seed) >>> 0;
    this.#seed = folded;
    let state = folded;
    const split = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = state ^ (state >>> 16);
      z = Math.imul(z, 0x21f0aaad);
      z ^= z >>> 15;
      z = Math.imul(z, 0x735a2d97);
      return z ^ (z >>> 15);
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    this.#d = split() | 1;
  }

  uint32(): number {
    const scrambled = Math.imul(this.#b, 5);
    const result = Math.imul((scrambled << 7) | (scrambled >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i += 4) {
      const word = this.uint32();
      for (let k = 0; k < 4 && i + k < length; k++) bytes[i + k] = word >>> (8 * k);
    }
    return bytes;
  }

  /** An independent stream. The same name gives the same stream, whatever was drawn from this one before. */
  fork(name: string): SeededRandom {
    let hash = this.#seed ^ 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
    return new SeededRandom((hash ^ (hash >>> 13)) >>> 0);
  }

  /** An integer from 0 to `below - 1`. */
  below(below: number): number {
    return Math.floor((this.uint32() / 4294967296) * below);
  }

  /** An integer from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** True with this probability, 0 to 1. */
  chance(probability: number): boolean {
    return this.uint32() / 4294967296 < probability;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError("nothing to pick from");
    return item;
  }

  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const other = this.below(i + 1);
      const item = items[i]!;
      items[i] = items[other]!;
      items[other] = item;
    }
    return items;
  }
}
