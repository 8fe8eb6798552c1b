import { rangeId, replicaId, storeId } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import { expect, test } from "vitest";
import { replicaVerdict } from "../src/placement/replica-verdict.ts";

const range = (members: number, ids: readonly number[]): RangeDescriptor => ({
  rangeId: rangeId(7),
  start: "a" as Key,
  end: "m" as Key,
  epoch: { bounds: 3, members },
  replicas: ids.map((id) => ({ replicaId: replicaId(id), storeId: storeId(id), role: "voter" })),
});

const check = (id: number, members: number): Parameters<typeof replicaVerdict>[0] => ({
  type: "replica-check",
  rangeId: rangeId(7),
  replicaId: replicaId(id),
  epoch: { bounds: 1, members },
  start: "a" as Key,
});

test("E15 who is missing in a descriptor with more changes of members is gone", () => {
  expect(replicaVerdict(check(1, 4), [range(5, [2, 3])])).toMatchObject({ gone: true, replicaId: 1 });
});

test("E16 nobody is gone by a descriptor that is not newer, that lists it, or that is not there", () => {
  expect(replicaVerdict(check(1, 5), [range(5, [2, 3])]).gone).toBe(false);
  expect(replicaVerdict(check(1, 6), [range(5, [2, 3])]).gone).toBe(false);
  expect(replicaVerdict(check(2, 4), [range(5, [2, 3])]).gone).toBe(false);
  expect(replicaVerdict(check(1, 4), [])).toMatchObject({ gone: false, descriptor: undefined });
});

test("E12 a range whose first key belongs to another one with higher bounds was merged away; with lower ones it may be new", () => {
  const owner = (bounds: number): RangeDescriptor => ({
    ...range(1, [1]),
    rangeId: rangeId(6),
    start: "A" as Key,
    epoch: { bounds, members: 1 },
  });
  expect(replicaVerdict(check(1, 4), [owner(2)])).toMatchObject({ gone: true, descriptor: undefined });
  expect(replicaVerdict(check(1, 4), [owner(1)]).gone).toBe(false);
  expect(replicaVerdict({ ...check(1, 4), start: undefined }, [owner(2)]).gone).toBe(false);
});
