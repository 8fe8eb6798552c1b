import { describe, expect, test } from "vitest";
import { BenchRandom } from "../../src/bench/bench-random.ts";
import { createKeyDistribution, scatterMultiplier, zipfExponent } from "../../src/bench/key-distribution.ts";
import type { KeyDistributionName } from "../../src/bench/key-distribution.ts";
import { ZipfSampler } from "../../src/bench/zipf-sampler.ts";

const draw = (count: number, next: () => number): number[] => Array.from({ length: count }, next);

function counts(drawn: readonly number[], size: number): number[] {
  const found = new Array<number>(size).fill(0);
  for (const value of drawn) found[value]!++;
  return found;
}

/** Standard deviations between what was counted and what was to be expected. */
const deviations = (found: number, draws: number, probability: number): number =>
  Math.abs(found - draws * probability) / Math.sqrt(draws * probability * (1 - probability));

describe("random numbers", () => {
  test("are the same from the same seed, and others from another", () => {
    const from = (seed: number): number[] => {
      const random = new BenchRandom(seed);
      return draw(20, () => random.uint32());
    };
    expect(from(7)).toEqual(from(7));
    expect(from(7)).not.toEqual(from(8));
    expect(new Set(from(0)).size).toBe(20);
  });

  test("fill their interval evenly", () => {
    const random = new BenchRandom(1);
    const found = counts(
      draw(100_000, () => random.below(10)),
      10,
    );
    for (const count of found) expect(deviations(count, 100_000, 0.1)).toBeLessThan(4.5);
    for (const value of draw(1000, () => random.unit())) expect(value >= 0 && value < 1).toBe(true);
  });
});

describe("zipfian ranks", () => {
  test.each([
    [5, 0.99],
    [1000, 0.99],
    [1000, 1.4],
    [200_000, 0.99],
  ])("of %i come as often as 1 / rank^%f says", (ranks, exponent) => {
    const draws = 200_000;
    const sampler = new ZipfSampler(ranks, exponent, new BenchRandom(42));
    const found = counts(
      draw(draws, () => sampler.next() - 1),
      ranks,
    );
    let sum = 0;
    for (let rank = ranks; rank >= 1; rank--) sum += rank ** -exponent;
    for (const rank of [1, 2, 3, 4, 5]) {
      expect(deviations(found[rank - 1]!, draws, rank ** -exponent / sum)).toBeLessThan(4.5);
    }
    // The tail as a whole.
    const half = Math.floor(ranks / 2);
    let upper = 0;
    for (let rank = half + 1; rank <= ranks; rank++) upper += rank ** -exponent / sum;
    const foundUpper = found.slice(half).reduce((total, count) => total + count, 0);
    expect(deviations(foundUpper, draws, upper)).toBeLessThan(4.5);
  });

  test("of one key are that key", () => {
    const distribution = createKeyDistribution("zipfian", 1, new BenchRandom(3));
    expect(draw(10, () => distribution.next())).toEqual(new Array(10).fill(0));
  });
});

describe("key distributions", () => {
  test.each<KeyDistributionName>(["uniform", "zipfian", "sequential"])("stay inside the keys: %s", (name) => {
    for (const keys of [1, 2, 97, 100_000]) {
      const distribution = createKeyDistribution(name, keys, new BenchRandom(9));
      for (const key of draw(2000, () => distribution.next())) {
        expect(Number.isInteger(key) && key >= 0 && key < keys).toBe(true);
      }
    }
  });

  test("zipfian scatters the ranks over all keys, one to one", () => {
    for (const keys of [1, 2, 10, 1024, 99_991]) {
      const multiplier = scatterMultiplier(keys);
      const reached = new Set(Array.from({ length: keys }, (_, rank) => (rank * multiplier) % keys));
      expect(reached.size).toBe(keys);
    }
  });

  test("the hottest of 100 000 zipfian keys gets about 8 of 100 operations", () => {
    const distribution = createKeyDistribution("zipfian", 100_000, new BenchRandom(5));
    const found = counts(
      draw(100_000, () => distribution.next()),
      100_000,
    );
    expect(Math.max(...found) / 100_000).toBeCloseTo(0.078, 2);
    expect(zipfExponent).toBe(0.99);
  });

  test("sequential goes through all keys and begins again", () => {
    const distribution = createKeyDistribution("sequential", 3, new BenchRandom(1));
    expect(draw(7, () => distribution.next())).toEqual([0, 1, 2, 0, 1, 2, 0]);
  });

  test("too many keys for zipfian are refused", () => {
    expect(() => createKeyDistribution("zipfian", 2 ** 27, new BenchRandom(1))).toThrow("at most 67108864");
  });
});
