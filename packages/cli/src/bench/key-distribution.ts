/** Which of the keys 0 to n - 1 the next operation is about. */
import { Failure } from "@flotilla/base";
import type { BenchRandom } from "./bench-random.ts";
import { ZipfSampler } from "./zipf-sampler.ts";

export const keyDistributionNames = ["uniform", "zipfian", "sequential"] as const;
export type KeyDistributionName = (typeof keyDistributionNames)[number];

export interface KeyDistribution {
  next(): number;
}

/** As in YCSB (Cooper et al., 2010): with 100 000 keys the hottest one gets 8 of 100 operations. */
export const zipfExponent = 0.99;
/** So that rank times multiplier stays a whole number. */
export const zipfianKeysMax: number = 2 ** 26;

export function createKeyDistribution(name: KeyDistributionName, keys: number, random: BenchRandom): KeyDistribution {
  switch (name) {
    case "uniform":
      return { next: () => random.below(keys) };
    case "zipfian":
      return zipfian(keys, random);
    case "sequential":
      return sequential(keys);
    default:
      return name satisfies never;
  }
}

/** The ranks are scattered over the keys one to one: hot keys are no neighbours, so they share no block by chance. */
function zipfian(keys: number, random: BenchRandom): KeyDistribution {
  if (keys > zipfianKeysMax) {
    throw new Failure("InvalidArgument", `zipfian keys: --keys may be at most ${zipfianKeysMax}, got ${keys}`);
  }
  const sampler = new ZipfSampler(keys, zipfExponent, random);
  const multiplier = scatterMultiplier(keys);
  return { next: () => ((sampler.next() - 1) * multiplier) % keys };
}

/** Near the golden section of `keys`, and without a common divisor: multiplying by it permutes the keys. */
export function scatterMultiplier(keys: number): number {
  let multiplier = Math.max(1, Math.floor(keys * 0.618_033_988_75));
  while (commonDivisor(multiplier, keys) !== 1) multiplier++;
  return multiplier;
}

function commonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

function sequential(keys: number): KeyDistribution {
  let following = 0;
  return {
    next: () => {
      const key = following++;
      if (following === keys) following = 0;
      return key;
    },
  };
}
