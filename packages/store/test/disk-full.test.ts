import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { isRefusal, put } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const codec = createCodec(nodeByteOperations);

const low = 1000;
const room = 1e12;

/** Reads from whoever answers; the longest time without an answer, ms. */
async function longestSilence(cluster: TestCluster, forMs: number): Promise<number> {
  const connections: RawConnection[] = [];
  for (const store of cluster.stores) if (store.api !== undefined) connections.push(await cluster.connect(store));
  let lastMs = cluster.world.nowMs;
  let longest = 0;
  const untilMs = cluster.world.nowMs + forMs;
  while (cluster.world.nowMs < untilMs) {
    const batches = connections.map((connection) => {
      const batch = connection.reads(firstRange, ["a"]);
      connection.send(batch);
      return { connection, batch };
    });
    await cluster.runFor(50);
    const answered = batches.some(({ connection, batch }) => {
      const answer = connection.readAnswer(batch);
      return answer !== undefined && !isRefusal(answer) && answer.results[0]!.version > 0;
    });
    if (answered) lastMs = cluster.world.nowMs;
    longest = Math.max(longest, cluster.world.nowMs - lastMs);
  }
  return longest;
}

async function written(cluster: TestCluster, store: TestStore, number: number): Promise<unknown> {
  const client = await cluster.connect(store);
  const [answer] = await client.write(client.batch(firstRange, [put(number, "a", "x".repeat(500))]));
  return answer;
}

describe("a store whose disk is full", () => {
  test("F8 takes no writes, gives its leaderships away, says who leads instead, and comes back when there is room", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    expect(await written(cluster, leader, 1)).toMatchObject({ status: "applied" });
    leader.disk.free = low;
    await cluster.world.until("it leads nothing", () => leader.leads === 0);
    const next = await cluster.leader();
    expect(next).not.toBe(leader);
    // Not that its disk is full: the sender would come back here.
    const elsewhere = { reason: "not-leader", ranges: [{ leader: next.number }] };
    expect(await written(cluster, leader, 2)).toMatchObject(elsewhere);
    for (let i = 3; i < 20; i++) expect(await written(cluster, next, i)).toMatchObject({ status: "applied" });
    // Its own state is as it was, and can still be read.
    const stale = await cluster.connect(leader);
    const read = await stale.read(stale.reads(firstRange, ["a"], { consistency: "stale" }));
    expect(isRefusal(read)).toBe(false);
    const lastIndex = leader.log!.group(firstRange)!.lastIndex;
    expect(lastIndex).toBeLessThan(next.log!.group(firstRange)!.lastIndex);
    leader.disk.free = room;
    await cluster.world.until(
      "it has caught up",
      () => leader.log!.group(firstRange)!.lastIndex === next.log!.group(firstRange)!.lastIndex,
    );
    expect(leader.logged("the disk has room again")).toHaveLength(1);
  });

  test("F8 is not given leaderships while another one has room, and does not take them over", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    await written(cluster, leader, 1);
    const [one, other] = cluster.others(leader) as [TestStore, TestStore];
    one.disk.free = low;
    await cluster.runFor(1500);
    leader.disk.free = low;
    await cluster.world.until("the one with room leads", () => other.leads >= 1, 10_000);
    await cluster.runFor(5000);
    expect(await cluster.leader()).toBe(other);
    expect(one.leads).toBe(0);
  });

  test("F8 with all disks full writes are told so, reads go on through a change of leader, and writes come back with room", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    for (let i = 1; i < 10; i++) await written(cluster, leader, i);
    await cluster.runFor(500);
    for (const store of cluster.stores) store.disk.free = low;
    await cluster.runFor(1000);
    expect(await longestSilence(cluster, 5000)).toBeLessThan(500);
    const last = await cluster.leader();
    expect(await written(cluster, last, 20)).toMatchObject({ reason: "error", code: "DiskFull" });
    last.crash();
    expect(await longestSilence(cluster, 5000)).toBeLessThan(4000);
    expect(await longestSilence(cluster, 4000)).toBeLessThan(500);
    for (const store of cluster.stores) store.disk.free = room;
    await last.start();
    await cluster.runFor(2000);
    expect(await written(cluster, await cluster.leader(), 100)).toMatchObject({ status: "applied" });
    for (const store of cluster.stores) expect(store.halted).toBeUndefined();
  });

  test("F8 sees within a second that there is room again, also when nothing was written for long", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    await written(cluster, only, 1);
    for (let times = 1; times <= 4; times++) {
      only.disk.free = low;
      await cluster.runFor(20_000);
      only.disk.free = room;
      await cluster.runFor(1000);
      expect(only.logged("the disk has room again")).toHaveLength(times);
    }
    expect(await written(cluster, only, 2)).toMatchObject({ status: "applied" });
  });

  test("F8 looks at its disk also while its engine hangs", async () => {
    const hangs = { on: false };
    const cluster = await TestCluster.start({
      stores: 1,
      log: { segmentBytes: 32 * 1024, shortSegmentBytes: 16 * 1024, logBytesTarget: 32 * 1024, logBytesMax: 64 * 1024 },
      settings: { flushBytes: 1024 * 1024 },
      wrapEngine: (engine) =>
        wrapped(engine, "settle", () => (hangs.on ? new Promise<void>(() => {}) : engine.settle())),
    });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    hangs.on = true;
    await cluster.fill(client, 60, 4000, { number: 1 });
    await cluster.runFor(1500);
    expect(only.log!.heldBackBy()).not.toEqual([]);
    only.disk.free = low;
    await cluster.runFor(700);
    expect(await written(cluster, only, 1)).toMatchObject({ code: "DiskFull" });
  });

  test("F8 takes no range snapshot, and asks for it again when there is room", async () => {
    const cluster = await TestCluster.start({ settings: { flushBytes: 8192 }, engine: { writeBufferBytes: 8192 } });
    const leader = await cluster.leader();
    const behind = cluster.others(leader).at(-1)!;
    const client = await cluster.connect(leader);
    for (const other of cluster.others(behind)) cluster.network.cut(behind.host, other.host);
    await cluster.fill(client, 40, 8000, { number: 1 });
    behind.disk.free = low;
    await cluster.runFor(1500);
    cluster.network.heal();
    const sent: string[] = [];
    cluster.network.intercept = (_from, to, purpose, payload) => {
      if (purpose === "snapshot" && to === behind.host)
        for (const { type } of codec.decodePeer(payload)) sent.push(type);
      return payload;
    };
    await cluster.runFor(3000);
    cluster.network.intercept = undefined;
    // It is asked, not often, and sent nothing.
    expect(new Set(sent)).toEqual(new Set(["snapshot-offer"]));
    expect(sent.length).toBeLessThan(8);
    expect(behind.store.statistics().snapshotsInstalled).toBe(0);
    expect(behind.disk.names("staging")).toEqual([]);
    expect(leader.logged("range snapshot not taken").length).toBeGreaterThan(0);
    behind.disk.free = room;
    await cluster.world.until("it has its snapshot", () => behind.store.statistics().snapshotsInstalled === 1);
    behind.disk.writeError = undefined;
    expect(behind.halted).toBeUndefined();
  });

  test("F8 a disk that is full in the middle of a range snapshot gives the transfer up, and nothing else", async () => {
    const cluster = await TestCluster.start({ settings: { flushBytes: 8192 }, engine: { writeBufferBytes: 8192 } });
    const leader = await cluster.leader();
    const behind = cluster.others(leader).at(-1)!;
    const client = await cluster.connect(leader);
    for (const other of cluster.others(behind)) cluster.network.cut(behind.host, other.host);
    await cluster.fill(client, 40, 8000, { number: 1 });
    await cluster.runFor(1500);
    let refused = 0;
    behind.disk.writeError = (path) => {
      if (!path.startsWith("staging/") || behind.disk.size(path) < 30_000 || refused >= 3) return undefined;
      refused++;
      return Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    };
    cluster.network.heal();
    await cluster.world.until("it has its snapshot", () => behind.store.statistics().snapshotsInstalled === 1);
    expect(refused).toBe(3);
    expect(behind.halted).toBeUndefined();
  });
});
