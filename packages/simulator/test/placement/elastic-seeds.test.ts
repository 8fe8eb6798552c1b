/**
 * Ranges that are split, moved and taken away while everything fails. Kept for what they have found: 15 and 22, a store
 * that halted when a range was to be sent elsewhere between its birth by a split and the next flush.
 */
import { expect, test } from "vitest";
import { elasticSeedOptions, runSeed } from "@flotilla/simulator";

test.each([15, 22])("elastic seed %i violates nothing", async (seed) => {
  const { violation, operations } = await runSeed(elasticSeedOptions(seed));
  expect(violation).toBeUndefined();
  expect(operations).toBeGreaterThan(100);
});
