/** A hot range as the placement driver sees it through: split where its load is halved, the halves led by different stores. */
import { rangeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import { expect, test } from "vitest";
import { put } from "../support/raw-client.ts";
import type { RawConnection } from "../support/raw-client.ts";
import { TestCluster, firstRange } from "../support/test-cluster.ts";
import type { TestStore } from "../support/test-cluster.ts";

interface RangeRow {
  readonly rangeId: number;
  readonly leaderStoreId: number;
  readonly writesPerSecond: number;
}

const perBatch = 50;
const batchMs = 100;

/** Writes `keys`, wherever they are by now, and goes on for `ms`; one key of `perBatch` after the other. */
class Writer {
  readonly #cluster: TestCluster;
  #number = 1;
  #clients: Map<number, RawConnection> = new Map();

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
  }

  async write(ms: number, nextKey: () => string): Promise<void> {
    const { world } = this.#cluster;
    for (const untilMs = world.nowMs + ms; world.nowMs < untilMs;) {
      const keys = Array.from({ length: perBatch }, nextKey);
      for (const [id, own] of this.#byRange(keys)) {
        const { leader, bounds } = await this.#leader(id);
        let client = this.#clients.get(leader.number);
        if (client === undefined) this.#clients.set(leader.number, (client = await this.#cluster.connect(leader)));
        const commands = own.map((each) => put(this.#number++, each, "v"));
        await client.write({ ...client.batch(id, commands, { floor: this.#number - own.length }), bounds });
      }
      await this.#cluster.runFor(batchMs);
    }
  }

  async #leader(id: RangeId): Promise<{ leader: TestStore; bounds: number }> {
    for (let tries = 0; tries < 1000; tries++) {
      for (const leader of this.#cluster.stores) {
        const led = leader.api!.replicas().find(({ descriptor, serves }) => serves && descriptor.rangeId === id);
        if (led !== undefined) return { leader, bounds: led.descriptor.epoch.bounds };
      }
      await this.#cluster.runFor(10);
    }
    throw new Error(`range ${id} has no leader`);
  }

  #byRange(keys: readonly string[]): Map<RangeId, string[]> {
    const found = new Map<RangeId, string[]>();
    const { replicas } = this.#cluster.store(1).api!;
    for (const each of keys) {
      const at = "\x01" + each;
      const { rangeId: id } = replicas().find(
        ({ descriptor }) => at >= descriptor.start && at < descriptor.end,
      )!.descriptor;
      found.set(id, [...(found.get(id) ?? []), each]);
    }
    return found;
  }
}

async function userRanges(cluster: TestCluster): Promise<RangeRow[]> {
  const client = await cluster.connect(await cluster.leader(1 as RangeId));
  const { result } = await client.admin("range-list", {});
  client.stream?.close();
  return (result as RangeRow[]).filter((row) => row.rangeId !== 1);
}

async function explained(cluster: TestCluster, rule: string, range: number = firstRange): Promise<string> {
  const client = await cluster.connect(await cluster.leader(1 as RangeId));
  const { result } = await client.admin("range-show", { rangeId: range });
  client.stream?.close();
  const { explain } = result as { explain: { rule: string; text: string }[] };
  return explain.find((line) => line.rule === rule)!.text;
}

const settings = {
  splitOperationsPerSecond: 300,
  splitSampleMs: 1500,
  balanceLoadPercent: 25,
  mergeBytes: 1024 * 1024,
};

test("a zipfian load on one range is split within a minute; its halves have other leaders, share it, and do not merge", async () => {
  const cluster = await TestCluster.start({ settings });
  await cluster.runFor(3000);
  let state = 1;
  const unit = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  // The hottest keys lie side by side; key 1 has a tenth of all.
  const zipfian = (): string => `k${String(Math.floor(20_000 ** unit())).padStart(5, "0")}`;
  const writer = new Writer(cluster);
  let ranges: RangeRow[] = [];
  for (let i = 0; i < 12; i++) {
    await writer.write(5000, zipfian);
    ranges = await userRanges(cluster);
    if (ranges.length === 2 && ranges[0]!.leaderStoreId !== ranges[1]!.leaderStoreId) break;
  }
  expect(ranges).toHaveLength(2);
  expect(ranges[0]!.leaderStoreId).not.toBe(ranges[1]!.leaderStoreId);
  await writer.write(12_000, zipfian);
  ranges = await userRanges(cluster);
  expect(ranges).toHaveLength(2);
  const all = ranges.reduce((sum, { writesPerSecond }) => sum + writesPerSecond, 0);
  for (const { writesPerSecond } of ranges) {
    expect(writesPerSecond / all).toBeGreaterThan(0.35);
    expect(writesPerSecond / all).toBeLessThan(0.65);
  }
  expect(await explained(cluster, "merge")).toContain("operations a second, more than 150");
});

test("ranges share the time of a busy loop by what each has to take in and answer", async () => {
  const cluster = await TestCluster.start({
    stores: 1,
    splitAt: ["m"],
    settings: { ...settings, splitOperationsPerSecond: 0, splitLoopPercent: 2 },
    loopBusyShare: 0.8,
  });
  await cluster.runFor(3000);
  let next = 0;
  await new Writer(cluster).write(2500, () => (next++ % 5 === 0 ? "x" : "a"));
  const percentOf = async (range: number): Promise<number> =>
    Number(/^(\d+) percent of its leader's loop/.exec(await explained(cluster, "split-by-load", range))?.[1]);
  const [busy, calm] = [await percentOf(2), await percentOf(3)];
  expect(busy / calm).toBeGreaterThan(3);
  expect(busy / calm).toBeLessThan(4.5);
  // The meta range takes in and answers little.
  expect(busy + calm).toBeGreaterThan(30);
  expect(busy + calm).toBeLessThanOrEqual(81);
});

test("one hot key, and keys that only rise, split nothing, and it is said why", async () => {
  const cluster = await TestCluster.start({ settings });
  await cluster.runFor(3000);
  const writer = new Writer(cluster);
  await writer.write(12_000, () => "k");
  expect(await explained(cluster, "split-by-load")).toContain("no useful key: one key has 100 % of its load");
  let next = 0;
  await writer.write(12_000, () => `k${String(next++).padStart(8, "0")}`);
  expect(await explained(cluster, "split-by-load")).toContain("no useful key: its keys move in one direction");
  expect((await userRanges(cluster)).map((row) => row.rangeId)).toEqual([rangeId(firstRange)]);
});
