import { rangeId, storeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { balanceLeaders } from "../src/leader-balance.ts";
import type { LedRange } from "../src/leader-balance.ts";

const epoch = { bounds: 1, members: 1 };
const range = (id: number, leader: number, ...candidates: number[]): LedRange => ({
  rangeId: rangeId(id),
  epoch,
  leader: storeId(leader),
  candidates: candidates.map(storeId),
});
const stores = [1, 2, 3].map(storeId);
const moves = (ranges: LedRange[], limit = 10): string[] =>
  balanceLeaders({ stores, ranges }, limit).map(({ rangeId: id, from, to }) => `${id}: ${from} > ${to}`);

describe("the spread of leaders", () => {
  test("moves nothing when no two stores differ by two", () => {
    expect(moves([range(1, 1, 1, 2, 3), range(2, 1, 1, 2, 3), range(3, 2, 1, 2, 3), range(4, 3, 1, 2, 3)])).toEqual([]);
  });

  test("evens out what one store leads alone", () => {
    const ranges = [1, 2, 3, 4, 5, 6].map((id) => range(id, 1, 1, 2, 3));
    const after = moves(ranges);
    expect(after).toHaveLength(4);
    expect(after.filter((move) => move.endsWith("2"))).toHaveLength(2);
    expect(after.filter((move) => move.endsWith("3"))).toHaveLength(2);
  });

  test("moves only to members that can lead at once", () => {
    expect(moves([range(1, 1, 1), range(2, 1, 1), range(3, 1, 1, 3)])).toEqual(["3: 1 > 3"]);
  });

  test("moves nothing to or from a store that is not live", () => {
    const dead = { stores: [1, 2].map(storeId), ranges: [range(1, 3, 1, 2), range(2, 3, 1, 2), range(3, 3, 1, 2)] };
    expect(balanceLeaders(dead, 10)).toEqual([]);
  });

  test("keeps to the limit of a round and names its reason", () => {
    const ranges = [1, 2, 3, 4, 5, 6].map((id) => range(id, 1, 1, 2, 3));
    const [only, ...rest] = balanceLeaders({ stores, ranges }, 1);
    expect(rest).toEqual([]);
    expect(only!.reason).toBe("store 1 leads 6 ranges, store 2 leads 0");
  });
});
