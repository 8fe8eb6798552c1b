import { rangeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { ForgottenSeals, indexCluster } from "../src/index.ts";
import type { ClusterIndex, ClusterState, Operator } from "../src/index.ts";
import { parseState } from "./support/tables.ts";

const left = rangeId(2);

/** Ranges 3 and 4 are sealed for range 2, under bounds that it had one after the other. */
function sealed(nowMs: number): ClusterIndex {
  const state: ClusterState = parseState([
    "store 1",
    "store 2",
    "store 3",
    ...[2, 3, 4].map((id) => `range ${id} 1* 2 3`),
  ]);
  const ranges = state.ranges.map((range) =>
    range.descriptor.rangeId === left
      ? range
      : { ...range, sealedFor: { rangeId: left, bounds: range.descriptor.rangeId } },
  );
  return indexCluster({ ...state, ranges, nowMs });
}

describe("E9 a seal that no operator follows", () => {
  const endings = (seals: ForgottenSeals, nowMs: number, begun: readonly RangeId[] = []): Operator[] =>
    seals.operators(sealed(nowMs), new Set(begun), () => 7);

  test("is given up when it has been seen for as long as a merge may take, one at a time for a left range", () => {
    const seals = new ForgottenSeals();
    expect(endings(seals, 1000)).toEqual([]);
    expect(endings(seals, 10_999)).toEqual([]);
    expect(endings(seals, 11_000)).toMatchObject([
      { operatorId: 7, rangeId: 2, state: "cancelling", epoch: { bounds: 3 }, goal: { rightRangeId: 3 } },
    ]);
  });

  test("waits while something else is begun on one of its ranges", () => {
    const seals = new ForgottenSeals();
    endings(seals, 1000);
    expect(endings(seals, 11_000, [left])).toEqual([]);
  });
});
