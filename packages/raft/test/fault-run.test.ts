import { describe, expect, it } from "vitest";
import { FaultRun } from "./support/fault-run.ts";

const seeds = [1, 2, 3, 4, 5, 6, 7, 8];

describe("random runs keep the safety properties of the Raft paper's figure 3, and the group recovers", () => {
  for (const seed of seeds) {
    it(`members are fixed, reads use rounds, seed ${seed}`, () => {
      const result = new FaultRun({ seed, steps: 6000, leaseMs: 0, membership: false }).run();
      expect(result.applied).toBeGreaterThan(10);
    });

    it(`members are fixed, reads use leases, seed ${seed}`, () => {
      const result = new FaultRun({ seed, steps: 6000, leaseMs: 800, membership: false }).run();
      expect(result.applied).toBeGreaterThan(10);
    });

    it(`members change, reads use leases, seed ${seed}`, () => {
      const result = new FaultRun({ seed, steps: 6000, leaseMs: 800, membership: true }).run();
      expect(result.applied).toBeGreaterThan(10);
    });
  }

  it("reads are really served under leases and by rounds", () => {
    let leaseReads = 0;
    let indexReads = 0;
    for (const seed of seeds) {
      const result = new FaultRun({ seed, steps: 3000, leaseMs: 800, membership: false }).run();
      leaseReads += result.leaseReads;
      indexReads += result.indexReads;
    }
    expect(leaseReads).toBeGreaterThan(20);
    expect(indexReads).toBeGreaterThan(20);
  });
});
