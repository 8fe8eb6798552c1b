import { describe, expect, test } from "vitest";
import { keyMax, userKey, userPrefix } from "@flotilla/base";
import { SizeSampler, UnsettledSizes, joinSamples } from "../src/engine/unsettled-sizes.ts";
import type { SizeSample } from "../src/engine/unsettled-sizes.ts";

const kibibyte = 1024;
const key = (i: number): ReturnType<typeof userKey> => userKey(String(i).padStart(6, "0"));

/** Records in an order that is not that of their keys, as a table has them. */
function sampled(records: number, recordBytes: number): SizeSample[] {
  const samples: SizeSample[] = [];
  const sampler = new SizeSampler(samples);
  for (let i = 0; i < records; i++) sampler.add(recordBytes, () => key((i * 7919) % records));
  sampler.end(() => key(0));
  return samples;
}

describe("sizes of what the engine does not count yet", () => {
  test("of two halves are each what was written to it, and together everything, without anybody telling of the split", () => {
    const records = 20_000;
    const sizes = new UnsettledSizes(sampled(records, kibibyte));
    expect(sizes.between(userPrefix, keyMax)).toBe(records * kibibyte);
    const [left, right] = [sizes.between(userPrefix, key(5000)), sizes.between(key(5000), keyMax)];
    expect(left + right).toBe(records * kibibyte);
    expect(left / (records * kibibyte)).toBeCloseTo(0.25, 1);
  });

  test("small flushes count to the byte, and an interval without records is empty", () => {
    const sizes = new UnsettledSizes(sampled(10, 100));
    expect(sizes.between(userPrefix, keyMax)).toBe(1000);
    expect(sizes.between(key(10), keyMax)).toBe(0);
    expect(new UnsettledSizes([]).between(userPrefix, keyMax)).toBe(0);
  });

  test("however much is noted together, the samples are bounded and lose no byte", () => {
    let all: SizeSample[] = [];
    for (let flush = 0; flush < 40; flush++) all = joinSamples(all, sampled(1000, 64 * kibibyte));
    expect(all.length).toBeLessThanOrEqual(16_384);
    const sizes = new UnsettledSizes(all);
    expect(sizes.between(userPrefix, keyMax)).toBe(40 * 1000 * 64 * kibibyte);
    expect(sizes.between(userPrefix, key(500)) / sizes.between(userPrefix, keyMax)).toBeCloseTo(0.5, 1);
  });
});
