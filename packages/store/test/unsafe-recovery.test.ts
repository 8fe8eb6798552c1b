import { storeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import { describe, expect, test } from "vitest";
import { isRefusal, put } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { StepSender } from "./support/step-sender.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestClusterOptions, TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const meta = 1 as RangeId;

interface Row {
  readonly rangeId: number;
  readonly replicaId: number;
  readonly epoch: { readonly bounds: number; readonly members: number };
  readonly replicas: readonly { readonly replicaId: number; readonly storeId: number }[];
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  readonly lacksMajority: boolean;
  readonly leaderStoreId: number | null;
  readonly serves: boolean;
  readonly sealedFor: { readonly rangeId: number; readonly bounds: number } | null;
}

async function ask<Result>(cluster: TestCluster, store: TestStore, name: string, argument: object): Promise<Result> {
  const client = await cluster.connect(store);
  const { result, error } = await client.admin(name, argument);
  client.stream?.close();
  if (error !== undefined) throw new Error(`${error.code}: ${error.message}`);
  return result as Result;
}

async function survey(cluster: TestCluster, store: TestStore, lostStores: number[]): Promise<Row[]> {
  const { replicas } = await ask<{ replicas: Row[] }>(cluster, store, "unsafe-recovery-survey", { lostStores });
  return replicas;
}

const order = (row: Row, lostStores: number[], newReplicaId = 0) => ({
  rangeId: row.rangeId,
  replicaId: row.replicaId,
  lastTerm: row.lastTerm,
  lastIndex: row.lastIndex,
  newReplicaId,
  boundsFloor: row.epoch.bounds,
  membersFloor: row.epoch.members,
  lostStores,
});

/** As the command line does it for one store that is left: the meta range first, then by the driver's ids. */
async function recoverAll(cluster: TestCluster, store: TestStore, lostStores: number[]): Promise<number[]> {
  const done: number[] = [];
  for (let round = 0; round < 10; round++) {
    const rows = (await survey(cluster, store, lostStores)).filter(({ lacksMajority }) => lacksMajority);
    const first = rows[0];
    if (first === undefined) return done;
    const newId = first.rangeId === meta ? 0 : (await begin(cluster, store, lostStores, 1)).replicaIds[0]!;
    await ask(cluster, store, "unsafe-recovery-force", order(first, lostStores, newId));
    done.push(first.rangeId);
    if (first.rangeId === meta) await drives(cluster, store);
  }
  throw new Error("no end");
}

const begin = (cluster: TestCluster, store: TestStore, lostStores: number[], replicaIds: number) =>
  ask<{ marked: number[]; replicaIds: number[] }>(cluster, store, "unsafe-recovery-begin", { lostStores, replicaIds });

const drives = (cluster: TestCluster, store: TestStore): Promise<void> =>
  cluster.world.until("it drives placement", () => store.logged("this store drives placement").length > 0, 60_000);

/** Two of three are gone for good; what is left knows of no leader any more. */
async function loseTwo(options: TestClusterOptions = {}): Promise<{
  cluster: TestCluster;
  left: TestStore;
  lost: number[];
  client: RawConnection;
}> {
  const cluster = await TestCluster.start(options);
  await cluster.runFor(3000);
  const writer = await cluster.connect(await cluster.leader());
  await cluster.fill(writer, 50, 200, { number: 1 });
  await cluster.runFor(1000);
  const left = cluster.store(3);
  const lost = [1, 2];
  for (const number of lost) cluster.store(number).crash();
  left.lines.length = 0;
  await leaderless(cluster, left, lost);
  return { cluster, left, lost, client: await cluster.connect(left) };
}

async function leaderless(cluster: TestCluster, store: TestStore, lost: number[]): Promise<void> {
  // Longer than a store that is not heard of may still be alive.
  await cluster.runFor(2500);
  for (let i = 0; i < 100; i++) {
    const rows = await survey(cluster, store, lost);
    if (rows.every(({ leaderStoreId }) => leaderStoreId === null)) return;
    await cluster.runFor(100);
  }
  throw new Error("it still has a leader");
}

async function routes(cluster: TestCluster, store: TestStore): Promise<Row[]> {
  return survey(cluster, store, [99]);
}

const boundsOf = async (cluster: TestCluster, store: TestStore, range: RangeId): Promise<number> =>
  (await routes(cluster, store)).find(({ rangeId }) => rangeId === range)!.epoch.bounds;

test("a store without a replica of the meta range says that it knows no range, when it is asked for what it knows", async () => {
  const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
  await cluster.runFor(3000);
  const member = (store: TestStore) => store.store.replicas().some(({ descriptor }) => descriptor.rangeId === meta);
  const outside = cluster.stores.find((store) => !member(store))!;
  for (const store of cluster.stores.filter(member)) store.crash();
  await cluster.runFor(3000);
  await expect(ask(cluster, outside, "range-list", {})).rejects.toThrow("NoQuorum");
  expect(await ask(cluster, outside, "range-list", { local: true })).toEqual([]);
});

describe("when two of three stores are lost for good", () => {
  test("B11 what is left goes on by order, with every record it had, and takes writes", async () => {
    const { cluster, left, lost, client } = await loseTwo();
    expect(await recoverAll(cluster, left, lost)).toEqual([meta, firstRange]);
    await cluster.leader(firstRange, 20_000, await boundsOf(cluster, left, firstRange));
    const bounds = await boundsOf(cluster, left, firstRange);
    const keys = await client.scanned(
      (() => {
        const scan = client.scan(firstRange, { bounds, keysOnly: true });
        client.send(scan);
        return scan;
      })(),
    );
    expect(keys).toHaveLength(50);
    const [answer] = await client.write(client.batch(firstRange, [put(1, "after", "x")], { bounds }));
    expect(answer).toMatchObject({ status: "applied" });
    const rows = await routes(cluster, left);
    for (const row of rows) {
      expect(row.replicas).toHaveLength(1);
      expect(row.epoch.members).toBeGreaterThan(1000);
      expect(row.epoch.bounds).toBeGreaterThan(1000);
      expect(row.serves).toBe(true);
    }
    expect(rows.every(({ replicaId }) => replicaId > 1_000_000)).toBe(true);
  });

  test("the lost stores are refused when they come back, also by each other, and serve nobody", async () => {
    const { cluster, left, lost } = await loseTwo();
    await recoverAll(cluster, left, lost);
    await cluster.runFor(1000);
    for (const number of lost) await cluster.store(number).start();
    // Together they are a majority of what the ranges were.
    await cluster.runFor(10_000);
    for (const number of lost) {
      const store = cluster.store(number);
      expect(store.logged("this store was decommissioned")).toHaveLength(1);
      const { decommissioned, status } = store.store.statistics();
      expect([decommissioned, status.leaders, status.replicas]).toEqual([true, 0, 2]);
      const client = await cluster.connect(store);
      const [answer] = await client.write(client.batch(firstRange, [put(1, "a", "x")]));
      expect(isRefusal(answer)).toBe(true);
    }
    expect((await survey(cluster, left, [99])).every(({ serves }) => serves)).toBe(true);
  });

  test("a range is not recovered while it has its majority, a leader, or a store named as lost is heard of", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(3000);
    const [row] = (await survey(cluster, cluster.store(3), [99])).filter(({ rangeId }) => rangeId === firstRange);
    const force = (lost: number[]) => ask(cluster, cluster.store(3), "unsafe-recovery-force", order(row!, lost, 999));
    await expect(force([1, 2])).rejects.toThrow("hears from it");
    await expect(survey(cluster, cluster.store(3), [1])).rejects.toThrow("hears from it");
    cluster.store(1).crash();
    await cluster.runFor(5000);
    await expect(force([1])).rejects.toThrow("has its majority");
    await expect(force([1, 3])).rejects.toThrow("store 3 is not lost");
    await expect(force([1, 77])).rejects.toThrow("there is no store 77");
    await cluster.leader();
    const client = await cluster.connect(await cluster.leader());
    const [answer] = await client.write(client.batch(firstRange, [put(1, "a", "x")]));
    expect(answer).toMatchObject({ status: "applied" });
  });

  test("an order that rests on what has changed since, or names the wrong replica, is refused and changes nothing", async () => {
    const { cluster, left, lost } = await loseTwo();
    const row = (await survey(cluster, left, lost)).find(({ rangeId }) => rangeId === firstRange)!;
    const force = (changed: Partial<Row>) =>
      ask(cluster, left, "unsafe-recovery-force", order({ ...row, ...changed }, lost, 999));
    await expect(force({ lastIndex: row.lastIndex - 1 })).rejects.toThrow("has changed since");
    await expect(force({ lastTerm: row.lastTerm + 1 })).rejects.toThrow("has changed since");
    await expect(force({ replicaId: row.replicaId + 1 })).rejects.toThrow("does not live here");
    await expect(ask(cluster, left, "unsafe-recovery-force", order(row, lost, row.replicaId - 1))).rejects.toThrow(
      "is not new",
    );
    expect((await survey(cluster, left, lost)).find(({ rangeId }) => rangeId === firstRange)).toEqual(row);
  });

  test("the same order twice is one, also when the first answer was lost", async () => {
    const { cluster, left, lost, client } = await loseTwo();
    const rows = await survey(cluster, left, lost);
    await ask(cluster, left, "unsafe-recovery-force", order(rows[0]!, lost));
    await drives(cluster, left);
    const { replicaIds } = await begin(cluster, left, lost, 2);
    const given = order(
      rows.find(({ rangeId }) => rangeId === firstRange)!,
      lost,
      replicaIds[0],
    );
    const answers = await Promise.all([
      client.admin("unsafe-recovery-force", given),
      (await cluster.connect(left)).admin("unsafe-recovery-force", given),
    ]);
    const again = await client.admin("unsafe-recovery-force", given);
    for (const { result, error } of [...answers, again])
      expect([result, error]).toEqual([expect.objectContaining({ replicaId: replicaIds[0] }), undefined]);
    const other = await client.admin("unsafe-recovery-force", { ...given, newReplicaId: replicaIds[1] });
    expect(other.error).toMatchObject({ code: "Refused" });
  });

  test("what no majority had confirmed counts afterwards, and sessions are kept: a retry is applied once", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(3000);
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    await cluster.fill(client, 5, 100, { number: 1 });
    await cluster.runFor(1000);
    // The leader alone has the next entry: its messages reach nobody.
    cluster.network.intercept = (from, _to, purpose, payload) =>
      purpose === "client" || from !== leader.host ? payload : undefined;
    const batch = client.batch(firstRange, [put(6, "unconfirmed", "x")], { floor: 1 });
    client.send(batch);
    await cluster.runFor(300);
    const lost = cluster.others(leader).map(({ number }) => number);
    for (const number of lost) cluster.store(number).crash();
    cluster.network.intercept = undefined;
    leader.lines.length = 0;
    await leaderless(cluster, leader, lost);
    const row = (await survey(cluster, leader, lost)).find(({ rangeId }) => rangeId === firstRange)!;
    expect(row.lastIndex).toBeGreaterThan(row.commitIndex);
    await recoverAll(cluster, leader, lost);
    const bounds = await boundsOf(cluster, leader, firstRange);
    await cluster.leader(firstRange, 20_000, bounds);
    const again = await cluster.connect(leader, { clientId: client.clientId });
    const [retried] = await again.write({ ...batch, batchId: again.id(), bounds });
    const [next] = await again.write(again.batch(firstRange, [put(7, "unconfirmed", "y")], { floor: 1, bounds }));
    expect(retried).toMatchObject({ status: "applied" });
    expect(next).toMatchObject({ status: "applied" });
    expect((next as { version: number }).version).toBeGreaterThan((retried as { version: number }).version);
  });

  test("a crash at any moment of it leaves the replica of before, or the new one; the order is given again", async () => {
    const seen = new Set<string>();
    const moments = [1, 2, 4, 8, 30].flatMap((afterMs) => [0, 1000].map((kept) => [afterMs, kept] as const));
    for (const [afterMs, keptBatches] of moments) {
      const { cluster, left, lost, client } = await loseTwo();
      const row = (await survey(cluster, left, lost)).find(({ rangeId }) => rangeId === meta)!;
      client.send({
        type: "admin",
        requestId: client.id(),
        name: "unsafe-recovery-force",
        arguments: order(row, lost),
      });
      await cluster.runFor(afterMs);
      left.crash(keptBatches);
      await left.start();
      await cluster.runFor(3000);
      const now = (await survey(cluster, left, lost)).find(({ rangeId }) => rangeId === meta)!;
      seen.add(now.replicaId === row.replicaId ? "before" : "new");
      expect(now.replicaId === row.replicaId || now.replicas.length === 1).toBe(true);
      await leaderless(cluster, left, lost).catch(() => {});
      await recoverAll(cluster, left, lost);
      const bounds = await boundsOf(cluster, left, firstRange);
      await cluster.leader(firstRange, 20_000, bounds);
      expect(left.halted).toBeUndefined();
    }
    expect([...seen].sort()).toEqual(["before", "new"]);
  });

  test("a crash between the engine's records and the log's is settled at the next start", async () => {
    let dying = false;
    const cluster = await TestCluster.start({
      wrapLog: (log, store) =>
        wrapped(log, "install", (...given: Parameters<SharedLog["install"]>) => {
          if (store.number === 3 && given[1] > 1_000_000 && !dying) {
            dying = true;
            throw new Error("power is lost here");
          }
          log.install(...given);
        }),
    });
    await cluster.runFor(3000);
    const left = cluster.store(3);
    const lost = [1, 2];
    for (const number of lost) cluster.store(number).crash();
    await leaderless(cluster, left, lost);
    const row = (await survey(cluster, left, lost)).find(({ rangeId }) => rangeId === meta)!;
    const client = await cluster.connect(left);
    client.send({ type: "admin", requestId: client.id(), name: "unsafe-recovery-force", arguments: order(row, lost) });
    await cluster.world.until("it comes to that", () => dying && left.halted !== undefined, 10_000);
    left.crash();
    left.lines.length = 0;
    await left.start();
    expect(left.logged("a forced membership is completed")).toHaveLength(1);
    await drives(cluster, left);
    expect(await recoverAll(cluster, left, lost)).toEqual([firstRange]);
  });
});

describe("when a merge was under way", () => {
  test("a sealed range waits for its left neighbour, and serves again when that has not taken it in", async () => {
    const cluster = await TestCluster.start({ splitAt: ["m"] });
    await cluster.runFor(3000);
    const [, l, r] = cluster.plan.ranges;
    const [left, right] = [l!.rangeId, r!.rangeId];
    const on = (storeId: number) => l!.replicas.find((replica) => replica.storeId === storeId)!.replicaId;
    const client = await cluster.connect(await cluster.leader(right));
    await client.write(client.batch(right, [put(1, "x", "1")]));
    const sealed = await new StepSender(cluster).run(await cluster.leader(right), right, r!.epoch, {
      kind: "seal",
      leftRangeId: left,
      leftBounds: l!.epoch.bounds,
      replicas: r!.replicas.map(({ replicaId, storeId }) => ({ left: on(storeId), right: replicaId })),
    });
    expect(sealed.state).toBe("done");
    await cluster.runFor(1000);
    const last = cluster.store(3);
    const lost = [1, 2];
    for (const number of lost) cluster.store(number).crash();
    last.lines.length = 0;
    await leaderless(cluster, last, lost);
    const row = async (range: RangeId) => (await survey(cluster, last, lost)).find(({ rangeId }) => rangeId === range)!;
    await ask(cluster, last, "unsafe-recovery-force", order(await row(meta), lost));
    await drives(cluster, last);
    const [first, second] = (await begin(cluster, last, lost, 2)).replicaIds;
    expect((await row(right)).sealedFor).toEqual({ rangeId: left, bounds: l!.epoch.bounds });
    const force = async (range: RangeId, id: number, provenBounds: number) =>
      ask(cluster, last, "unsafe-recovery-force", { ...order(await row(range), lost, id), provenBounds });
    for (const proven of [0, l!.epoch.bounds])
      await expect(force(right, second!, proven)).rejects.toThrow("sealed for range");
    await force(left, first!, 0);
    await force(right, second!, (await row(left)).epoch.bounds);
    const { epoch } = await row(right);
    await cluster.leader(right, 20_000, epoch.bounds);
    const reader = await cluster.connect(last);
    const answer = await reader.read(reader.reads(right, ["x"], { bounds: epoch.bounds }));
    if (isRefusal(answer)) throw new Error(answer.message);
    expect(Buffer.from(answer.results[0]!.value).toString()).toBe("1");
    expect((await row(right)).sealedFor).toBeNull();
  });
});

describe("when some ranges of a larger cluster are lost", () => {
  test("the driver's ids and marks are used, others' replicas of them go, and repair makes three again", async () => {
    const cluster = await TestCluster.start({
      stores: 5,
      replicas: 3,
      splitAt: ["c", "h", "m", "r"],
      settings: { storeDownMs: 3000, flushBytes: 8 * 1024 },
    });
    await cluster.runFor(3000);
    const metaStores = cluster.plan.ranges[0]!.replicas.map((replica) => replica.storeId as number);
    const lost = cluster.stores.map(({ number }) => number).filter((number) => !metaStores.slice(1).includes(number));
    lost.splice(2);
    for (const number of lost) cluster.store(number).crash();
    const left = cluster.stores.filter(({ number }) => !lost.includes(number));
    await cluster.runFor(6000);
    const driver = await cluster.leader(meta);
    const rows = (await Promise.all(left.map((store) => survey(cluster, store, lost)))).flat();
    const hopeless = rows.filter(({ lacksMajority }) => lacksMajority);
    expect(hopeless.length).toBeGreaterThan(0);
    const { marked, replicaIds } = await begin(cluster, driver, lost, hopeless.length);
    expect(marked).toEqual(lost);
    expect((await begin(cluster, driver, lost, 0)).marked).toEqual([]);
    for (const [i, row] of hopeless.entries()) {
      const store = left.find(({ number }) => row.replicas.some((replica) => replica.storeId === storeId(number)))!;
      await ask(cluster, store, "unsafe-recovery-force", order(row, lost, replicaIds[i]));
    }
    const whole = async (): Promise<boolean> => {
      const listed = await ask<{ replicas: { storeId: number }[] }[]>(
        cluster,
        await cluster.leader(meta),
        "range-list",
        {},
      );
      return listed.every(({ replicas }) => replicas.length === 3 && replicas.every((r) => !lost.includes(r.storeId)));
    };
    let healed = false;
    for (let i = 0; i < 60 && !healed; i++) {
      await cluster.runFor(2000);
      healed = await whole();
    }
    expect(healed).toBe(true);
  });
});
