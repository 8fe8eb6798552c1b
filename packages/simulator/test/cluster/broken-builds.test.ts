/** What the simulator is for: builds that are broken in one place each, and that it must find within a few seeds. */
import { describe, expect, test } from "vitest";
import type { LogIndex, RangeId, ReplicaId } from "@flotilla/base";
import type { Entry, HardState } from "@flotilla/raft";
import { ForwardingLog, runSeed, seedOptionsDefault } from "@flotilla/simulator";
import type { SeedOptions, SeedReport } from "@flotilla/simulator";

/** The first seed that finds something. */
async function firstViolation(seedsMax: number, broken: Partial<SeedOptions>): Promise<SeedReport | undefined> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const report = await runSeed({ ...seedOptionsDefault, ...broken, seed });
    if (report.violation !== undefined) return report;
  }
  return undefined;
}

const durability = [
  "a term is durable before a replica votes or acknowledges in it",
  "a vote is durable before it is given",
  "an entry is durable before it is acknowledged",
  "a node goes on while its disk is sound",
  "all replicas commit the same entry at one index",
  "at most one replica leads a range in one term",
  "a leader holds everything that was committed in earlier terms (leader completeness)",
  "every answer can be explained by one order of the operations on its key (linearizability)",
];

/** Says that a frame is durable as soon as it is handed over. */
class HastyLog extends ForwardingLog {
  #writing: Promise<void> = Promise.resolve();

  override flush(): Promise<void> {
    this.#writing = this.#writing.then(() => (this.inner.hasStaged() ? this.inner.flush() : undefined));
    return Promise.resolve();
  }

  override noteIdle(): void {
    // The closing frame has to wait for the frame that is really under way; it may be left out.
  }
}

/** Forgets every vote. */
class ForgetfulLog extends ForwardingLog {
  override setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void {
    super.setHardState(range, replica, { ...hardState, vote: 0 as ReplicaId });
  }
}

/** Tells the log that what was applied is durable in the engine, a little more than it is. */
class EagerCheckpointLog extends ForwardingLog {
  override append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void {
    super.append(range, replica, entries);
    const { commit } = this.inner.group(range)!.hardState;
    if (commit > 1) super.checkpoint(range, commit);
  }

  override checkpoint(range: RangeId, index: LogIndex): void {
    const { commit } = this.inner.group(range)!.hardState;
    super.checkpoint(range, index > commit ? index : commit);
  }
}

let forgotten: Promise<SeedReport | undefined> | undefined;
/** Two tests look at it; a seed is the same each time. */
function withForgottenVotes(): Promise<SeedReport | undefined> {
  forgotten ??= firstViolation(3, { wrapLog: (log) => new ForgetfulLog(log) });
  return forgotten;
}

describe("the simulator finds within a few seeds", () => {
  test("F1 a build whose fdatasync does nothing", async () => {
    const report = await firstViolation(3, {
      lyingDisks: true,
      faults: { ...seedOptionsDefault.faults, kinds: ["powerLoss", "powerLossAll"] },
    });
    expect(durability).toContain(report?.violation?.claim);
  });

  test("A2 a build that acknowledges before its fsync", async () => {
    const faults = {
      ...seedOptionsDefault.faults,
      kinds: ["powerLoss", "powerLossAll", "slowDisk", "partition"] as const,
    };
    const report = await firstViolation(5, { faults, wrapLog: (log) => new HastyLog(log) });
    expect(durability).toContain(report?.violation?.claim);
  });

  test("A1 a build that forgets its votes when it restarts", async () => {
    const report = await withForgottenVotes();
    expect(durability).toContain(report?.violation?.claim);
  });

  test("F18 a build that frees its log by what is applied instead of what is durable", async () => {
    const report = await firstViolation(6, { wrapLog: (log) => new EagerCheckpointLog(log) });
    expect(report?.violation?.facts.join(" ")).toContain("the log begins behind");
  });
});

describe("a run", () => {
  test("is the same for the same seed, down to the trace hash, and another for another seed", async () => {
    const short = { ...seedOptionsDefault, chaosMs: 5000 };
    const first = await runSeed({ ...short, seed: 5 });
    const again = await runSeed({ ...short, seed: 5 });
    expect(again).toEqual(first);
    expect(first.violation).toBeUndefined();
    expect(first.operations).toBeGreaterThan(100);
    const other = await runSeed({ ...short, seed: 7 });
    expect(other.violation).toBeUndefined();
    expect(other.traceHash).not.toBe(first.traceHash);
  });

  test("tells the claim, the facts, the latest events, and only those of the range", async () => {
    const report = await withForgottenVotes();
    const { violation, notes } = report!;
    expect(violation!.facts.length).toBeGreaterThan(1);
    expect(notes.length).toBeGreaterThan(0);
    expect(notes.every((note) => note.rangeId === 0 || note.rangeId === violation!.rangeId)).toBe(true);
  });
});
