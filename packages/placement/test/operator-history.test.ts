import { rangeId, replicaId, storeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { operatorsToForget } from "../src/index.ts";
import type { Operator, OperatorGoal } from "../src/index.ts";

const minuteMs = 60_000;
const nowMs = 60 * minuteMs;
const move: OperatorGoal = { kind: "move", from: storeId(1), to: storeId(2), replicaId: replicaId(9) };
const transfer: OperatorGoal = { kind: "transfer-leader", to: storeId(2) };

/** The first one ended `minutes` ago, the others a moment later each. */
function ended(count: number, minutes: number, goalOf: (i: number) => OperatorGoal): Map<number, Operator> {
  return new Map(
    Array.from({ length: count }, (_, i) => {
      const endedMs = nowMs - minutes * minuteMs + i;
      const operator: Operator = {
        ...{ operatorId: i + 1, rangeId: rangeId(2), goal: goalOf(i), source: "balance-replicas", reason: "" },
        ...{ epoch: { bounds: 1, members: 1 }, bytes: 0, createdMs: 0, deadlineMs: 0 },
        ...{ state: "done", endsAs: "cancelled", outcome: "", endedMs },
      };
      return [operator.operatorId, operator];
    }),
  );
}

describe("operators that have ended", () => {
  test("stay written down a thousand at a time", () => {
    expect(
      operatorsToForget(
        ended(1000, 30, () => move),
        0,
        nowMs,
      ),
    ).toEqual([]);
    expect(
      operatorsToForget(
        ended(1000, 30, () => move),
        2,
        nowMs,
      ),
    ).toEqual([1, 2]);
  });

  test("stay beyond that while the replicas that they moved rest, but not for a mere transfer", () => {
    const mixed = ended(3000, 9, (i) => (i % 2 === 0 ? move : transfer));
    const forgotten = operatorsToForget(mixed, 0, nowMs);
    expect(forgotten).toHaveLength(1000);
    expect(forgotten.every((id) => mixed.get(id)!.goal === transfer)).toBe(true);
    expect(operatorsToForget(mixed, 0, nowMs + 2 * minuteMs)).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
  });

  test("are at most ten thousand", () => {
    const moves = ended(10_002, 1, () => move);
    expect(operatorsToForget(moves, 1, nowMs)).toEqual([1, 2, 3]);
  });
});
