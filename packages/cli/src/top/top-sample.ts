/** What one frame of `flotilla top` is made of: lists from the placement driver, and each node's own counters. */
import type { ClusterClient } from "../cluster-client.ts";
import { readMetrics } from "../bench/http-metrics.ts";
import type { Metrics } from "../bench/http-metrics.ts";
import { askClusterStatus, askNodes, askStores, rangeRows } from "../output/cluster-report.ts";
import type { ClusterStatus, RangeRow, StoreRow } from "../output/cluster-report.ts";

export const topOrders = ["operations", "writes", "reads", "bytes", "size"] as const;
export type TopOrder = (typeof topOrders)[number];

/** Rows of the hottest ranges that are fetched at once. */
export const hottestMax = 100;

export interface StoreCounters {
  /** When they were read. */
  readonly atMs: number;
  readonly metrics: Metrics;
}

export interface TopSample {
  readonly status: ClusterStatus;
  readonly stores: readonly StoreRow[];
  readonly ranges: readonly RangeRow[];
  /** By store id; a store whose node does not answer over HTTP has none. */
  readonly counters: ReadonlyMap<number, StoreCounters>;
}

export async function takeSample(client: ClusterClient, order: TopOrder, nowMs: () => number): Promise<TopSample> {
  const hottest = { order, count: hottestMax };
  const [status, stores, nodes, ranges] = await Promise.all([
    askClusterStatus(client),
    askStores(client),
    askNodes(client),
    client.admin("range-hottest", hottest, { readOnly: true }),
  ]);
  const counters = new Map<number, StoreCounters>();
  await Promise.all(
    nodes.map(async ({ httpAddress, stores: ids, state }) => {
      // The metrics of a node are those of its one store.
      const [storeId] = ids;
      if (state === "dead" || state === "decommissioned" || ids.length !== 1 || storeId === undefined) return;
      const metrics = await readMetrics(httpAddress);
      if (metrics !== null) counters.set(storeId, { atMs: nowMs(), metrics });
    }),
  );
  return { status, stores, ranges: rangeRows(ranges, "range-hottest"), counters };
}
