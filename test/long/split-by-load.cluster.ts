/** A hot range is split by the cluster itself, while it is written to, and its halves go to different stores. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "../cluster/harness.ts";

afterEach(closeAllClusters);

const withinMs = 60_000;
/** Of 20 puts; both halves together have more than the limit, each has less. */
const batchMs = 20;
const limit = 700;
const keys = 20_000;

interface Row {
  readonly rangeId: number;
  readonly system: boolean;
  readonly leaderStoreId: number | null;
  readonly writesPerSecond: number | null;
}

async function userRanges(cluster: RealCluster): Promise<Row[]> {
  const { out } = await cluster.run(["range", "list", "-o", "json"]);
  return out === "" ? [] : (JSON.parse(out) as Row[]).filter(({ system }) => !system);
}

test(
  "a zipfian write load on one range splits it within 60 s; its halves are led by different stores, each with 35-65 % of the load",
  async () => {
    const limits = ["--split-operations-per-second", String(limit), "--balance-load-percent", "25"];
    const cluster = await RealCluster.start({ ranges: 1, arguments: limits });
    const client = cluster.client();
    let ended = false;
    let written = 0;
    // The hottest keys lie side by side; the first has a tenth of all.
    const zipfian = (): string => `k${String(Math.floor(keys ** Math.random())).padStart(5, "0")}`;
    const writing = (async () => {
      while (!ended) {
        const pause = new Promise((resolve) => setTimeout(resolve, batchMs));
        await Promise.all(Array.from({ length: 20 }, () => client.put(zipfian(), "v".repeat(256))));
        written += 20;
        await pause;
      }
    })();
    const startedMs = performance.now();
    try {
      let leaders: (number | null)[] = [];
      while (performance.now() - startedMs < withinMs && new Set(leaders).size < 2) {
        await new Promise((resolve) => setTimeout(resolve, 500));
        leaders = (await userRanges(cluster)).map(({ leaderStoreId }) => leaderStoreId);
      }
      const tookMs = performance.now() - startedMs;
      const ranges = await userRanges(cluster);
      const shares = ranges.map(({ writesPerSecond }) => writesPerSecond ?? 0);
      const all = shares.reduce((sum, share) => sum + share, 0);
      const text = ranges.map(({ rangeId, leaderStoreId }, i) => `${rangeId} on ${leaderStoreId}: ${shares[i]!}/s`);
      console.log(`${(tookMs / 1000).toFixed(1)} s, ${written} writes; ${text.join(", ")}`);
      expect(tookMs).toBeLessThan(withinMs);
      expect(new Set(leaders).size).toBeGreaterThan(1);
      expect(ranges).toHaveLength(2);
      for (const share of shares) {
        expect(share / all).toBeGreaterThan(0.35);
        expect(share / all).toBeLessThan(0.65);
      }
    } finally {
      ended = true;
      await writing;
    }
    expect(await cluster.run(["range", "check", "--timeout", "60s"])).toMatchObject({ exitCode: 0 });
  },
  withinMs + 120_000,
);
