import { describe, expect, test } from "vitest";
import { decide, indexCluster } from "../src/index.ts";
import type { ClusterIndex, Decision } from "../src/index.ts";
import { parseState } from "./support/tables.ts";

const stores = ["store 1", "store 2", "store 3 down=400", "store 4 free=1000"];
const repairs = (decisions: readonly Decision[]): number[] =>
  decisions.filter(({ source }) => source === "repair").map(({ rangeId }) => rangeId);

function rounds(index: ClusterIndex, count: number): Decision[][] {
  return Array.from({ length: count }, (_, i) => {
    index.setMoment({ ...index.state, nowMs: index.state.nowMs + 1000 * i });
    return decide(index);
  });
}

describe("a round with many ranges that cannot be helped", () => {
  test("comes to the one that can within as many rounds as the blocked ones take", () => {
    const blocked = Array.from({ length: 3000 }, (_, i) => `range ${i + 10} 1* 2 3! size=5000`);
    const state = parseState(["set splitBytes 1e12", ...stores, ...blocked, "range 5000 1* 2 3! size=10"]);
    const found = rounds(indexCluster(state), 4).flatMap(repairs);
    expect(new Set(found)).toEqual(new Set([5000]));
  });

  test("comes to it at once when the others only wait for a busy leader", () => {
    const waiting = Array.from({ length: 3000 }, (_, i) => `range ${i + 10} 1* 2 3!`);
    const busy = ["store 1 sending=2", ...stores.slice(1)];
    const state = parseState([...busy, ...waiting, "range 5000 1 2* 3!"]);
    expect(repairs(decide(indexCluster(state)))).toEqual([5000]);
  });
});

describe("a round leaves the index as it was", () => {
  const lines = [
    ...["store 1", "store 2", "store 3", "store 4"],
    ...Array.from({ length: 20 }, (_, i) => `range ${i + 2} 1* 2 3 size=${300 * (i % 2)}`),
  ];

  test("so that the same is decided again, as long as nothing is begun", () => {
    const [first, second] = rounds(indexCluster(parseState(lines)), 2) as [Decision[], Decision[]];
    const kinds = first.map(({ goal }) => goal.kind);
    expect(new Set(kinds)).toEqual(new Set(["split", "move", "transfer-leader"]));
    expect(second.map(({ rangeId, goal }) => ({ rangeId, goal }))).toEqual(
      first.map(({ rangeId, goal }) => ({ rangeId, goal })),
    );
  });
});
