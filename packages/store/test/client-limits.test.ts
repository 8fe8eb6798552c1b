import type { Engine } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { isRefusal } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const MiB = 1024 * 1024;

async function lone(bytes: number): Promise<{ cluster: TestCluster; client: RawConnection; keys: string[] }> {
  const cluster = await TestCluster.start({
    stores: 1,
    settings: { clientUnconfirmedBytesMax: 8 * bytes },
    log: { segmentBytes: 4 * MiB, shortSegmentBytes: 4 * MiB, logBytesTarget: 64 * MiB },
  });
  const client = await cluster.connect(cluster.store(1));
  await cluster.fill(client, 24, bytes, { number: 1 });
  return { cluster, client, keys: Array.from({ length: 24 }, (_, i) => `fill-${String(i + 1).padStart(5, "0")}`) };
}

const small = 32 * 1024;

describe("answers to one client", () => {
  test("H9 answers of one turn that are too much for one payload leave in several", async () => {
    const { cluster, client, keys } = await lone(MiB);
    const batches = keys.map((key) => client.reads(firstRange, [key], { consistency: "stale" }));
    client.send(...batches);
    await cluster.runFor(200);
    expect(cluster.store(1).halted).toBeUndefined();
    expect(batches.map((batch) => client.readAnswer(batch)?.type)).toEqual(keys.map(() => "read-results"));
    // One batch of reads is not split: its client asks for less at once.
    expect(await client.read(client.reads(firstRange, keys))).toMatchObject({ reason: "error", code: "BatchTooLarge" });
    expect(isRefusal(await client.read(client.reads(firstRange, keys.slice(0, 2))))).toBe(false);
    expect(cluster.store(1).halted).toBeUndefined();
  });

  test("H9 reads of a client that does not take its answers wait, and are all answered once it does", async () => {
    const { cluster, client, keys } = await lone(small);
    client.stream!.reading = false;
    const batches = Array.from({ length: 40 }, (_, i) =>
      client.reads(firstRange, [keys[i % 24]!], { consistency: i % 2 === 0 ? "stale" : "linearizable" }),
    );
    for (const batch of batches) client.send(batch);
    await cluster.runFor(3000);
    expect(client.stream!.peer.unconfirmedBytes).toBeLessThan(18 * small);
    expect(client.closed).toBeUndefined();
    client.stream!.resume();
    await cluster.runFor(1000);
    expect(batches.map((batch) => client.readAnswer(batch)?.type)).toEqual(batches.map(() => "read-results"));
  });

  test("H9 a scan with endless credit waits for a client that does not take its pages", async () => {
    const { cluster, client, keys } = await lone(small);
    client.stream!.reading = false;
    const scan = client.scan(firstRange, { creditBytes: 2 ** 40 });
    client.send(scan);
    await cluster.runFor(3000);
    expect(client.stream!.peer.unconfirmedBytes).toBeLessThan(18 * small);
    client.stream!.resume();
    expect(await client.scanned(scan)).toEqual(keys);
  });

  test("H9 the stream of a client that asks on and on and takes no answer is closed", async () => {
    const { cluster, client } = await lone(small);
    const other = await cluster.connect(cluster.store(1));
    client.stream!.reading = false;
    const name = "x".repeat(16_000);
    for (let i = 0; i < 200 && !client.stream!.peer.closed; i++) {
      // Every answer repeats the name.
      const requests = Array.from(
        { length: 50 },
        (_, k) => ({ type: "admin", requestId: 50 * i + k, name, arguments: null }) as const,
      );
      client.send(...requests);
      await cluster.runFor(2);
    }
    expect(client.stream!.peer.closed).toBe(true);
    expect(cluster.store(1).logged("does not read its answers")).toHaveLength(1);
    expect(isRefusal(await other.read(other.reads(firstRange, ["a"])))).toBe(false);
  });
});

describe("scans", () => {
  test("a count that takes long is not taken for idle", async () => {
    const cluster = await TestCluster.start({
      stores: 1,
      settings: { flushBytes: 4096 },
      wrapEngine: (engine, store) =>
        wrapped(engine, "iterate", (options: Parameters<Engine["iterate"]>[0]) => {
          const iterator = engine.iterate(options);
          if (options.view === undefined) return iterator;
          return wrapped(iterator, "next", async (_: number, bytes: number) => {
            await store.disk.wait(1500);
            return iterator.next(2, bytes);
          });
        }),
    });
    const client = await cluster.connect(cluster.store(1));
    await cluster.fill(client, 120, 300, { number: 1 });
    const scan = client.scan(firstRange, { countOnly: true });
    client.send(scan);
    await cluster.world.until("the count", () => client.pages(scan).length > 0, 200_000);
    expect(client.pages(scan)[0]).toMatchObject({ count: 120, last: true });
  });

  test("a scan without credit for a minute is closed, and its client is told", async () => {
    const { cluster, client } = await lone(small);
    const scan = client.scan(firstRange, { creditBytes: 1 });
    client.send(scan);
    await cluster.runFor(1000);
    expect(client.refusal("scan", scan.scanId)).toBeUndefined();
    await cluster.runFor(70_000);
    expect(client.refusal("scan", scan.scanId)).toMatchObject({ reason: "error", code: "Timeout" });
  });
});

describe("reads that wait for a leader", () => {
  test("H9 are bounded in bytes, and more are told that the range is busy, not that it is elsewhere", async () => {
    const cluster = await TestCluster.start({ settings: { leasePercent: 0, uncommittedBytesMax: 100_000 } });
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    for (const other of cluster.others(leader)) cluster.network.cut(leader.host, other.host);
    const keys = Array.from({ length: 100 }, (_, i) => `${"k".repeat(200)}${i}`);
    const batches = [];
    for (let i = 0; i < 20; i++) {
      const batch = client.reads(firstRange, keys);
      batches.push(batch);
      client.send(batch);
      await cluster.runFor(1);
    }
    const early = batches.map((batch) => client.readAnswer(batch));
    expect(early.filter((answer) => answer === undefined).length).toBeLessThan(12);
    const refused = early.filter((answer) => answer !== undefined);
    expect(refused.length).toBeGreaterThan(5);
    for (const answer of refused) expect(answer).toMatchObject({ reason: "error", code: "Busy" });
    await cluster.runFor(3000);
    for (const batch of batches) expect(client.readAnswer(batch)).toBeDefined();
  });

  test("H9 no client has more scans open than the limit, however many it asks for at once", async () => {
    const { cluster, client } = await lone(small);
    const scans = Array.from({ length: 200 }, () => client.scan(firstRange, { creditBytes: 1 }));
    client.send(...scans);
    await cluster.runFor(100);
    const refused = scans.filter(({ scanId }) => client.refusal("scan", scanId)?.code === "Busy");
    expect(refused).toHaveLength(72);
  });
});
