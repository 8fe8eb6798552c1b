/** What the histories of many ranges would find, and that they are the same each time. */
import { describe, expect, test } from "vitest";
import { runManyRangesSeed } from "../../src/many-ranges/run-many-ranges-seed.ts";
import type { ManyRangesOptions } from "../../src/many-ranges/run-many-ranges-seed.ts";
import type { SeedReport } from "../../src/cluster/run-seed.ts";

const size = { stores: 8, ranges: 200 };

function run(seed: number, settings: ManyRangesOptions["settings"] = {}): SeedReport {
  return runManyRangesSeed({ seed, size, settings, stopwatch: () => 0, roundMsMax: Infinity });
}

/** Whether one of the first seeds violates the claim. */
function finds(claim: string, settings: ManyRangesOptions["settings"]): boolean {
  for (let seed = 1; seed <= 10; seed++) if (run(seed, settings).violation?.claim === claim) return true;
  return false;
}

describe("a history of many ranges", () => {
  test("is the same again with the same seed", () => {
    const [first, second] = [run(1), run(1)];
    expect(first.violation).toBeUndefined();
    expect(second).toEqual(first);
    expect(run(2).traceHash).not.toBe(first.traceHash);
  });

  test("finds replicas that are less even than they should be", () => {
    expect(finds("replicas are within 5 % of even", { balanceShare: 0.4 })).toBe(true);
  });

  test("finds leaders that are less even than they should be", () => {
    expect(finds("leaders are within 5 % of even", { leaderTransfersPerRoundMax: 0 })).toBe(true);
  });

  test("finds replicas that move twice", () => {
    const claim = "no replica moves twice within ten minutes without a failure in between";
    expect(finds(claim, { moveCooldownMs: 0, splitBytes: 80 * 1024 * 1024 })).toBe(true);
  });

  test("finds ranges that are not repaired", () => {
    const claim = "every range has its replicas on stores that live, and one of them leads";
    expect(finds(claim, { storeDownMs: 1e12, operatorsMax: 0 })).toBe(true);
  });

  test("finds a round that takes too long", () => {
    let nowMs = 0;
    const stopwatch = (): number => (nowMs += 201);
    const { violation } = runManyRangesSeed({ seed: 1, size, settings: {}, stopwatch, roundMsMax: 200 });
    expect(violation?.claim).toBe("a round takes no longer than it may");
  });
});
