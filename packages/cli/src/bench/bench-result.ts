/**
 * The documents of the benchmarks: what `-o json` prints and what stands in the files under `results/`. Fields are only
 * added. Times are milliseconds unless the name says otherwise; what could not be measured is `null`.
 */
import type { IdleResult } from "./idle/idle-result.ts";
import type { Latencies, LoadSecond } from "./load-meter.ts";
import type { Disk, Provenance } from "./provenance.ts";
import type { HistoryCheck } from "./register-history.ts";
import type { Spread } from "./spread.ts";
import type { WorkloadPlan } from "./workload-plan.ts";

/** Of one window of load, whatever system it was on. */
export interface LoadResult {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly errors: number;
  readonly unknown: number;
  readonly errorCodes: Readonly<Record<string, number>>;
  /** From the moment an operation was due: with a rate, corrected for coordinated omission. */
  readonly latencyMs: Latencies;
  /** From sending; `null` for a closed loop, where it is the same. */
  readonly serviceMs: Latencies | null;
  readonly latencyDistribution: readonly (readonly [percentile: number, ms: number])[];
  /** Due by the clock, and never sent: not 0 when the rate was too high. */
  readonly unsent: number;
  readonly longestPauseMs: number;
  readonly seconds: readonly LoadSecond[];
  readonly durationMs: number;
  readonly fsyncs: number | null;
  readonly fsyncsPerSecond: number | null;
  /** Of servers and client together. */
  readonly cpuMicrosPerOperation: number | null;
  readonly serverCpuMicrosPerOperation: number | null;
  readonly clientCpuMicrosPerOperation: number;
  /**
   * Bytes all servers together had written, for each byte of key and value put, as /proc/PID/io counts: a small write into
   * a large folio of the page cache counts with the whole folio there, up to 2 MiB. `null` without writes.
   */
  readonly bytesWrittenPerByte: number | null;
  /** The same as the disk counts, with everything else that was written to it meanwhile. */
  readonly diskBytesWrittenPerByte: number | null;
  /** Of the largest server. */
  readonly peakRssBytes: number | null;
  readonly clientPeakRssBytes: number | null;
}

/** One of several runs. */
export type RunSummary = Pick<
  LoadResult,
  "operations" | "opsPerSecond" | "errors" | "latencyMs" | "cpuMicrosPerOperation" | "bytesWrittenPerByte"
>;

export interface WorkloadResult extends LoadResult, Provenance {
  readonly kind: "workload";
  readonly workload: WorkloadPlan["workload"];
  readonly inFlight: number;
  readonly clients: number;
  readonly ratePerSecond: number | null;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly distribution: WorkloadPlan["distribution"];
  readonly readPercent: number | null;
  readonly scanRecords: number | null;
  readonly recordsPerSecond: number | null;
  /** Read-modify-writes that began again because another write came between. */
  readonly conflicts: number | null;
  readonly batching: boolean;
  readonly seed: number;
  readonly warmUpMs: number;
  readonly ranges: number;
  readonly nodes: number;
  readonly runs: readonly RunSummary[];
  readonly spread: Readonly<Record<"opsPerSecond" | "p50Ms" | "p99Ms" | "cpuMicrosPerOperation", Spread | null>>;
  /** With `--check`. */
  readonly linearizability: Omit<HistoryCheck, "failures"> | null;
}

/** One system in one row of the comparison. */
export interface ComparedSystem {
  readonly name: string;
  readonly runs: readonly ComparedRun[];
  readonly opsPerSecond: Spread;
}

export interface ComparedRun {
  readonly opsPerSecond: number;
  readonly latencyMs: Pick<Latencies, "p50" | "p99"> | null;
  readonly errors: number;
  /** Processors that were busy on the average: 1 = one whole core. */
  readonly clientCores: number | null;
  readonly serverCores: number | null;
  readonly peakRssBytes: number | null;
  readonly fsyncsPerSecond: number | null;
  /** What has to be known about this run. */
  readonly note: string | null;
}

export interface ComparedRow {
  readonly row: number;
  readonly title: string;
  readonly systems: readonly ComparedSystem[];
}

export interface CompareResult extends Provenance {
  readonly kind: "compare";
  readonly etcdVersion: string;
  readonly etcdClient: string;
  readonly disk: Disk;
  readonly rounds: number;
  readonly rows: readonly ComparedRow[];
  readonly limits: readonly string[];
}

export interface SustainedResult extends LoadResult, Provenance {
  readonly kind: "sustained";
  readonly disk: Disk;
  readonly inFlight: number;
  readonly keys: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly periodMs: number;
  readonly periods: readonly { readonly opsPerSecond: number; readonly rssBytes: readonly number[] }[];
  /** The last period's throughput over the median of the 2nd to 4th; `null` with fewer than five periods. */
  readonly lastAgainstEarly: number | null;
  readonly longestPause: { readonly ms: number; readonly atMs: number };
}

export interface OverloadPhase {
  readonly name: "before" | "overload" | "after";
  readonly durationMs: number;
  readonly inFlight: number;
  readonly syncDelayMs: number;
  readonly opsPerSecond: number;
  readonly latencyMs: Latencies;
  readonly errorCodes: Readonly<Record<string, number>>;
  /** Commands that a store refused before it proposed them; the client tries again until an operation's time is up. */
  readonly refusedByStores: number | null;
  readonly seconds: readonly LoadSecond[];
}

export interface OverloadResult extends Provenance {
  readonly kind: "overload";
  readonly disk: Disk;
  readonly keys: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly phases: readonly OverloadPhase[];
  /** Errors of the application with code `Busy`, over all phases. */
  readonly busyErrors: number;
  readonly peakRssBytes: number | null;
  /** The largest node's memory in the overload's last quarter against its second quarter, as medians: about 1 = bounded. */
  readonly memoryGrowth: number | null;
  readonly memory: readonly { readonly atMs: number; readonly rssBytes: readonly number[] }[];
  /** From the end of the overload until three seconds in a row were as before; `null`: not within the phase. */
  readonly recoveryMs: number | null;
}

export type BenchResult = WorkloadResult | CompareResult | SustainedResult | OverloadResult | IdleResult;
