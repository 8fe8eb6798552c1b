import { describe, expect, test } from "vitest";
import { containsKey, userKey } from "@flotilla/base";
import { nodeRandom } from "@flotilla/platform";
import { planCluster } from "@flotilla/server/identity";
import { BenchKeys } from "../../src/bench/bench-keys.ts";

type Ranges = ReturnType<typeof planCluster>["ranges"];

const plan = (splitAt: readonly string[], ranges = 8): Ranges =>
  planCluster({ addresses: ["h:1"], replicas: 1, ranges, splitAt }, nodeRandom).ranges;

function all(ranges: Ranges, count: number, keyBytes: number): string[] {
  const keys = new BenchKeys(ranges, count, keyBytes);
  return Array.from({ length: count }, (_, index) => keys.at(index));
}

describe("the benchmark's keys", () => {
  test.each([
    ["even steps", plan([])],
    ["one range", plan([], 1)],
    ["many ranges", plan([], 64)],
    ["bounds by hand", plan(["a", "a0", "b", "\xff\xff"])],
  ])("are distinct, of one length, inside their ranges, as many in each: %s", (_name, ranges) => {
    const keys = all(ranges, 1000, 16);
    expect(new Set(keys).size).toBe(1000);
    for (const key of keys) expect(key.length).toBe(17);
    const counts = ranges
      .slice(1)
      .map((range) => keys.filter((key) => containsKey(range, userKey(key.slice(1)))).length);
    const used = counts.filter((count) => count > 0);
    expect(used.reduce((sum, count) => sum + count)).toBe(1000);
    expect(Math.max(...used) - Math.min(...used)).toBeLessThanOrEqual(1);
    expect(used.length).toBeGreaterThanOrEqual(counts.length - 1);
  });

  test("rise within each range", () => {
    const ranges = plan([]);
    const keys = all(ranges, 800, 16);
    for (const range of ranges.slice(1)) {
      const own = keys.filter((key) => containsKey(range, userKey(key.slice(1))));
      expect(own).toEqual([...own].sort());
    }
  });

  test("keep their length when ranges without room leave more to the others", () => {
    // Between "a" and "a0" no key of three bytes has room for digits; the others share all of them.
    const keys = all(plan(["a", "a\x01", "b"]), 300, 4);
    expect(new Set(keys).size).toBe(300);
    expect(new Set(keys.map((key) => key.length))).toEqual(new Set([5]));
  });

  test("may be more than would fit into memory", () => {
    const keys = new BenchKeys(plan([]), 1e12, 256);
    expect(keys.at(1e12 - 1).length).toBe(257);
    expect(keys.at(123_456_789_012)).toContain("15432098626");
  });

  test("that do not fit are refused", () => {
    expect(() => new BenchKeys(plan([]), 1_000_000, 3)).toThrow("no range has room");
  });
});
