/** Two neighbours become one range while they are used: what clients see, what every store keeps, what a crash leaves. */
import { rangeId, replicaId, userKey } from "@flotilla/base";
import type { RangeDescriptor, RangeId } from "@flotilla/base";
import type { SealLabel, StepOutcome } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { isRefusal, put } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { StepSender } from "./support/step-sender.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const left = firstRange;
const right = rangeId(3);
const whole = 2;

const pairs = (cluster: TestCluster): { left: number; right: number }[] => {
  const [, l, r] = cluster.plan.ranges as [RangeDescriptor, RangeDescriptor, RangeDescriptor];
  return r.replicas.map(({ replicaId, storeId }) => ({
    left: l.replicas.find((replica) => replica.storeId === storeId)!.replicaId,
    right: replicaId,
  }));
};

class Merger extends StepSender {
  readonly #cluster: TestCluster;

  constructor(cluster: TestCluster) {
    super(cluster);
    this.#cluster = cluster;
  }

  seal(leader: TestStore, leftBounds = 1): Promise<StepOutcome> {
    const replicas = pairs(this.#cluster) as never;
    const epoch = { bounds: 1, members: 1 };
    return this.run(leader, right, epoch, { kind: "seal", leftRangeId: left, leftBounds, replicas });
  }

  merge(leader: TestStore, seal: SealLabel): Promise<StepOutcome> {
    const { end } = this.#cluster.plan.ranges[2]!;
    const replicas = pairs(this.#cluster) as never;
    const epoch = { bounds: 1, members: 1 };
    return this.run(leader, left, epoch, {
      kind: "merge",
      rightRangeId: right,
      rightBounds: 1,
      end,
      seal,
      replicas,
    });
  }

  async both(leftLeader: TestStore, rightLeader: TestStore): Promise<StepOutcome> {
    const sealed = await this.seal(rightLeader);
    if (sealed.seal === undefined) throw new Error(`not sealed: ${JSON.stringify(sealed)}`);
    return this.merge(leftLeader, sealed.seal);
  }
}

async function valuesOf(
  client: RawConnection,
  range: RangeId,
  keys: readonly string[],
  bounds: number,
  consistency: "linearizable" | "stale" = "linearizable",
): Promise<(string | undefined)[]> {
  const answer = await client.read(client.reads(range, keys, { bounds, consistency }));
  if (isRefusal(answer)) throw new Error(`refused: ${answer.message}`);
  return answer.results.map(({ version, value }) => (version === 0 ? undefined : Buffer.from(value).toString()));
}

interface Filled {
  readonly cluster: TestCluster;
  readonly leader: TestStore;
  readonly rightLeader: TestStore;
  readonly client: RawConnection;
  readonly rightClient: RawConnection;
  readonly merger: Merger;
}

async function filled(): Promise<Filled> {
  const cluster = await TestCluster.start({ splitAt: ["m"] });
  const merger = new Merger(cluster);
  const leader = await cluster.leader(left);
  const rightLeader = await cluster.leader(right);
  const client = await cluster.connect(leader, { clientId: 77 });
  const rightClient = await cluster.connect(rightLeader, { clientId: 77 });
  await client.write(client.batch(left, [put(1, "a", "1"), put(2, "c", "2")]));
  await rightClient.write(rightClient.batch(right, [put(3, "m", "3"), put(4, "x", "4")]));
  return { cluster, leader, rightLeader, client, rightClient, merger };
}

const stale = async (cluster: TestCluster, store: TestStore): Promise<string[]> => {
  const other = await cluster.connect(store);
  const { end } = cluster.plan.ranges[2]!;
  const scan = other.scan(left, { consistency: "stale", bounds: whole, end });
  other.send(scan);
  return other.scanned(scan);
};

describe("a merge", () => {
  test("gives every record to the left range, on every store, and it serves them", async () => {
    const { cluster, leader, rightLeader, client, merger } = await filled();
    const outcome = await merger.both(leader, rightLeader);
    expect(outcome).toMatchObject({
      state: "done",
      descriptor: { rangeId: left, end: cluster.plan.ranges[2]!.end, epoch: { bounds: whole, members: 1 } },
    });
    expect(await valuesOf(client, left, ["a", "c", "m", "x"], whole)).toEqual(["1", "2", "3", "4"]);
    const [written] = await client.write(client.batch(left, [put(5, "n", "5")], { bounds: whole }));
    expect(written).toMatchObject({ status: "applied" });
    await cluster.runFor(3000);
    for (const store of cluster.stores) {
      expect(await stale(cluster, store)).toEqual(["a", "c", "m", "n", "x"]);
      expect(store.log!.group(right)!.replicaId).toBe(0);
      expect(store.halted).toBeUndefined();
    }
  });

  test("a command that the right range had applied is known in the whole, so a retry is not applied again", async () => {
    const { leader, rightLeader, client, merger } = await filled();
    await merger.both(leader, rightLeader);
    const [again] = await client.write(client.batch(left, [put(4, "x", "twice")], { bounds: whole }));
    expect(again).toMatchObject({ status: "applied" });
    expect(await valuesOf(client, left, ["x"], whole)).toEqual(["4"]);
  });

  test("versions go on above those of both ranges", async () => {
    const { leader, rightLeader, client, rightClient, merger } = await filled();
    const [last] = await rightClient.write(rightClient.batch(right, [put(5, "z", "5")]));
    await merger.both(leader, rightLeader);
    const [next] = await client.write(client.batch(left, [put(6, "z", "6")], { bounds: whole }));
    expect((next as { version: number }).version).toBeGreaterThan((last as { version: number }).version);
  });

  test("sends clients of both ranges to the whole, also those that waited while the right one was sealed", async () => {
    const { leader, rightLeader, rightClient, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const waiting = rightClient.batch(right, [put(5, "n", "5")]);
    const reading = rightClient.reads(right, ["m"]);
    rightClient.send(waiting, reading);
    await merger.merge(leader, sealed.seal!);
    const [refused] = await rightClient.outcome(waiting);
    expect(refused).toMatchObject({ reason: "epoch-mismatch" });
    expect((refused as unknown as { ranges: { descriptor: RangeDescriptor }[] }).ranges[0]!.descriptor).toMatchObject({
      rangeId: left,
      epoch: { bounds: whole },
    });
    const later = await rightClient.read(rightClient.reads(right, ["m"]));
    expect(later).toMatchObject({ reason: "epoch-mismatch" });
    expect(isRefusal((await rightClient.read(reading)) as never)).toBe(true);
  });

  test("a sealed range answers nobody, and a leader that comes after the seal does neither", async () => {
    const { cluster, rightLeader, rightClient, merger } = await filled();
    await merger.seal(rightLeader);
    const batch = rightClient.batch(right, [put(5, "n", "5")]);
    const reads = rightClient.reads(right, ["m"]);
    rightClient.send(batch, reads);
    await cluster.runFor(300);
    expect(rightClient.answers(batch, 5)).toEqual([]);
    expect(rightClient.readAnswer(reads)).toBeUndefined();
    rightLeader.crash(0);
    await cluster.runFor(5000);
    for (const store of cluster.others(rightLeader)) {
      const other = await cluster.connect(store);
      const again = other.batch(right, [put(6, "n", "6")]);
      other.send(again);
      await cluster.runFor(300);
      expect(other.answers(again, 6).filter((answer) => "status" in answer && answer.status === "applied")).toEqual([]);
    }
  });

  test("E8 what the left log says first counts: a cancel makes every later merge fall, a merge every later cancel", async () => {
    const { cluster, leader, rightLeader, client, rightClient, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const cancelled = await merger.run(
      leader,
      left,
      { bounds: 1, members: 1 },
      {
        kind: "cancel-merge",
        rightRangeId: right,
        bounds: 1,
      },
    );
    expect(cancelled).toMatchObject({ state: "done", descriptor: { epoch: { bounds: 2 } } });
    const late = await merger.merge(leader, sealed.seal!);
    expect(late.state).toBe("refused");
    const tooEarly = { kind: "unseal", leftRangeId: left, provenBounds: 1 } as const;
    expect((await merger.run(rightLeader, right, { bounds: 1, members: 1 }, tooEarly)).state).toBe("refused");
    const unsealed = await merger.run(
      rightLeader,
      right,
      { bounds: 1, members: 1 },
      {
        ...tooEarly,
        provenBounds: 2,
      },
    );
    expect(unsealed).toMatchObject({ state: "done", descriptor: { epoch: { bounds: 2 } } });
    const [written] = await rightClient.write(rightClient.batch(right, [put(5, "n", "5")], { bounds: 2 }));
    expect(written).toMatchObject({ status: "applied" });
    expect(await valuesOf(client, left, ["a", "c"], 2)).toEqual(["1", "2"]);
    expect(await valuesOf(rightClient, right, ["m", "n", "x"], 2)).toEqual(["3", "5", "4"]);
    const never = await merger.run(
      leader,
      left,
      { bounds: 2, members: 1 },
      {
        kind: "cancel-merge",
        rightRangeId: right,
        bounds: 1,
      },
    );
    expect(never).toMatchObject({ state: "done", descriptor: { epoch: { bounds: 2 } } });
    for (const store of cluster.stores) expect(store.halted).toBeUndefined();
  });

  test("E8 after a merge the right range is never proven free", async () => {
    const { leader, rightLeader, merger } = await filled();
    await merger.both(leader, rightLeader);
    const cancel = { kind: "cancel-merge", rightRangeId: right, bounds: 1 } as const;
    expect(await merger.run(leader, left, { bounds: 2, members: 1 }, cancel)).toMatchObject({ state: "failed" });
  });

  test("waits for every replica of the right range, and for a left one beside each", async () => {
    const { cluster, leader, rightLeader, merger } = await filled();
    const away = cluster.stores.find((store) => store !== leader && store !== rightLeader)!;
    merger.drops = (message, from, to) => message.type === "raft" && (from === away.host || to === away.host);
    const sealed = await merger.seal(rightLeader);
    expect(sealed.state).toBe("refused");
    merger.drops = () => false;
    await cluster.runFor(2000);
    // Balance may have moved the leadership meanwhile, and a sealed range tells nobody who leads it.
    const states: string[] = [];
    for (const store of cluster.stores) states.push((await merger.seal(store)).state);
    expect(states.sort()).toEqual(["done", "refused", "refused"]);
  });
});

describe("a merge and a crash", () => {
  for (const kept of [0, 1, 2, 3, 5]) {
    test(`E11 whatever was flushed of it (${kept} batches), the whole comes back with all that was acknowledged`, async () => {
      const { cluster, leader, rightLeader, client, merger } = await filled();
      await merger.both(leader, rightLeader);
      await client.write(client.batch(left, [put(5, "n", "5"), put(6, "c", "new")], { bounds: whole }));
      await cluster.runFor(20 * kept);
      for (const store of cluster.stores) store.crash(kept);
      for (const store of cluster.stores) await store.start();
      const now = await cluster.connect(await cluster.leader(left, 20_000, whole));
      expect(await valuesOf(now, left, ["a", "c", "m", "n", "x"], whole)).toEqual(["1", "new", "3", "5", "4"]);
      await cluster.runFor(6000);
      for (const store of cluster.stores) {
        expect(store.halted).toBeUndefined();
        expect(await stale(cluster, store)).toEqual(["a", "c", "m", "n", "x"]);
      }
    });
  }

  test("E7 a store that was away from the seal on does not serve the right range again, and takes it in when it is back", async () => {
    const { cluster, leader, rightLeader, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const behind = cluster.stores.find((store) => store !== leader)!;
    merger.drops = (message, from, to) =>
      message.type === "raft" && message.rangeId === left && (from === behind.host || to === behind.host);
    expect(await merger.merge(leader, sealed.seal!)).toMatchObject({ state: "done" });
    await cluster.runFor(3000);
    const client = await cluster.connect(behind);
    const batch = client.batch(right, [put(5, "n", "5")]);
    client.send(batch);
    await cluster.runFor(1000);
    expect(client.answers(batch, 5).filter((answer) => "status" in answer)).toEqual([]);
    expect(behind.log!.group(right)!.replicaId).toBeGreaterThan(0);
    merger.drops = () => false;
    await cluster.runFor(6000);
    expect(behind.halted).toBeUndefined();
    expect(await stale(cluster, behind)).toEqual(["a", "c", "m", "x"]);
    expect(behind.log!.group(right)!.replicaId).toBe(0);
  });

  test("E9 a sealed replica that is started again keeps the log behind its seal, and takes part in the merge", async () => {
    const { cluster, leader, rightLeader, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const follower = cluster.stores.find((store) => store !== leader && store !== rightLeader)!;
    follower.crash(0);
    await follower.start();
    await cluster.runFor(4000);
    const now = await cluster.leader(left);
    expect((await merger.merge(now, sealed.seal!)).state).toBe("done");
    await cluster.runFor(4000);
    for (const store of cluster.stores) {
      expect(store.halted).toBeUndefined();
      expect(await stale(cluster, store)).toEqual(["a", "c", "m", "x"]);
    }
  });

  test("E10 a store that missed the merge and everything since gets a range snapshot that takes its right replica's place", async () => {
    const { cluster, leader, rightLeader, client, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const behind = cluster.stores.find((store) => store !== leader && store !== rightLeader)!;
    behind.crash(0);
    expect(await merger.merge(leader, sealed.seal!)).toMatchObject({ state: "done" });
    for (let i = 0; i < 150; i++) {
      const value = "v".repeat(1000);
      await client.write(client.batch(left, [put(10 + i, `b${i % 7}`, value)], { bounds: whole, floor: 10 + i }));
    }
    await cluster.runFor(3000);
    await behind.start();
    await cluster.runFor(8000);
    expect(behind.halted).toBeUndefined();
    expect(behind.logged("gives way to a range snapshot").length).toBeGreaterThan(0);
    const keys = ["a", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "c", "m", "x"];
    expect(await stale(cluster, behind)).toEqual(keys);
    behind.crash(0);
    await behind.start();
    await cluster.runFor(5000);
    expect(behind.halted).toBeUndefined();
    expect(await stale(cluster, behind)).toEqual(keys);
    expect(behind.log!.group(right)!.replicaId).toBe(0);
  });

  // Merge seed 771: the left range has no more keys of it, so nothing that came for it was in its way.
  test("E10 a right replica whose left one got past the merge and a split by a range snapshot goes, for the new half", async () => {
    const { cluster, leader, rightLeader, client, merger } = await filled();
    const sealed = await merger.seal(rightLeader);
    const behind = cluster.stores.find((store) => store !== leader && store !== rightLeader)!;
    behind.crash(0);
    expect(await merger.merge(leader, sealed.seal!)).toMatchObject({ state: "done" });
    const half = rangeId(9);
    const replicas = pairs(cluster).map((pair) => ({ left: replicaId(pair.left), right: replicaId(900 + pair.left) }));
    const parts = [{ key: userKey("m"), rangeId: half, replicas }];
    const split = await merger.run(leader, left, { bounds: whole, members: 1 }, { kind: "split", parts });
    expect(split).toMatchObject({ state: "done" });
    for (let i = 0; i < 150; i++) {
      const value = "v".repeat(1000);
      await client.write(client.batch(left, [put(10 + i, `b${i % 7}`, value)], { bounds: whole + 1, floor: 10 + i }));
    }
    await cluster.runFor(3000);
    await behind.start();
    const lives = (range: RangeId): boolean => (behind.log!.group(range)?.replicaId ?? 0) > 0;
    await cluster.world.until("the right half is there", () => lives(half) && !lives(right), 60_000);
    await cluster.runFor(2000);
    expect(behind.halted).toBeUndefined();
    const other = await cluster.connect(behind);
    expect(await valuesOf(other, half, ["m", "x"], whole + 1, "stale")).toEqual(["3", "4"]);
    expect(behind.log!.group(right)!.replicaId).toBe(0);
  });
});
