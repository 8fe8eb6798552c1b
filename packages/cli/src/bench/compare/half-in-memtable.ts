/**
 * Puts a cluster into the state that row 3 reads from: every key in the engine, and half of them in the memtables as well.
 * A clean stop flushes everything; what is written after the start, if it is less than a flush, is all that is in memory.
 */
import { randomBytes } from "node:crypto";
import { Failure } from "@flotilla/base";
import type { ClusterClient } from "../../cluster-client.ts";
import type { CommandIo } from "../../command-io.ts";
import { formatBytes } from "../../output/table.ts";
import { BenchKeys } from "../bench-keys.ts";
import { readMetrics } from "../http-metrics.ts";
import type { OwnCluster } from "../own-cluster.ts";
import { preload } from "../preload.ts";
import type { RowPlan } from "./compare-plan.ts";

/** Returns what the metrics say of it, for the result. */
export async function putHalfIntoMemtables(io: CommandIo, cluster: OwnCluster, row: RowPlan): Promise<string> {
  const values = [new Uint8Array(randomBytes(row.valueBytes))];
  await withKeys(io, cluster, row, (client, keys) => preload(client, keys, values, undefined));
  await cluster.stopNodes();
  await cluster.startNodes();
  const half = { start: 0, end: Math.floor(row.keys / 2) };
  await withKeys(io, cluster, row, (client, keys) => preload(client, keys, values, undefined, half));
  const described: string[] = [];
  for (const address of cluster.servers.metricAddresses) {
    const metrics = await readMetrics(address);
    const flushes = metrics?.get("flotilla_flushes_total");
    const bytes = metrics?.get("flotilla_memtable_bytes");
    if (flushes !== 0 || bytes === undefined || bytes < half.end * row.valueBytes) {
      throw new Failure("Internal", `half of the keys were to be in the memtable of ${address}, and are not`, {
        details: { flushes: flushes ?? null, memtableBytes: bytes ?? null },
      });
    }
    described.push(formatBytes(bytes)!);
  }
  return `memtables before: ${described.join(", ")}, nothing flushed since the start`;
}

async function withKeys(
  io: CommandIo,
  { endpoints }: OwnCluster,
  row: RowPlan,
  task: (client: ClusterClient, keys: BenchKeys) => Promise<void>,
): Promise<void> {
  const client = await io.connect({ endpoints, timeoutMs: 10_000 });
  try {
    const { ranges } = await client.bare.routes();
    // The same ranges and numbers give the load's own process the same keys.
    const keys = new BenchKeys(
      ranges.map(({ descriptor }) => descriptor),
      row.keys,
      row.keyBytes,
    );
    await task(client, keys);
  } finally {
    await client.close();
  }
}
