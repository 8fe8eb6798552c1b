import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { PeerMessage, SnapshotChunk } from "@flotilla/transport";
import type { Engine } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import type { MemoryStream } from "./support/memory-network.ts";
import { defaultStoreSettings } from "../src/store-settings.ts";
import { ifVersion, isRefusal, put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestClusterOptions, TestStore } from "./support/test-cluster.ts";
import { snapshotChunks } from "./support/snapshot-chunks.ts";
import { wrapped } from "./support/wrapped.ts";

const codec = createCodec(nodeByteOperations);

/** Flushes and frees log segments quickly, so that a follower that is away for a moment needs a snapshot. */
const short: TestClusterOptions = {
  settings: { flushBytes: 8 * 1024 },
  engine: { writeBufferBytes: 8 * 1024 },
};

const installed = (store: TestStore): number => store.store.statistics().snapshotsInstalled;
const staged = (store: TestStore): string[] => store.disk.names("staging");

/** One follower is cut off until the log cannot serve it any more; then it may be healed. */
async function left(
  options: TestClusterOptions = {},
): Promise<{ cluster: TestCluster; leader: TestStore; behind: TestStore; written: number }> {
  const cluster = await TestCluster.start({
    ...short,
    ...options,
    settings: { ...short.settings, ...options.settings },
  });
  const leader = await cluster.leader();
  const behind = cluster.others(leader).at(-1)!;
  const client = await cluster.connect(leader);
  await cluster.fill(client, 10, 1500, { number: 1 });
  isolate(cluster, behind);
  await cluster.fill(client, 40, 8000, { number: 11 });
  await cluster.world.until("the log begins behind the follower", () => {
    const first = leader.log!.group(firstRange)!.truncatedIndex;
    return first > behind.log!.group(firstRange)!.lastIndex;
  });
  return { cluster, leader, behind, written: 160 };
}

function isolate(cluster: TestCluster, store: TestStore): void {
  for (const other of cluster.others(store)) cluster.network.cut(store.host, other.host);
}

/** Calls back for each message between stores; those for which it says false are lost. */
function filter(cluster: TestCluster, keep: (message: PeerMessage, from: string, to: string) => boolean): void {
  cluster.network.intercept = (from, to, purpose, payload) => {
    if (purpose === "client") return payload;
    const messages = codec.decodePeer(payload);
    const kept = messages.filter((message) => keep(message, from, to));
    if (kept.length === messages.length) return payload;
    return kept.length === 0 ? undefined : codec.encodePeer(kept);
  };
}

/** What the store answers for all keys, by itself. */
async function content(cluster: TestCluster, store: TestStore): Promise<string[]> {
  const client = await cluster.connect(store);
  const scan = client.scan(firstRange, { consistency: "stale", keysOnly: true, creditBytes: 1e9 });
  client.send(scan);
  const keys = await client.scanned(scan);
  client.stream!.close();
  return keys;
}

async function level(cluster: TestCluster, leader: TestStore, behind: TestStore): Promise<void> {
  await cluster.world.until(
    "the follower is level",
    () => behind.log!.group(firstRange)!.hardState.commit >= leader.log!.group(firstRange)!.lastIndex,
    60_000,
  );
  await cluster.runFor(300);
  expect(await content(cluster, behind)).toEqual(await content(cluster, leader));
}

/** What the leader sends the other one snapshots on. */
function snapshotStream(cluster: TestCluster, leader: TestStore, to: TestStore): MemoryStream | undefined {
  for (const stream of cluster.network.streams) {
    if (stream.purpose === "snapshot" && stream.accepted && stream.host === leader.host && stream.peer.host === to.host)
      return stream;
  }
  return undefined;
}

describe("a follower that the log cannot serve", () => {
  test("D5 gets a range snapshot, catches up, and its log begins behind the label", async () => {
    const { cluster, leader, behind } = await left();
    cluster.network.heal();
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1);
    await level(cluster, leader, behind);
    const { truncatedIndex, truncatedTerm } = behind.log!.group(firstRange)!;
    expect(truncatedIndex).toBeGreaterThan(12);
    expect(leader.log!.reader(firstRange).term(truncatedIndex) ?? truncatedTerm).toBe(truncatedTerm);
    expect(leader.halted ?? behind.halted).toBeUndefined();
  });

  test("gets a key and a value of exactly the largest size in it, bit by bit", async () => {
    const { cluster, leader, behind } = await left();
    const client = await cluster.connect(leader);
    const key = "k".repeat(4096);
    const value = Uint8Array.from({ length: defaultStoreSettings.valueBytesMax }, (_, i) => (i * 31) & 0xff);
    expect(await client.write(client.batch(firstRange, [put(1, key, value)]))).toMatchObject([{ status: "applied" }]);
    await cluster.fill(client, 10, 8000, { number: 100, key: "later" });
    cluster.network.heal();
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1);
    await level(cluster, leader, behind);
    const reader = await cluster.connect(behind);
    const read = await reader.read(reader.reads(firstRange, [key], { consistency: "stale" }));
    if (isRefusal(read)) throw new Error(read.reason);
    expect(Buffer.compare(read.results[0]!.value, value)).toBe(0);
  });

  test("is sent it at the rate that is set, while its range takes writes, and both stores say that it is under way", async () => {
    const bytesPerSecond = 64 * 1024;
    const { cluster, leader, behind } = await left({ settings: { snapshotBytesPerSecond: bytesPerSecond } });
    cluster.network.heal();
    const sent: { readonly atMs: number; readonly bytes: number }[] = [];
    filter(cluster, (message) => {
      if (message.type === "snapshot-chunk") sent.push({ atMs: cluster.world.nowMs, bytes: message.bytes.length });
      return true;
    });
    await cluster.world.until("half of it is sent", () => sent.length > 20);
    expect(leader.store.statistics().status).toMatchObject({ snapshotsSending: 1, snapshotsReceiving: 0 });
    expect(behind.store.statistics().status).toMatchObject({ snapshotsSending: 0, snapshotsReceiving: 1 });
    const beganMs = cluster.world.nowMs;
    await cluster.fill(await cluster.connect(leader), 20, 100, { number: 500 });
    expect(cluster.world.nowMs - beganMs).toBeLessThan(1000);
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1, 60_000);
    const total = sent.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(total).toBeGreaterThan(4 * bytesPerSecond);
    for (let from = 0; from < sent.length; from++) {
      let bytes = 0;
      for (const chunk of sent.slice(from)) {
        bytes += chunk.bytes;
        const seconds = (chunk.atMs - sent[from]!.atMs) / 1000;
        // What a quarter of a second saved up, and one chunk.
        expect(bytes).toBeLessThan(bytesPerSecond * (seconds + 0.25) + 16 * 1024);
      }
    }
    // Nor slower than that.
    expect(sent.at(-1)!.atMs - sent[0]!.atMs).toBeLessThan((1000 * total) / bytesPerSecond + 100);
    await level(cluster, leader, behind);
    expect(behind.store.statistics().status.snapshotsReceiving).toBe(0);
  });

  test("D6 labels the snapshot with the term of the entry at its index, also after changes of leader", async () => {
    const { cluster, leader, behind } = await left();
    cluster.network.cut(leader.host, cluster.others(leader).find((store) => store !== behind)!.host);
    await cluster.runFor(4000);
    cluster.network.heal();
    const next = await cluster.leader();
    const client = await cluster.connect(next);
    await cluster.fill(client, 20, 2000, { number: 1000 });
    await cluster.world.until("all have taken what they need", () => installed(behind) >= 1);
    const { truncatedIndex, truncatedTerm } = behind.log!.group(firstRange)!;
    const known = cluster.stores
      .map((store) => store.log!.reader(firstRange).term(truncatedIndex))
      .filter((found) => found !== undefined);
    expect(known.every((found) => found === truncatedTerm)).toBe(true);
    await level(cluster, await cluster.leader(), behind);
  });

  test("D8 H3 knows the commands that were applied before: a retry to it is not applied again", async () => {
    const { cluster, leader, behind } = await left();
    const client = await cluster.connect(leader);
    const counter = client.batch(firstRange, [put(1, "counter", "1", { condition: "if-absent" })]);
    const [first] = await client.write(counter);
    const bump = client.batch(firstRange, [put(2, "counter", "2", ifVersion((first as { version: number }).version))]);
    const [second] = await client.write(bump);
    expect(second).toMatchObject({ status: "applied" });
    await cluster.fill(await cluster.connect(leader), 10, 8000, { number: 1, key: "later" });
    cluster.network.heal();
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1);
    await level(cluster, leader, behind);
    const admin = await client.admin("transfer-leader", { rangeId: firstRange, to: behind.number });
    expect(admin.result).toMatchObject({ changed: true });
    await cluster.world.until("it leads", () => behind.leads >= 1);
    expect(await cluster.leader()).toBe(behind);
    const again = await cluster.connect(behind, { clientId: client.clientId });
    const [retried] = await again.write({
      ...again.batch(firstRange, [...counter.commands, ...bump.commands]),
      clientId: client.clientId,
    });
    expect(retried).toMatchObject({ status: "applied", version: (first as { version: number }).version });
    const read = await again.read(again.reads(firstRange, ["counter"]));
    expect(isRefusal(read) ? read : read.results[0]!.version).toBe((second as { version: number }).version);
  });

  test("D9 a snapshot under writes holds nothing newer than its label: counters stay exact", async () => {
    const { cluster, leader, behind } = await left();
    const client = await cluster.connect(leader);
    cluster.network.heal();
    let version = 0;
    for (let i = 1; i <= 80; i++) {
      const condition = version === 0 ? ({ condition: "if-absent" } as const) : ifVersion(version);
      const padding = "x".repeat(1000);
      const [answer] = await client.write(
        client.batch(firstRange, [put(i, "counter", `${i} ${padding}`, condition)], { floor: i }),
      );
      expect(answer).toMatchObject({ status: "applied" });
      version = (answer as { version: number }).version;
    }
    await cluster.world.until("the snapshot is installed", () => installed(behind) >= 1);
    await level(cluster, leader, behind);
    const stale = await cluster.connect(behind);
    const read = await stale.read(stale.reads(firstRange, ["counter"], { consistency: "stale" }));
    expect(isRefusal(read) ? read : read.results[0]!.version).toBe(version);
  });

  test("D1 is not overtaken by the log again and again while it gets its snapshot under load", async () => {
    const slowScans = { on: false };
    const { cluster, leader, behind } = await left({
      wrapEngine: (engine, store) => slowViews(engine, (ms) => store.disk.wait(slowScans.on ? ms : 0)),
      log: {
        segmentBytes: 32 * 1024,
        shortSegmentBytes: 16 * 1024,
        logBytesTarget: 64 * 1024,
        logBytesMax: 4 * 1024 * 1024,
        cacheBytes: 16 * 1024,
      },
    });
    slowScans.on = true;
    cluster.network.heal();
    const client = await cluster.connect(leader);
    const before = leader.logged("sending a range snapshot").length;
    for (let i = 0; i < 100 && installed(behind) < 1; i++) {
      await cluster.fill(client, 3, 6000, { number: 1000 + 3 * i });
      await cluster.runFor(100);
    }
    await cluster.fill(client, 20, 6000, { number: 5000 });
    slowScans.on = false;
    await level(cluster, leader, behind);
    expect(leader.logged("sending a range snapshot").length - before).toBe(1);
    const bytes = leader.log!.statistics().logBytes;
    await cluster.runFor(31_000);
    await cluster.fill(client, 20, 6000, { number: 6000 });
    await cluster.runFor(3000);
    expect(leader.log!.statistics().logBytes).toBeLessThan(Math.max(bytes, 256 * 1024));
  });

  test("D7 a chunk that was changed on the way is noticed, and the snapshot is sent again", async () => {
    const { cluster, leader, behind } = await left();
    cluster.network.heal();
    let damaged = 0;
    cluster.network.intercept = (_from, _to, purpose, payload) => {
      if (purpose !== "snapshot" || damaged > 0) return payload;
      const messages = codec.decodePeer(payload);
      const at = messages.findIndex((message) => message.type === "snapshot-chunk" && message.bytes.length > 100);
      if (at < 0) return payload;
      damaged++;
      const chunk = messages[at] as SnapshotChunk;
      const bytes = chunk.bytes.slice();
      bytes[60] = bytes[60]! ^ 1;
      messages[at] = { ...chunk, bytes };
      return codec.encodePeer(messages);
    };
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1, 60_000);
    expect(damaged).toBe(1);
    await level(cluster, leader, behind);
    expect(behind.halted).toBeUndefined();
  });
});

describe("the receiver of range snapshots", () => {
  test("D10 gives up a transfer whose sender is gone, and keeps neither file nor handle", async () => {
    const { cluster, leader, behind } = await left();
    const open = behind.disk.openFiles;
    filter(cluster, (message) => message.type !== "snapshot-chunk" || message.sequence < 2);
    cluster.network.heal();
    filter(cluster, (message) => message.type !== "snapshot-chunk" || message.sequence < 2);
    await cluster.world.until(
      "a transfer is under way",
      () => staged(behind).length === 1 && behind.disk.openFiles > open,
    );
    leader.crash();
    isolate(cluster, behind);
    await cluster.runFor(31_000);
    expect(staged(behind)).toEqual([]);
    expect(behind.disk.openFiles).toBeLessThanOrEqual(open);
    expect(behind.halted).toBeUndefined();
  });

  test("D10 removes a snapshot that came whole but is older than what the replica has meanwhile", async () => {
    const { cluster, leader, behind } = await left();
    // The first transfer is held back before its end, until the follower has caught up by a second one.
    let held: { payload: Uint8Array } | undefined;
    cluster.network.heal();
    cluster.network.intercept = (_from, to, purpose, payload) => {
      if (purpose !== "snapshot" || to !== behind.host || held !== undefined) return payload;
      const chunk = codec.decodePeer(payload).find((message) => message.type === "snapshot-chunk");
      if (chunk === undefined) return payload;
      held = { payload: payload.slice() };
      return payload;
    };
    await cluster.world.until("the snapshot is installed", () => installed(behind) === 1);
    await level(cluster, leader, behind);
    cluster.network.intercept = undefined;
    // The same snapshot once more, as a leader would send it that had not heard of its success.
    const transferId = 900;
    const stream = snapshotStream(cluster, leader, behind)!;
    const bytes = await snapshotChunks(cluster, leader);
    const group = leader.log!.group(firstRange)!;
    const to = cluster.plan.ranges[1]!.replicas.find(({ storeId }) => storeId === behind.number)!.replicaId;
    const descriptor = cluster.plan.ranges.find(({ rangeId }) => rangeId === firstRange)!;
    const common = {
      transferId,
      rangeId: firstRange,
      from: group.replicaId,
      to,
      term: group.hardState.term,
      descriptor,
    };
    stream.send(codec.encodePeer([{ type: "snapshot-offer", ...common }, ...bytes(transferId)]));
    await cluster.runFor(1000);
    expect(staged(behind).filter((name) => name.endsWith(".part"))).toEqual([]);
    await cluster.fill(await cluster.connect(leader), 12, 10000, { number: 3000 });
    await cluster.runFor(5000);
    expect(staged(behind)).toEqual([]);
    expect(behind.halted).toBeUndefined();
  });

  test("D4 two snapshots of one range in quick succession leave the replica whole", async () => {
    const { cluster, leader, behind } = await left();
    cluster.network.heal();
    await cluster.world.until(
      "a snapshot is being loaded",
      () => behind.logged("installing a range snapshot").length === 1,
    );
    const group = leader.log!.group(firstRange)!;
    const to = cluster.plan.ranges[1]!.replicas.find(({ storeId }) => storeId === behind.number)!.replicaId;
    const newer = await snapshotChunks(cluster, leader);
    const stream = snapshotStream(cluster, leader, behind)!;
    for (const transferId of [901, 902]) {
      const descriptor = cluster.plan.ranges.find(({ rangeId }) => rangeId === firstRange)!;
      const common = {
        transferId,
        rangeId: firstRange,
        from: group.replicaId,
        to,
        term: group.hardState.term,
        descriptor,
      };
      stream.send(codec.encodePeer([{ type: "snapshot-offer", ...common }, ...newer(transferId)]));
    }
    await cluster.runFor(2000);
    await level(cluster, leader, behind);
    expect(behind.halted).toBeUndefined();
    await cluster.fill(await cluster.connect(leader), 12, 10000, { number: 3000 });
    await cluster.runFor(5000);
    expect(staged(behind)).toEqual([]);
  });

  test("D10 a sender that begins again under the number of an unfinished transfer disturbs nothing", async () => {
    const { cluster, leader, behind } = await left();
    cluster.network.heal();
    const group = leader.log!.group(firstRange)!;
    const to = cluster.plan.ranges[1]!.replicas.find(({ storeId }) => storeId === behind.number)!.replicaId;
    await cluster.world.until("a stream for snapshots", () => snapshotStream(cluster, leader, behind) !== undefined);
    const whole = await snapshotChunks(cluster, leader);
    filter(cluster, (message) => message.type !== "snapshot-offer" || message.transferId >= 900);
    const stream = snapshotStream(cluster, leader, behind)!;
    const common = {
      transferId: 903,
      rangeId: firstRange,
      from: group.replicaId,
      to,
      term: group.hardState.term,
      descriptor: cluster.plan.ranges.find(({ rangeId }) => rangeId === firstRange)!,
    } as const;
    const offer = { type: "snapshot-offer", ...common } as const;
    // All but the last chunk; at once, from the start again, whole.
    stream.send(codec.encodePeer([offer, ...whole(903).slice(0, -1)]));
    await cluster.runFor(0.4);
    stream.send(codec.encodePeer([offer, ...whole(903)]));
    stream.send(codec.encodePeer([offer]));
    await cluster.runFor(3000);
    expect(behind.halted).toBeUndefined();
    cluster.network.heal();
    await cluster.world.until("the snapshot is installed", () => installed(behind) >= 1);
    await level(cluster, leader, behind);
  });
});

describe("a crash while a snapshot is installed", () => {
  const moments = [
    [0, 0],
    [1, 1000],
    [2, 0],
    [2, 1000],
    [4, 1000],
    [12, 0],
    [12, 1000],
  ] as const;
  for (const [writes, kept] of moments) {
    test(`D3 after ${writes} of its batches, ${kept === 0 ? "none" : "all"} of them left: the start loads it again`, async () => {
      const crash: { left: number; store: TestStore | undefined } = { left: Infinity, store: undefined };
      const { cluster, leader, behind } = await left({
        wrapEngine: (engine, store) => counted(engine, () => crash.store === store && --crash.left < 0),
      });
      crash.store = behind;
      cluster.network.heal();
      await cluster.world.until("it is being loaded", () => {
        // From here on its batches count.
        if (behind.logged("installing a range snapshot").length === 1 && crash.left === Infinity) crash.left = writes;
        return crash.left < 0 || installed(behind) === 1;
      });
      expect(installed(behind)).toBe(0);
      behind.crash(kept);
      crash.left = Infinity;
      await behind.start();
      await cluster.world.until("it knows its leader", () => behind.store.ready);
      await level(cluster, leader, behind);
      expect(behind.halted).toBeUndefined();
      await cluster.fill(await cluster.connect(await cluster.leader()), 12, 10000, { number: 3000 });
      await cluster.runFor(5000);
      expect(staged(behind)).toEqual([]);
      // A second start finds nothing to repeat.
      behind.crash(kept);
      await behind.start();
      await cluster.world.until("it knows its leader", () => behind.store.ready);
      await level(cluster, await cluster.leader(), behind);
    });
  }
});

/** Batches whose write never ends once `stops` says so. */
function counted(engine: Engine, stops: () => boolean): Engine {
  return wrapped(engine, "batch", () => {
    const batch = engine.batch();
    return wrapped(batch, "write", () => (stops() ? new Promise<void>(() => {}) : batch.write()));
  });
}

/** Iterators over a given view take their time. */
function slowViews(engine: Engine, wait: (ms: number) => Promise<void>): Engine {
  return wrapped(engine, "iterate", (options: Parameters<Engine["iterate"]>[0]) => {
    const iterator = engine.iterate(options);
    if (options.view === undefined) return iterator;
    return wrapped(iterator, "next", async (records: number, bytes: number) => {
      await wait(200);
      return iterator.next(Math.min(records, 20), bytes);
    });
  });
}
