/** Two samples make a frame: rates are what counters rose by, over the time between the two readings of each. */
import type { RangeRow } from "../output/cluster-report.ts";
import type { StoreCounters, TopSample } from "./top-sample.ts";

export interface TopStore {
  readonly storeId: number;
  readonly nodeId: number;
  readonly state: string;
  readonly replicas: number | null;
  readonly leaders: number | null;
  readonly sizeBytes: number | null;
  readonly freeBytes: number | null;
  /** Puts and deletes of the ranges that it leads. */
  readonly writesPerSecond: number | null;
  /** Point reads, and pages of scans. */
  readonly readsPerSecond: number | null;
  readonly fsyncsPerSecond: number | null;
  /** Mean time to write and sync a frame of the log. */
  readonly logWriteMs: number | null;
  /** The longest that its event loop was late since its metrics were last read, by whomever. */
  readonly loopDelayMaxMs: number | null;
  /** Of its whole process. */
  readonly memoryBytes: number | null;
}

export interface TopFrame {
  /** Between the samples; null = there is only one, so no rates. */
  readonly intervalMs: number | null;
  readonly health: string;
  readonly reasons: readonly string[];
  readonly nodes: { readonly total: number; readonly live: number };
  readonly rangesTotal: number;
  readonly rangesLed: number;
  readonly stores: readonly TopStore[];
  /** In the order that was asked for. */
  readonly ranges: readonly RangeRow[];
}

export function makeFrame(before: TopSample | undefined, now: TopSample): TopFrame {
  const { status } = now;
  let intervalMs: number | null = null;
  const stores = now.stores.map((store): TopStore => {
    const { storeId, nodeId, state, replicas, leaders, sizeBytes, freeBytes } = store;
    const counters = now.counters.get(storeId);
    const rate = rates(before?.counters.get(storeId), counters);
    if (rate.elapsedMs !== null) intervalMs = Math.max(intervalMs ?? 0, rate.elapsedMs);
    const frames = rate.of("flotilla_log_frames_total");
    const frameSeconds = rate.of("flotilla_log_frame_seconds_total");
    return {
      ...{ storeId, nodeId, state, replicas, leaders, sizeBytes, freeBytes },
      writesPerSecond: rate.of("flotilla_commands_applied_total"),
      readsPerSecond: rate.of("flotilla_reads_served_total"),
      fsyncsPerSecond: rate.of("flotilla_log_fsyncs_total"),
      logWriteMs: frames === null || frameSeconds === null || frames === 0 ? null : (1000 * frameSeconds) / frames,
      loopDelayMaxMs: scaled(counters?.metrics.get("flotilla_store_loop_delay_max_seconds"), 1000),
      memoryBytes: scaled(counters?.metrics.get("process_resident_memory_bytes"), 1),
    };
  });
  return {
    intervalMs,
    health: status.health,
    reasons: status.reasons,
    nodes: status.nodes,
    rangesTotal: status.ranges.total,
    rangesLed: status.ranges.led,
    stores,
    ranges: now.ranges,
  };
}

const scaled = (value: number | undefined, factor: number): number | null =>
  value === undefined ? null : value * factor;

/** A counter that fell belongs to a process that was started again: there is no rate over that. */
function rates(
  before: StoreCounters | undefined,
  now: StoreCounters | undefined,
): { readonly elapsedMs: number | null; of(counter: string): number | null } {
  if (before === undefined || now === undefined || now.atMs <= before.atMs) return { elapsedMs: null, of: () => null };
  const elapsedMs = now.atMs - before.atMs;
  return {
    elapsedMs,
    of(counter) {
      const [from, to] = [before.metrics.get(counter), now.metrics.get(counter)];
      if (from === undefined || to === undefined || to < from) return null;
      return ((to - from) * 1000) / elapsedMs;
    },
  };
}
