/** Does throughput hold? Puts for minutes, counted minute by minute. */
import type { Command } from "commander";
import { Failure, keyBytesMax, valueBytesMaxDefault } from "@flotilla/base";
import { addOutputOption, countOption } from "../../arguments/common-options.ts";
import { parseDurationMs } from "../../arguments/duration.ts";
import type { CommandIo, Invocation } from "../../command-io.ts";
import { exitDone, exitNotDone } from "../../exit-code.ts";
import { writeObject } from "../../output/documents.ts";
import { formatBytes, formatFields } from "../../output/table.ts";
import type { LoadResult, SustainedResult } from "../bench-result.ts";
import { pauseUnlessInterrupted } from "../interruptible-pause.ts";
import { hundredths, loadResultOf } from "../load-result.ts";
import { NodeMeters } from "../node-meters.ts";
import type { OwnCluster } from "../own-cluster.ts";
import { provenance } from "../provenance.ts";
import { addResultOptions, saveResult } from "../result-files.ts";
import { median } from "../spread.ts";
import { addDirectoryOption } from "../work-directory.ts";
import { loadFields, provenanceFields } from "../workload-table.ts";
import { PutLoads } from "./put-load.ts";
import { withOwnCluster } from "./with-own-cluster.ts";

export interface SustainedPlan {
  readonly inFlight: number;
  readonly keys: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly durationMs: number;
  readonly periodMs: number;
}

type Period = SustainedResult["periods"][number];

const durationMsMax = 13 * 60_000;

export function addSustainedOptions(command: Command): void {
  addOutputOption(command)
    .option("--duration <duration>", "how long, at most 13 minutes", "10m")
    .option("--period <duration>", "throughput is summed up over so long", "60s")
    .option("--in-flight <n>", "puts on their way", "1000")
    .option("--keys <n>", "different keys, drawn uniformly", "1000000")
    .option("--key-bytes <n>", "length of a key", "16")
    .option("--value-bytes <n>", "length of a value", "256");
  addDirectoryOption(command);
  addResultOptions(command);
  command.addHelpText("after", "\nIt starts three nodes of its own, and removes their data at the end.");
}

export function parseSustainedPlan({ options }: Pick<Invocation, "options">): SustainedPlan {
  const plan: SustainedPlan = {
    inFlight: countOption(options, "inFlight", "--in-flight", 1, 50_000)!,
    keys: countOption(options, "keys", "--keys", 1, 20_000_000)!,
    keyBytes: countOption(options, "keyBytes", "--key-bytes", 1, keyBytesMax)!,
    valueBytes: countOption(options, "valueBytes", "--value-bytes", 0, valueBytesMaxDefault)!,
    durationMs: parseDurationMs("--duration", String(options["duration"])),
    periodMs: parseDurationMs("--period", String(options["period"])),
  };
  if (plan.durationMs > durationMsMax) {
    throw new Failure("InvalidArgument", `--duration may be at most ${durationMsMax / 60_000} minutes`);
  }
  if (plan.periodMs > plan.durationMs || plan.periodMs < 1000) {
    throw new Failure("InvalidArgument", "--period must be from 1s to --duration");
  }
  return plan;
}

export async function runSustained(invocation: Invocation): Promise<number> {
  const plan = parseSustainedPlan(invocation);
  const origin = provenance();
  const recordBytes = plan.keys * (plan.keyBytes + plan.valueBytes);
  const result = await withOwnCluster(invocation, { recordBytes }, async (cluster, { disk }) => {
    const measured = await measure(invocation.io, cluster, plan);
    const { inFlight, keys, keyBytes, valueBytes, periodMs } = plan;
    const sustained: SustainedResult = {
      kind: "sustained",
      ...measured.load,
      ...origin,
      disk,
      ...{ inFlight, keys, keyBytes, valueBytes, periodMs },
      periods: measured.periods,
      lastAgainstEarly: lastAgainstEarly(measured.periods),
      longestPause: measured.longestPause,
    };
    return sustained;
  });
  await writeObject(invocation.io, invocation.format, result, () => sustainedTable(result));
  await saveResult(invocation, result);
  return result.errors === 0 ? exitDone : exitNotDone;
}

/** Only from five periods on: the first one is still filling caches and levels, the last one must be another. */
export function lastAgainstEarly(periods: readonly Pick<Period, "opsPerSecond">[]): number | null {
  if (periods.length < 5) return null;
  const early = median(periods.slice(1, 4).map(({ opsPerSecond }) => opsPerSecond));
  return early === 0 ? null : hundredths(periods.at(-1)!.opsPerSecond / early);
}

interface Measured {
  readonly load: LoadResult;
  readonly periods: readonly Period[];
  readonly longestPause: SustainedResult["longestPause"];
}

async function measure(io: CommandIo, cluster: OwnCluster, plan: SustainedPlan): Promise<Measured> {
  const { endpoints, servers } = cluster;
  const loads = await PutLoads.connect(io, { ...plan, endpoints, inFlightMax: plan.inFlight });
  const meters = new NodeMeters(servers);
  try {
    await meters.begin();
    const loop = loads.start(plan.inFlight);
    const startedMs = performance.now();
    const periods: Period[] = [];
    let counted = 0;
    let periodStartMs = startedMs;
    while ((periods.length + 1) * plan.periodMs <= plan.durationMs) {
      const endMs = startedMs + (periods.length + 1) * plan.periodMs;
      await pauseUnlessInterrupted(endMs - performance.now(), io.interrupted());
      const nowMs = performance.now();
      const { operations, errors } = loop.meter;
      const opsPerSecond = Math.round(((operations - counted) * 1000) / (nowMs - periodStartMs));
      periods.push({ opsPerSecond, rssBytes: meters.processes.samples.at(-1)?.rssBytes ?? [] });
      counted = operations;
      periodStartMs = nowMs;
      io.note(`${periods.length}: ${opsPerSecond} puts/s, ${errors} errors\n`);
      cluster.requireAlive();
    }
    const unsent = loop.endWindow();
    const durationMs = performance.now() - startedMs;
    const cost = await meters.end();
    await loads.drain();
    const { meter } = loop;
    const putBytes = meter.operations * (plan.keyBytes + plan.valueBytes);
    return {
      load: loadResultOf({ meter, durationMs, unsent, cost, putBytes }),
      periods,
      longestPause: meter.longestPause,
    };
  } finally {
    meters.stop();
    await loads.close();
  }
}

function sustainedTable(result: SustainedResult): string {
  const { periods, periodMs, longestPause, lastAgainstEarly: ratio } = result;
  const memory = periods.map(({ rssBytes }) => formatBytes(Math.max(0, ...rssBytes)));
  return formatFields([
    [
      "load",
      `puts, ${result.inFlight} in flight, ${result.keyBytes} B keys, ${result.valueBytes} B values, uniform over ${result.keys} keys`,
    ],
    [`puts/s in each ${periodMs / 1000} s`, periods.map(({ opsPerSecond }) => opsPerSecond).join(", ")],
    ["last against median of 2-4", ratio],
    ["longest pause", `${longestPause.ms} ms, ${hundredths(longestPause.atMs / 1000)} s after the start`],
    ["largest node, each time", memory.join(", ")],
    ...loadFields(result).filter(([name]) => name !== "longest pause ms"),
    ...provenanceFields(result),
  ]);
}
