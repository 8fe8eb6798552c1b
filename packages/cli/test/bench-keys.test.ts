import { describe, expect, test } from "vitest";
import { containsKey, userKey } from "@flotilla/base";
import { nodeRandom } from "@flotilla/platform";
import { planCluster } from "@flotilla/server/identity";
import { benchKeys } from "../src/bench/bench-keys.ts";

const plan = (splitAt: readonly string[], ranges = 8): ReturnType<typeof planCluster>["ranges"] =>
  planCluster({ addresses: ["h:1"], replicas: 1, ranges, splitAt }, nodeRandom).ranges;

describe("the benchmark's keys", () => {
  test.each([
    ["even steps", plan([])],
    ["one range", plan([], 1)],
    ["many ranges", plan([], 64)],
    ["bounds by hand", plan(["a", "a0", "b", "\xff\xff"])],
  ])("are distinct, of one length, inside their ranges, as many in each: %s", (_name, ranges) => {
    const keys = benchKeys(ranges, 1000, 16);
    expect(new Set(keys).size).toBe(1000);
    for (const key of keys) expect(key.length).toBe(17);
    const counts = ranges.slice(1).map((range) => keys.filter((key) => containsKey(range, key)).length);
    const used = counts.filter((count) => count > 0);
    expect(used.reduce((sum, count) => sum + count)).toBe(1000);
    expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(1);
    expect(used.length).toBeGreaterThanOrEqual(counts.length - 1);
  });

  test("that do not fit are refused", () => {
    expect(() => benchKeys(plan([]), 1_000_000, 3)).toThrow("no range has room");
    expect(userKey("x")).toBe("\x01x");
  });
});
