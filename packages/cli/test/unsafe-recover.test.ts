import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { planRecovery } from "@flotilla/client/internal";
import type { BuriedReplicas, KnownRange, RecoveryPlan, SurveyedReplica } from "@flotilla/client/internal";
import { FakeCluster, FakeError, run } from "./fake-cluster.ts";

const voters = (...stores: number[]) => stores.map((storeId) => ({ replicaId: 10 + storeId, storeId, role: "voter" }));

const range = (rangeId: number, stores: number[], more: Partial<KnownRange> = {}): KnownRange => ({
  rangeId,
  start: "\x01",
  end: "\x02",
  epoch: { bounds: 1, members: 1 },
  replicas: voters(...stores),
  ...more,
});

const replica = (
  storeId: number,
  of: KnownRange,
  [lastTerm, lastIndex]: [number, number],
  more: Partial<SurveyedReplica> = {},
): SurveyedReplica => ({
  ...of,
  surveyedStoreId: storeId,
  appliedEnd: of.end,
  lastEnd: of.end,
  takesIn: [],
  replicaId: 10 + storeId,
  lastTerm,
  lastIndex,
  commitIndex: lastIndex - 1,
  lacksMajority: true,
  leaderStoreId: null,
  serves: false,
  whole: true,
  loading: false,
  removed: false,
  sealedFor: null,
  ...more,
});

/** `asked`: stores that answered; who has a replica did. */
function plan(
  replicas: readonly SurveyedReplica[],
  map: readonly KnownRange[],
  lost: ReadonlySet<number>,
  { buried = [], asked = [] }: { buried?: readonly BuriedReplicas[]; asked?: readonly number[] } = {},
): RecoveryPlan {
  const storeIds = [...new Set([...asked, ...replicas.map(({ surveyedStoreId }) => surveyedStoreId)])];
  return planRecovery({ storeIds, replicas, map, buried }, lost);
}

describe("planning a recovery", () => {
  test("the highest term of the last entry decides, then the length of the log", () => {
    const five = range(2, [1, 2, 3, 4, 5]);
    const chosen = (left: SurveyedReplica[]) => plan(left, [five], new Set([1, 2, 3])).actions[0]?.storeId;
    expect(chosen([replica(4, five, [3, 9]), replica(5, five, [2, 99])])).toBe(4);
    expect(chosen([replica(4, five, [3, 9]), replica(5, five, [3, 10])])).toBe(5);
    expect(chosen([replica(4, five, [3, 10]), replica(5, five, [3, 10])])).toBe(4);
  });

  test("a replica that is loading a range snapshot with more than the others have is waited for", () => {
    const five = range(2, [1, 2, 3, 4, 5]);
    const loading = { whole: false, loading: true };
    const leaving = { whole: false };
    const planned = (...left: SurveyedReplica[]) => plan(left, [five], new Set([1, 2, 3]));
    const waiting = { actions: [], blocked: [{ rangeId: 2, reason: expect.stringContaining("store 5 is loading") }] };
    expect(planned(replica(4, five, [3, 9]), replica(5, five, [3, 90], loading))).toMatchObject(waiting);
    expect(planned(replica(5, five, [3, 90], loading))).toMatchObject(waiting);
    expect(planned(replica(4, five, [3, 9]), replica(5, five, [3, 9], loading)).actions).toMatchObject([
      { storeId: 4 },
    ]);
    expect(planned(replica(4, five, [3, 9]), replica(5, five, [3, 90], leaving)).actions).toMatchObject([
      { storeId: 4 },
    ]);
  });

  test("a log that takes a neighbour in is not applied over keys that others have since", () => {
    // Ranges 2 and 3 were merged, and then divided at another key; store 1 was away, and has the merge in its log.
    const left = range(2, [1, 2, 3], { end: "\x01m" });
    const right = range(3, [1, 2, 3], { start: "\x01m" });
    const merging = { lastEnd: right.end, takesIn: [{ rangeId: 3, bounds: 1 }] };
    const old = [
      replica(1, left, [1, 9], merging),
      replica(1, right, [1, 5], { sealedFor: { rangeId: 2, bounds: 1 } }),
    ];
    const lost = new Set([2, 3]);
    const reasons = (left: SurveyedReplica[]) =>
      plan(left, [], lost)
        .blocked.filter(({ rangeId }) => rangeId === 2)
        .map(({ reason }) => reason);
    expect(plan(old, [], lost).actions).toMatchObject([{ rangeId: 2, storeId: 1, absorbed: [] }]);
    const since = range(9, [4, 5, 6], { start: "\x01t", epoch: { bounds: 3, members: 4 } });
    const led = { lacksMajority: false, serves: true };
    expect(reasons([...old, replica(4, since, [2, 7], led)])).toEqual([expect.stringContaining("range 9 on store 4")]);
    const unsealed = { ...right, epoch: { bounds: 2, members: 4 }, replicas: voters(1, 4, 5) };
    expect(reasons([...old, replica(4, unsealed, [2, 7], led)])).toEqual([expect.stringContaining("not merged")]);
    expect(reasons([old[0]!])).toEqual([expect.stringContaining("nothing is left there")]);
  });

  test("a member that its store has buried counts as lost, and the order says so", () => {
    // Store 2 was taken out of the range by stores 3 and 4, which are lost; store 1 has not heard of that.
    const old = range(2, [1, 2, 3]);
    const left = [replica(1, old, [1, 5], { lacksMajority: false })];
    expect(plan(left, [], new Set([3, 4])).actions).toEqual([]);
    const buried = (tombstone: number) => [{ storeId: 2, rangeId: 2, tombstone }];
    expect(plan(left, [], new Set([3, 4]), { buried: buried(12) }).actions).toEqual([]);
    expect(plan(left, [], new Set([3, 4]), { buried: buried(13) }).actions).toMatchObject([
      { rangeId: 2, storeId: 1, lostStores: [3], goneReplicas: [12] },
    ]);
  });

  test("a member that never came to its store counts as lost, unless a split can still make it there", () => {
    // The left half came to store 2 by a range snapshot from behind the split; store 3, which is lost, led the right half.
    const whole = range(2, [1, 2, 3]);
    const left = range(2, [1, 2, 3], { end: "\x01m", epoch: { bounds: 2, members: 1 } });
    const right = range(9, [1, 2, 3], { start: "\x01m", epoch: { bounds: 2, members: 1 } });
    const has = { lacksMajority: false, leaderStoreId: 1 };
    const planned = (onStoreTwo: readonly SurveyedReplica[], asked: number[] = []) =>
      plan(
        [replica(1, left, [1, 9], has), replica(1, right, [1, 5], { lacksMajority: false }), ...onStoreTwo],
        [],
        new Set([3]),
        { asked },
      ).actions;
    expect(planned([replica(2, left, [1, 9], has)])).toMatchObject([
      { rangeId: 9, storeId: 1, lostStores: [3], goneReplicas: [12] },
    ]);
    expect(planned([replica(2, whole, [1, 4], has)])).toEqual([]);
    // The split stands in its log, and nobody has told it yet that it is confirmed.
    expect(planned([replica(2, whole, [1, 9], { ...has, end: left.end })])).toEqual([]);
    expect(planned([replica(2, left, [1, 9], has), replica(2, right, [1, 5], has)])).toEqual([]);
    // Its replica of the left half was taken out before the right half's order came.
    expect(planned([], [1, 2])).toMatchObject([{ rangeId: 9, storeId: 1, goneReplicas: [12] }]);
    // Store 2 was not asked.
    expect(planned([])).toEqual([]);
  });

  test("a range that has its majority is left alone, also when an old replica believes otherwise", () => {
    const old = range(2, [1, 2, 3]);
    const moved = range(2, [3, 4, 5], { epoch: { bounds: 1, members: 4 } });
    const unchanged = plan(
      [
        replica(1, old, [2, 50]),
        replica(4, moved, [3, 60], { lacksMajority: false, leaderStoreId: 5 }),
        replica(5, moved, [3, 60], { lacksMajority: false, serves: true }),
      ],
      [],
      new Set([2, 3]),
    );
    expect(unchanged).toEqual({ actions: [], blocked: [], nothingLeft: [] });
  });

  test("in a joint configuration both halves must be left", () => {
    const joint = range(2, [], {
      replicas: [
        { replicaId: 11, storeId: 1, role: "voter" },
        { replicaId: 12, storeId: 2, role: "outgoing" },
        { replicaId: 13, storeId: 3, role: "incoming" },
      ],
    });
    const planned = (lost: number[]) => plan([replica(1, joint, [1, 5])], [], new Set(lost)).actions.length;
    expect(planned([2])).toBe(1);
    expect(planned([3])).toBe(1);
    expect(planned([])).toBe(0);
  });

  test("who still has a leader, is not whole or was being removed is not chosen", () => {
    const three = range(2, [1, 2, 3]);
    const blocked = (more: Partial<SurveyedReplica>) =>
      plan([replica(1, three, [1, 5], more)], [], new Set([2, 3])).blocked[0]?.reason;
    expect(blocked({ serves: true })).toContain("store 1 leads it");
    expect(blocked({ leaderStoreId: 7 })).toContain("store 7 leads it");
    expect(blocked({ whole: false })).toContain("no replica");
    expect(blocked({ removed: true })).toContain("no replica");
  });

  test("what was divided off and is lost as a whole goes back; what lives on elsewhere blocks", () => {
    const before = range(2, [1, 2, 3]);
    const after = range(2, [1, 2, 3], { end: "\x01m", epoch: { bounds: 2, members: 1 } });
    const right = range(9, [1, 2, 3], { start: "\x01m", epoch: { bounds: 2, members: 1 } });
    const lost = new Set([2, 3]);
    const back = plan([replica(1, before, [1, 5])], [after, right], lost);
    expect(back.actions).toMatchObject([{ rangeId: 2, end: "\x02", absorbed: [9], floor: { bounds: 2, members: 1 } }]);
    expect(back.nothingLeft).toEqual([]);
    const alive = range(9, [1, 4, 5], { ...right, replicas: voters(1, 4, 5) });
    const rows = [replica(1, before, [1, 5]), replica(4, alive, [3, 8], { lacksMajority: false, serves: true })];
    const apart = plan(rows, [after], lost);
    expect(apart.actions).toEqual([]);
    expect(apart.blocked[0]!.reason).toContain("range 9 on store 4 has some of its keys since");
  });

  test("a range that was about to be merged comes after its left neighbour, which decides", () => {
    const left = range(2, [1, 2, 3], { end: "\x01m" });
    const right = range(9, [1, 2, 3], { start: "\x01m" });
    const lost = new Set([2, 3]);
    const sealed = replica(1, right, [1, 5], { sealedFor: { rangeId: 2, bounds: 1 } });
    const first = plan([replica(1, left, [1, 5]), sealed], [], lost);
    expect(first.actions.map(({ rangeId }) => rangeId)).toEqual([2]);
    expect(first.blocked).toMatchObject([
      { rangeId: 9, reason: expect.stringContaining("range 2, which comes first") },
    ]);
    const recovered = (end: string) =>
      replica(1, range(2, [1], { end, epoch: { bounds: 1001, members: 1001 } }), [1, 5], {
        lacksMajority: false,
        serves: true,
      });
    expect(plan([recovered("\x01m"), sealed], [], lost).actions).toMatchObject([{ rangeId: 9, provenBounds: 1001 }]);
    // It took the other one in: what is left of that is no range any more.
    expect(plan([recovered("\x02"), sealed], [], lost).actions).toEqual([]);
  });

  test("a range of which nothing is left is said so, unless a later one has its keys", () => {
    const lost = new Set([2, 3]);
    expect(plan([], [range(2, [2, 3])], lost).nothingLeft).toMatchObject([{ rangeId: 2, lostStores: [2, 3] }]);
    const merged = range(4, [1, 4, 5], { epoch: { bounds: 9, members: 1 } });
    const rows = [replica(1, merged, [1, 5], { lacksMajority: false, serves: true })];
    expect(plan(rows, [range(2, [2, 3])], lost).nothingLeft).toEqual([]);
  });
});

/** Store 1 of three is left, with the meta range and one range of users. */
class LeftOver extends FakeCluster {
  readonly forced = new Set<number>();
  refusesOnce = false;
  down = false;

  constructor() {
    super();
    const row = (storeId: number) => ({ storeId, address: `s${storeId}:1`, state: storeId === 1 ? "live" : "dead" });
    const meta = range(1, [1, 2, 3], { start: "\x00", end: "\x01" });
    const user = range(2, [1, 2, 3]);
    this.answers.set("store-list", [row(1), row(2), row(3)]);
    this.answers.set("range-list", [
      { ...meta, start: "", end: "", system: true },
      { ...user, start: "", end: "", system: false },
    ]);
    this.answers.set("unsafe-recovery-survey", () => {
      if (this.down) return new FakeError("ConnectFailed", "nobody is there");
      const surveyed = [replica(1, meta, [4, 70]), replica(1, user, [4, 90])].map((found) =>
        this.forced.has(found.rangeId)
          ? {
              ...found,
              replicas: voters(1),
              epoch: { bounds: 1001, members: 1001 },
              lacksMajority: false,
              serves: true,
            }
          : found,
      );
      return { storeId: 1, replicas: surveyed, next: null };
    });
    this.answers.set("unsafe-recovery-begin", ({ replicaIds }: { replicaIds: number }) => {
      if (!this.forced.has(1)) return new FakeError("NoQuorum", "no placement driver is known");
      return { marked: [2, 3], replicaIds: Array.from({ length: replicaIds }, (_, i) => 1_000_100 + i) };
    });
    this.answers.set("unsafe-recovery-force", ({ rangeId }: { rangeId: number }) => {
      if (this.refusesOnce) {
        this.refusesOnce = false;
        return new FakeError("Refused", "it has changed since it was looked at");
      }
      this.forced.add(rangeId);
      return { replicaId: 1_000_000 + rangeId };
    });
  }

  names(): string[] {
    return this.orders.map(({ name }) => name).filter((name) => /begin|force/.test(name));
  }
}

describe("flotilla unsafe-recover", () => {
  let directory = "";
  const scratch = async (): Promise<string> => (directory = await mkdtemp(join(tmpdir(), "flotilla-recover-")));
  afterEach(async () => {
    if (directory !== "") await rm(directory, { recursive: true, force: true });
    directory = "";
  });

  test("shows what it would do and changes nothing without --yes", async () => {
    const cluster = new LeftOver();
    const { exitCode, out } = await run(["unsafe-recover", "--lost-stores", "2,3"], { cluster });
    expect(exitCode).toBe(0);
    expect(out).toMatch(/1 +\(system\) +2 3 +1 +70 +69 +planned/);
    expect(out).toMatch(/2 +-∞ → ∞ +2 3 +1 +90 +89 +planned/);
    expect(out).toContain("nothing was changed");
    expect(cluster.names()).toEqual([]);
  });

  test("recovers the meta range first, then the others by the driver's ids, and writes down what may be missing", async () => {
    const cluster = new LeftOver();
    await scratch();
    const line = ["unsafe-recover", "--lost-stores", "3,2", "--yes", "--report", "gone.json", "-o", "json"];
    const { exitCode, out } = await run(line, { cluster, directory });
    expect(exitCode).toBe(0);
    expect(cluster.names()).toEqual(["unsafe-recovery-force", "unsafe-recovery-begin", "unsafe-recovery-force"]);
    expect(cluster.orders.filter(({ name }) => name === "unsafe-recovery-force").map(({ body }) => body)).toEqual([
      expect.objectContaining({ rangeId: 1, replicaId: 11, newReplicaId: 0, lastTerm: 4, lastIndex: 70 }),
      expect.objectContaining({ rangeId: 2, replicaId: 11, newReplicaId: 1_000_100, boundsFloor: 1, membersFloor: 1 }),
    ]);
    const report = JSON.parse(await readFile(join(directory, "gone.json"), "utf8")) as { ranges: object[] };
    expect(await readdir(directory)).toEqual(["gone.json"]);
    expect(report).toMatchObject({ lostStores: [3, 2], state: "ended" });
    expect(report.ranges).toMatchObject([
      { rangeId: 1, outcome: "recovered", newReplicaId: 1_000_001, storeId: 1 },
      {
        rangeId: 2,
        outcome: "recovered",
        lastIndex: 90,
        commitIndex: 89,
        missing: expect.stringMatching(/behind entry 90 .*, and in ranges that were divided off this one there;/),
      },
    ]);
    expect(JSON.parse(out)).toMatchObject({ ranges: report.ranges });
  });

  test("the report is on the disk before anything is forced", async () => {
    const cluster = new LeftOver();
    await scratch();
    let before: string | undefined;
    const force = cluster.answers.get("unsafe-recovery-force") as (body: object) => unknown;
    const { readFileSync } = await import("node:fs");
    cluster.answers.set("unsafe-recovery-force", (body: object) => {
      before ??= readFileSync(join(directory, "r.json"), "utf8");
      return force(body);
    });
    await run(["unsafe-recover", "--lost-stores", "2,3", "--yes", "--report", "r.json"], { cluster, directory });
    expect(JSON.parse(before!)).toMatchObject({
      state: "underWay",
      ranges: [{ outcome: "planned" }, { outcome: "planned" }],
    });
  });

  test("what was refused is said, exit code 1, and asking again goes on", async () => {
    const cluster = new LeftOver();
    await scratch();
    const line = ["unsafe-recover", "--lost-stores", "2,3", "--yes"];
    cluster.refusesOnce = true;
    const first = await run(line, { cluster, directory });
    expect(first.exitCode).toBe(1);
    expect(first.out).toContain("it has changed since it was looked at");
    expect(first.notes).toContain("not recovered: range 1, 2");
    expect(first.out).not.toContain("next ");
    const second = await run(line, { cluster, directory });
    expect(second).toMatchObject({
      exitCode: 0,
      out: expect.stringMatching(/\nnext .* flotilla start --join adds one\n$/),
    });
    const again = await run(line, { cluster, directory });
    expect(again).toMatchObject({ exitCode: 0, out: expect.stringContaining("there is nothing to recover") });
  });

  test("every store that is left must answer, and lost ones must be known", async () => {
    const cluster = new LeftOver();
    const unknown = await run(["unsafe-recover", "--lost-stores", "2,9"], { cluster });
    expect(unknown).toMatchObject({ exitCode: 1, notes: expect.stringContaining("there is no store 9") });
    cluster.down = true;
    const silent = await run(["unsafe-recover", "--lost-stores", "2,3"], { cluster });
    expect(silent).toMatchObject({ exitCode: 1, notes: expect.stringContaining("store 1 at s1:1 does not answer") });
    for (const text of ["", "x", "2,,3", "0"])
      expect((await run(["unsafe-recover", "--lost-stores", text], { cluster })).exitCode).toBe(2);
  });
});
