/**
 * Times in which nothing is asked of some keys, or of any: the ranges that hold them fall asleep, while the others work on and
 * everything fails as before. Busy and quiet times take turns; the seed draws how long each is, and which keys are left alone.
 */
import type { SeededRandom } from "../time/seeded-random.ts";

export interface LullOptions {
  /** Of 1: this seed has lulls at all. */
  readonly chance: number;
  readonly busyMsMax: number;
  readonly quietMsMax: number;
}

export const noLulls: LullOptions = { chance: 0, busyMsMax: 0, quietMsMax: 0 };

/** A range sleeps after some ticks, and a shorter lull shows nothing. */
const quietMsMin = 300;
/** Of 1: a lull is one of all keys. */
const wholeChance = 0.4;

export class Lulls {
  readonly #options: LullOptions;
  readonly #random: SeededRandom;
  readonly #keys: number;
  readonly #any: boolean;
  #quiet = true;
  #untilMicros = 0;
  /** Keys from the first to before the second are left alone; of what is not a key of a session nothing is said. */
  #from = 0;
  #to = 0;

  constructor(options: LullOptions, keys: number, random: SeededRandom) {
    this.#options = options;
    this.#keys = keys;
    this.#random = random;
    this.#any = random.chance(options.chance);
  }

  /** Everything is left alone. */
  isSilent(nowMicros: number): boolean {
    this.#look(nowMicros);
    return this.#to - this.#from === this.#keys;
  }

  /** Some keys are. */
  isQuiet(nowMicros: number): boolean {
    this.#look(nowMicros);
    return this.#to > this.#from;
  }

  leavesAlone(key: number, nowMicros: number): boolean {
    this.#look(nowMicros);
    return key >= this.#from && key < this.#to;
  }

  #look(nowMicros: number): void {
    while (this.#any && nowMicros >= this.#untilMicros) {
      this.#quiet = !this.#quiet;
      const { busyMsMax, quietMsMax } = this.#options;
      const ms = this.#quiet ? this.#random.between(quietMsMin, quietMsMax) : this.#random.between(0, busyMsMax);
      this.#untilMicros += ms * 1000;
      [this.#from, this.#to] = this.#quiet ? this.#interval() : [0, 0];
    }
  }

  #interval(): [number, number] {
    if (this.#random.chance(wholeChance)) return [0, this.#keys];
    const one = this.#random.below(this.#keys);
    const other = this.#random.below(this.#keys);
    return [Math.min(one, other), Math.max(one, other) + 1];
  }
}
