import { describe, expect, test } from "vitest";
import { decide, indexCluster } from "../src/index.ts";
import type { Decision } from "../src/index.ts";
import { parseState } from "./support/tables.ts";

const stores = ["store 1", "store 2", "store 3 down=400", "store 4 free=1000"];
const repairs = (decisions: readonly Decision[]): number[] =>
  decisions.filter(({ source }) => source === "repair").map(({ rangeId }) => rangeId);

describe("a round with many ranges that cannot be helped", () => {
  test("comes to the one that can within as many rounds as the blocked ones take", () => {
    const blocked = Array.from({ length: 3000 }, (_, i) => `range ${i + 10} 1* 2 3! size=5000`);
    const state = parseState(["set splitBytes 1e12", ...stores, ...blocked, "range 5000 1* 2 3! size=10"]);
    const found: number[] = [];
    for (let round = 0; round < 4; round++)
      found.push(...repairs(decide(indexCluster({ ...state, nowMs: state.nowMs + round * 1000 }))));
    expect(new Set(found)).toEqual(new Set([5000]));
  });

  test("comes to it at once when the others only wait for a busy leader", () => {
    const waiting = Array.from({ length: 3000 }, (_, i) => `range ${i + 10} 1* 2 3!`);
    const busy = ["store 1 sending=2", ...stores.slice(1)];
    const state = parseState([...busy, ...waiting, "range 5000 1 2* 3!"]);
    expect(repairs(decide(indexCluster({ ...state, nowMs: 0 })))).toEqual([5000]);
  });
});
