import { describe, expect, test } from "vitest";
import { isRefusal } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";

const MiB = 1024 * 1024;

async function lone(): Promise<{ cluster: TestCluster; client: RawConnection }> {
  const cluster = await TestCluster.start({
    stores: 1,
    log: { segmentBytes: 4 * MiB, shortSegmentBytes: 4 * MiB, logBytesTarget: 64 * MiB },
  });
  return { cluster, client: await cluster.connect(cluster.store(1)) };
}

/** `count` records of a MiB. */
async function fillMiB(cluster: TestCluster, client: RawConnection, count: number): Promise<string[]> {
  await cluster.fill(client, count, MiB, { number: 1 });
  return Array.from({ length: count }, (_, i) => `fill-${String(i + 1).padStart(5, "0")}`);
}

describe("answers to one client", () => {
  test("H9 answers of one turn that are too much for one payload leave in several", async () => {
    const { cluster, client } = await lone();
    const keys = await fillMiB(cluster, client, 24);
    const batches = keys.map((key) => client.reads(firstRange, [key], { consistency: "stale" }));
    client.send(...batches);
    await cluster.runFor(200);
    expect(cluster.store(1).halted).toBeUndefined();
    expect(batches.map((batch) => client.readAnswer(batch)?.type)).toEqual(keys.map(() => "read-results"));
  });

  test("H9 a read whose values are too much for one message is refused as too large", async () => {
    const { cluster, client } = await lone();
    const keys = await fillMiB(cluster, client, 24);
    expect(await client.read(client.reads(firstRange, keys))).toMatchObject({ reason: "error", code: "BatchTooLarge" });
    expect(isRefusal(await client.read(client.reads(firstRange, keys.slice(0, 2))))).toBe(false);
    expect(cluster.store(1).halted).toBeUndefined();
  });

  test("H9 reads of a client that does not take its answers wait, and are all answered once it does", async () => {
    const { cluster, client } = await lone();
    const keys = await fillMiB(cluster, client, 4);
    client.stream!.reading = false;
    const batches = Array.from({ length: 40 }, (_, i) =>
      client.reads(firstRange, [keys[i % 4]!], { consistency: i % 2 === 0 ? "stale" : "linearizable" }),
    );
    for (const batch of batches) client.send(batch);
    await cluster.runFor(3000);
    expect(client.stream!.peer.unconfirmedBytes).toBeLessThan(10 * MiB);
    expect(client.closed).toBeUndefined();
    client.stream!.resume();
    await cluster.runFor(1000);
    expect(batches.map((batch) => client.readAnswer(batch)?.type)).toEqual(batches.map(() => "read-results"));
  });

  test("H9 a scan with endless credit waits for a client that does not take its pages", async () => {
    const { cluster, client } = await lone();
    const keys = await fillMiB(cluster, client, 20);
    client.stream!.reading = false;
    const scan = client.scan(firstRange, { creditBytes: 2 ** 40 });
    client.send(scan);
    await cluster.runFor(3000);
    expect(client.stream!.peer.unconfirmedBytes).toBeLessThan(10 * MiB);
    client.stream!.resume();
    expect(await client.scanned(scan)).toEqual(keys);
  });

  test("H9 the stream of a client that asks on and on and takes no answer is closed", async () => {
    const { cluster, client } = await lone();
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
    const slow = 1.5;
    const cluster = await TestCluster.start({
      stores: 1,
      settings: { flushBytes: 4096 },
      wrapEngine: (engine, store) => {
        const process = (): { deliver(ms: number, run: () => void): unknown } => cluster.store(store).process;
        return new Proxy(engine, {
          get(target, name) {
            const value = Reflect.get(target, name) as unknown;
            if (name === "iterate") {
              return (options: Parameters<typeof engine.iterate>[0]) => {
                const iterator = target.iterate(options);
                return {
                  close: () => iterator.close(),
                  next: async (records: number, bytes: number) => {
                    if (options.view !== undefined)
                      await new Promise<void>((resolve) => void process().deliver(slow * 1000, resolve));
                    return iterator.next(Math.min(records, 2), bytes);
                  },
                };
              };
            }
            return typeof value === "function" ? (value as (...args: unknown[]) => unknown).bind(target) : value;
          },
        });
      },
    });
    const client = await cluster.connect(cluster.store(1));
    await cluster.fill(client, 120, 300, { number: 1 });
    const scan = client.scan(firstRange, { countOnly: true });
    client.send(scan);
    await cluster.world.until("the count", () => client.pages(scan).length > 0, 200_000);
    expect(client.pages(scan)[0]).toMatchObject({ count: 120, last: true });
  });

  test("a scan without credit for a minute is closed, and its client is told", async () => {
    const { cluster, client } = await lone();
    await fillMiB(cluster, client, 2);
    const scan = client.scan(firstRange, { creditBytes: 1 });
    client.send(scan);
    await cluster.runFor(1000);
    expect(client.refusal("scan", scan.scanId)).toBeUndefined();
    await cluster.runFor(70_000);
    expect(client.refusal("scan", scan.scanId)).toMatchObject({ reason: "error", code: "Timeout" });
  });
});
