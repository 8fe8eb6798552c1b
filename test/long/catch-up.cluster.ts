/** A node that was away catches up by itself: from the others' logs, or from range snapshots when these keep too little. */
import { afterEach, expect, test } from "vitest";
import type { Client } from "@flotilla/client";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { Writers, contentOf, expectExactly } from "../cluster/writers.ts";

afterEach(closeAllClusters);

const mebibyte = 1024 * 1024;
const logBytesTarget = 2 * mebibyte;
const smallLog: Readonly<Record<string, string>> = {
  FLOTILLA_LOG_SEGMENT_BYTES: "1MiB",
  FLOTILLA_LOG_BYTES_TARGET: "2MiB",
  FLOTILLA_FLUSH_BYTES: "256KiB",
};

/** What the node's own replicas hold: nobody else can answer. */
function ownContent(cluster: RealCluster, node: number): Promise<Map<string, string>> {
  return cluster.alone(node, async () => {
    const client = cluster.client({ endpoints: [cluster.endpoints[node - 1]!], timeoutMs: 8000 });
    try {
      return await contentOf(client, "stale");
    } finally {
      await client.close();
    }
  });
}

/** Resolves with how long it took until the node's own replicas held as many records. */
async function untilItHolds(cluster: RealCluster, node: number, records: number): Promise<void> {
  const name = `node ${node} holds ${records} records`;
  await until(name, async () => {
    const rows = await cluster.ranges();
    const states = rows.map(({ replicas }) => replicas.find(({ storeId }) => storeId === node)!.state);
    return states.every((state) => state === "replicate" || state === "leader");
  });
  await until(name, async () => (await ownContent(cluster, node)).size === records);
}

async function writeLarge(client: Client, from: number, count: number): Promise<void> {
  const value = new Uint8Array(16 * 1024).fill(0x76);
  const keys = Array.from({ length: count }, (_, i) => `${String.fromCharCode(0x30 + (i % 78))}large-${from + i}`);
  await client.putMany(keys.map((key) => [key, value] as const));
}

test("a node that was killed catches up from the log after a short absence, and by range snapshots after a long one", async ({
  annotate,
}) => {
  const cluster = await RealCluster.start({ ranges: 3, environment: smallLog });
  await cluster.untilEven(4);
  const client = cluster.client({ timeoutMs: 20_000 });
  const writers = new Writers(client, 8);
  await until("there is load", () => writers.acknowledged.length > 300);
  cluster.kill(3);
  const without = writers.acknowledged.length;
  await until("writes go on without it", () => writers.acknowledged.length > without + 300);
  await writers.stop();
  let startedMs = performance.now();
  await cluster.restart(3, smallLog);
  await untilItHolds(cluster, 3, writers.acknowledged.length);
  const byLogMs = performance.now() - startedMs;
  expectExactly(await ownContent(cluster, 3), writers);
  expect(await cluster.metric(3, "flotilla_snapshots_installed_total")).toBe(0);

  cluster.kill(3);
  await until("it has ended", () => cluster.entries()[2]!.pid === null);
  const large = Math.ceil((4 * logBytesTarget) / (16 * 1024));
  await writeLarge(client, 0, large);
  await until("the logs of the others keep less than was written", async () => {
    const bytes = await Promise.all([1, 2].map((node) => cluster.metric(node, "flotilla_log_bytes")));
    return Math.max(...bytes) <= 2 * logBytesTarget;
  });
  startedMs = performance.now();
  await cluster.restart(3, smallLog);
  await untilItHolds(cluster, 3, writers.acknowledged.length + large);
  await annotate(`by log ${Math.round(byLogMs)} ms, by snapshots ${Math.round(performance.now() - startedMs)} ms`);
  expect(await cluster.metric(3, "flotilla_snapshots_installed_total")).toBeGreaterThan(0);
  const content = await ownContent(cluster, 3);
  expect(writers.acknowledged.filter((key) => content.get(key) !== key)).toEqual([]);
  // It counts for a majority again.
  cluster.kill(1);
  await client.put("again", "1", { timeoutMs: 20_000 });
});
