/** Of many results the last one of each kind of work. */
import type { BenchResult, CompareResult, OverloadResult, SustainedResult, WorkloadResult } from "../bench-result.ts";
import type { IdleResult } from "../idle/idle-result.ts";

export interface LatestResults {
  readonly workloads: readonly WorkloadResult[];
  readonly compare: CompareResult | undefined;
  readonly sustained: SustainedResult | undefined;
  readonly overload: OverloadResult | undefined;
  /** The last one for each number of ranges, those with fewer first. */
  readonly idle: readonly IdleResult[];
}

/** A page with more lines than that is not read. */
const workloadsMax = 8;

/** `results`: the oldest first. */
export function latestResults(results: readonly BenchResult[]): LatestResults {
  const workloads = new Map<string, WorkloadResult>();
  let compare: CompareResult | undefined;
  let sustained: SustainedResult | undefined;
  let overload: OverloadResult | undefined;
  const idle = new Map<number, IdleResult>();
  for (const result of results) {
    switch (result.kind) {
      case "workload":
        // The last one stands last, whenever the work was first measured.
        workloads.delete(workOf(result));
        workloads.set(workOf(result), result);
        break;
      case "compare":
        compare = result;
        break;
      case "sustained":
        sustained = result;
        break;
      case "overload":
        overload = result;
        break;
      case "idle":
        idle.set(result.ranges, result);
        break;
      default:
        result satisfies never;
    }
  }
  return {
    workloads: [...workloads.values()].slice(-workloadsMax),
    ...{ compare, sustained, overload },
    idle: [...idle.values()].sort((a, b) => a.ranges - b.ranges),
  };
}

/** The same work: what the figures may be laid beside each other for. */
function workOf(result: WorkloadResult): string {
  const { workload, readPercent, scanRecords, distribution, inFlight, ratePerSecond, batching } = result;
  const { keyBytes, valueBytes, keys } = result;
  return JSON.stringify([
    ...[workload, readPercent, scanRecords, distribution, inFlight, ratePerSecond, batching],
    ...[keyBytes, valueBytes, keys],
  ]);
}

/** For a legend: what tells it from the others. */
export function shortNameOf(result: WorkloadResult): string {
  const { workload, readPercent, distribution, inFlight, ratePerSecond, batching, keyBytes, valueBytes } = result;
  const parts = [readPercent === null ? workload : `${workload} ${readPercent}/${100 - readPercent}`];
  if (distribution !== "uniform") parts.push(distribution);
  parts.push(`${keyBytes}+${valueBytes} B`);
  parts.push(ratePerSecond === null ? `${inFlight} in flight` : `${ratePerSecond}/s`);
  if (!batching) parts.push("one a message");
  return parts.join(", ");
}
