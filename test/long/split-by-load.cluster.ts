/** A hot range is split by the cluster itself, while it is written to, and its halves go to different stores. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "../cluster/harness.ts";
import { PlacementOrders } from "./placement-orders.ts";

afterEach(closeAllClusters);

const withinMs = 60_000;
const perBatch = 20;
const batchMs = 20;
/** 1000 a second: more than the limit, and less than twice of it for whatever has 35 % to 65 %. */
const limit = 700;
const keys = 20_000;
/** Rates fade over ten seconds; of each half's so many are added up, a second apart. */
const settleMs = 10_000;
const samples = 10;

const sleepUntil = (atMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, Math.max(0, atMs - performance.now())));

test(
  "a zipfian write load on one range splits it within 60 s; its halves are led by different stores, each with 35-65 % of the load",
  async () => {
    const limits = { FLOTILLA_SPLIT_OPERATIONS_PER_SECOND: String(limit), FLOTILLA_BALANCE_LOAD_PERCENT: "25" };
    const cluster = await RealCluster.start({ ranges: 1, environment: limits });
    const client = cluster.client();
    const orders = new PlacementOrders(cluster.client());
    const failures: unknown[] = [];
    let ended = false;
    let written = 0;
    // The hottest keys lie side by side; the first has a tenth of all.
    const zipfian = (): string => `k${String(Math.floor(keys ** Math.random())).padStart(5, "0")}`;
    const startedMs = performance.now();
    // The same load whatever the answers take.
    const writing = (async () => {
      const underWay = new Set<Promise<void>>();
      for (let batch = 0; !ended; batch++) {
        await sleepUntil(startedMs + batch * batchMs);
        for (let i = 0; i < perBatch; i++) {
          const put: Promise<void> = client
            .put(zipfian(), "v".repeat(256))
            .then(
              () => void written++,
              (error: unknown) => void failures.push(error),
            )
            .finally(() => underWay.delete(put));
          underWay.add(put);
        }
      }
      await Promise.all(underWay);
    })();
    try {
      const leaders = async (): Promise<number> => {
        const led = (await orders.ranges()).map(({ leaderStoreId }) => leaderStoreId).filter((store) => store !== null);
        return new Set(led).size;
      };
      let splitMs = Infinity;
      while (performance.now() - startedMs < withinMs && (await leaders()) < 2) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        if (splitMs === Infinity && (await orders.ranges()).length > 1) splitMs = performance.now() - startedMs;
      }
      const tookMs = performance.now() - startedMs;
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      const writes = new Map<number, number>();
      for (let i = 0; i < samples; i++) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        for (const { rangeId, writesPerSecond } of await orders.ranges())
          writes.set(rangeId, (writes.get(rangeId) ?? 0) + (writesPerSecond ?? 0) / samples);
      }
      const ranges = await orders.ranges();
      const all = [...writes.values()].reduce((sum, each) => sum + each, 0);
      const text = ranges.map(
        ({ rangeId, leaderStoreId }) => `${rangeId} on ${leaderStoreId}: ${Math.round(writes.get(rangeId) ?? 0)}/s`,
      );
      console.log(
        `split after ${(splitMs / 1000).toFixed(1)} s, other leaders after ${(tookMs / 1000).toFixed(1)} s; ${text.join(", ")}`,
      );
      expect(tookMs).toBeLessThan(withinMs);
      expect(ranges).toHaveLength(2);
      expect(await leaders()).toBe(2);
      for (const share of writes.values()) {
        expect(share / all).toBeGreaterThan(0.35);
        expect(share / all).toBeLessThan(0.65);
      }
    } finally {
      ended = true;
      await writing;
    }
    expect(failures).toEqual([]);
    expect(written).toBeGreaterThan(20_000);
    expect(await cluster.run(["range", "check", "--timeout", "60s"])).toMatchObject({ exitCode: 0 });
  },
  withinMs + 120_000,
);
