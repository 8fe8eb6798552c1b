import { keyMax, storeId, systemPrefix, userPrefix } from "@flotilla/base";
import type { RandomSource } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { evenSplits, planCluster } from "../src/cluster-plan.ts";

let counter = 0;
const random: RandomSource = {
  uint32: () => counter++,
  bytes: (length) => Uint8Array.from({ length }, () => counter++ % 256),
};
const addresses = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"];

describe("the plan of a cluster", () => {
  test("covers the whole key space once, without holes", () => {
    const { ranges } = planCluster({ addresses, replicas: 3, ranges: 8, splitAt: [] }, random);
    expect(ranges).toHaveLength(9);
    expect(ranges[0]!.start).toBe(systemPrefix);
    expect(ranges[1]!.start).toBe(userPrefix);
    expect(ranges.at(-1)!.end).toBe(keyMax);
    for (let i = 1; i < ranges.length; i++) expect(ranges[i]!.start).toBe(ranges[i - 1]!.end);
  });

  test("uses every replica id once and spreads the first replicas evenly", () => {
    const { ranges } = planCluster({ addresses, replicas: 3, ranges: 8, splitAt: [] }, random);
    const ids = ranges.flatMap((range) => range.replicas.map((replica) => replica.replicaId));
    expect(new Set(ids).size).toBe(27);
    for (const store of [1, 2, 3].map(storeId))
      expect(ranges.filter((range) => range.replicas[0]!.storeId === store)).toHaveLength(3);
  });

  test("takes bounds by hand, sorted and once each", () => {
    const { ranges } = planCluster({ addresses, replicas: 1, ranges: 8, splitAt: ["m", "c", "m"] }, random);
    expect(ranges.map((range) => range.start)).toEqual(["\x00", "\x01", "\x01c", "\x01m"]);
  });

  test("steps evenly over printable ASCII, two bytes deep", () => {
    const splits = evenSplits(8);
    expect(splits).toHaveLength(7);
    expect([...splits].sort()).toEqual(splits);
    for (const split of splits) expect(split).toMatch(/^[\x21-\x7e]{2}$/);
    expect(new Set(evenSplits(2000)).size).toBe(1999);
  });

  test("gives every store a key of its own", () => {
    const { stores, clusterId } = planCluster({ addresses, replicas: 3, ranges: 1, splitAt: [] }, random);
    expect(new Set(stores.map((store) => store.storeKey)).size).toBe(3);
    expect(clusterId).toMatch(/^[0-9a-f]{32}$/);
  });
});
