/**
 * Ranks 1 to n, of which rank k comes with a probability proportional to 1 / k^s: rejection-inversion (Hörmann and
 * Derflinger, 1996), which needs no table and no sum over all ranks, and is exact. `s` is above 0 and not 1.
 *
 * With h(x) = 1 / x^s and H its integral, a rank is found by inverting H at a uniform number and rounding; the rare
 * numbers where rounding would distort the weights are drawn again.
 */
import type { BenchRandom } from "./bench-random.ts";

export class ZipfSampler {
  readonly #ranks: number;
  readonly #exponent: number;
  readonly #random: BenchRandom;
  readonly #integralAtFirst: number;
  readonly #integralAtLast: number;
  /** Up to this distance rounding up never needs the comparison. */
  readonly #sureDistance: number;

  constructor(ranks: number, exponent: number, random: BenchRandom) {
    this.#ranks = ranks;
    this.#exponent = exponent;
    this.#random = random;
    this.#integralAtFirst = this.#integral(1.5) - 1;
    this.#integralAtLast = this.#integral(ranks + 0.5);
    this.#sureDistance = 2 - this.#inverse(this.#integral(2.5) - this.#weight(2));
  }

  next(): number {
    for (;;) {
      const area = this.#integralAtLast + this.#random.unit() * (this.#integralAtFirst - this.#integralAtLast);
      const position = this.#inverse(area);
      const rank = Math.max(1, Math.min(this.#ranks, Math.floor(position + 0.5)));
      if (rank - position <= this.#sureDistance) return rank;
      if (area >= this.#integral(rank + 0.5) - this.#weight(rank)) return rank;
    }
  }

  #weight(x: number): number {
    return Math.exp(-this.#exponent * Math.log(x));
  }

  /** (x^(1 - s) - 1) / (1 - s). */
  #integral(x: number): number {
    const power = 1 - this.#exponent;
    return Math.expm1(power * Math.log(x)) / power;
  }

  #inverse(area: number): number {
    const power = 1 - this.#exponent;
    return Math.exp(Math.log1p(Math.max(-1, area * power)) / power);
  }
}
