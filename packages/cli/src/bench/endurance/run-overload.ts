/**
 * What happens when more is asked than a slow disk can take, and how long it takes to be well again. Three phases: the usual
 * load; ten times as much while every fdatasync of the log takes longer; the usual load again, on a disk that is well.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { Failure, keyBytesMax, valueBytesMaxDefault } from "@flotilla/base";
import { addOutputOption, countOption } from "../../arguments/common-options.ts";
import { parseDurationMs } from "../../arguments/duration.ts";
import type { CommandIo, Invocation } from "../../command-io.ts";
import { exitDone } from "../../exit-code.ts";
import { writeObject } from "../../output/documents.ts";
import { formatBytes, formatFields, formatTable } from "../../output/table.ts";
import type { OverloadPhase, OverloadResult } from "../bench-result.ts";
import { sumOfMetric } from "../http-metrics.ts";
import { pauseUnlessInterrupted } from "../interruptible-pause.ts";
import type { LoadLoop } from "../load-loop.ts";
import type { LoadSecond } from "../load-meter.ts";
import { hundredths } from "../load-result.ts";
import type { OperationSlot } from "../operation-driver.ts";
import type { OwnCluster } from "../own-cluster.ts";
import { ProcessMeters } from "../process-meters.ts";
import type { MemorySample } from "../process-meters.ts";
import { provenance } from "../provenance.ts";
import { addResultOptions, saveResult } from "../result-files.ts";
import { median } from "../spread.ts";
import { addDirectoryOption } from "../work-directory.ts";
import { provenanceFields } from "../workload-table.ts";
import { PutLoads } from "./put-load.ts";
import { withOwnCluster } from "./with-own-cluster.ts";

export interface OverloadPlan {
  readonly inFlight: number;
  readonly usualInFlight: number;
  readonly keys: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly durationMs: number;
  readonly usualMs: number;
  readonly recoveryMs: number;
  readonly syncDelayMs: number;
}

/** The nodes' hidden setting for a slow disk: a file with milliseconds in it. */
const syncDelayVariable = "FLOTILLA_TEST_SYNC_DELAY_FILE";
const syncDelayFile = "sync-delay-ms";
const totalMsMax = 13 * 60_000;
const sampleMs = 500;
/** As before: so much of the throughput, at most so many times the p99, in so many seconds in a row. */
const recoveredShare = 0.9;
const recoveredP99Factor = 2;
const recoveredSeconds = 3;

export function addOverloadOptions(command: Command): void {
  addOutputOption(command)
    .option("--duration <duration>", "how long the overload lasts", "3m")
    .option("--before <duration>", "how long the usual load is measured first", "20s")
    .option("--after <duration>", "how long it may take to be well again", "60s")
    .option("--in-flight <n>", "puts on their way in the overload", "10000")
    .option("--usual-in-flight <n>", "puts on their way before and after it", "1000")
    .option("--sync-delay <duration>", "so much longer each fdatasync of the log takes in the overload", "100ms")
    .option("--keys <n>", "different keys, drawn uniformly", "100000")
    .option("--key-bytes <n>", "length of a key", "16")
    .option("--value-bytes <n>", "length of a value", "1024");
  addDirectoryOption(command);
  addResultOptions(command);
  command.addHelpText(
    "after",
    `\nIt starts three nodes of its own, and removes their data at the end. The disk is not really slow: the nodes run with\n${syncDelayVariable}, which has them answer each sync of the log later.`,
  );
}

export function parseOverloadPlan({ options }: Pick<Invocation, "options">): OverloadPlan {
  const duration = (name: string, flag: string): number => parseDurationMs(flag, String(options[name]));
  const plan: OverloadPlan = {
    inFlight: countOption(options, "inFlight", "--in-flight", 1, 50_000)!,
    usualInFlight: countOption(options, "usualInFlight", "--usual-in-flight", 1, 50_000)!,
    keys: countOption(options, "keys", "--keys", 1, 20_000_000)!,
    keyBytes: countOption(options, "keyBytes", "--key-bytes", 1, keyBytesMax)!,
    valueBytes: countOption(options, "valueBytes", "--value-bytes", 0, valueBytesMaxDefault)!,
    durationMs: duration("duration", "--duration"),
    usualMs: duration("before", "--before"),
    recoveryMs: duration("after", "--after"),
    syncDelayMs: duration("syncDelay", "--sync-delay"),
  };
  if (plan.durationMs + plan.usualMs + plan.recoveryMs > totalMsMax) {
    throw new Failure("InvalidArgument", `--before, --duration and --after: at most ${totalMsMax / 60_000} minutes`);
  }
  if (plan.syncDelayMs > 10_000) throw new Failure("InvalidArgument", "--sync-delay may be at most 10s");
  return plan;
}

export async function runOverload(invocation: Invocation): Promise<number> {
  const plan = parseOverloadPlan(invocation);
  const origin = provenance();
  const recordBytes = plan.keys * (plan.keyBytes + plan.valueBytes);
  const environment = (directory: string): Record<string, string> => ({
    [syncDelayVariable]: join(directory, syncDelayFile),
  });
  const result = await withOwnCluster(invocation, { recordBytes, environment }, async (cluster, directory) => {
    const setDelay = (ms: number): void => writeFileSync(join(directory.path, syncDelayFile), String(ms));
    const run = new OverloadRun(invocation.io, cluster, plan, setDelay);
    const { keys, keyBytes, valueBytes } = plan;
    const overload: OverloadResult = {
      kind: "overload",
      ...origin,
      disk: directory.disk,
      ...{ keys, keyBytes, valueBytes },
      ...(await run.measure()),
    };
    return overload;
  });
  await writeObject(invocation.io, invocation.format, result, () => overloadTable(result));
  await saveResult(invocation, result);
  return exitDone;
}

type Measured = Pick<
  OverloadResult,
  "phases" | "busyErrors" | "peakRssBytes" | "memoryGrowth" | "memory" | "recoveryMs"
>;

class OverloadRun {
  readonly #io: CommandIo;
  readonly #cluster: OwnCluster;
  readonly #plan: OverloadPlan;
  readonly #setDelay: (ms: number) => void;

  constructor(io: CommandIo, cluster: OwnCluster, plan: OverloadPlan, setDelay: (ms: number) => void) {
    this.#io = io;
    this.#cluster = cluster;
    this.#plan = plan;
    this.#setDelay = setDelay;
  }

  async measure(): Promise<Measured> {
    const { inFlight, usualInFlight, durationMs, usualMs, recoveryMs, syncDelayMs } = this.#plan;
    const { endpoints, servers } = this.#cluster;
    const loads = await PutLoads.connect(this.#io, { ...this.#plan, endpoints, inFlightMax: inFlight });
    const processes = new ProcessMeters(servers.pids);
    processes.startSampling(sampleMs);
    const startedMs = performance.now();
    try {
      const before = await this.#phase(loads, "before", usualInFlight, 0, usualMs);
      const overloadFromMs = performance.now();
      const overload = await this.#phase(loads, "overload", inFlight, syncDelayMs, durationMs);
      const overloadUntilMs = performance.now();
      // What the overload left under way is still under way: that is a part of recovering.
      const after = await this.#phase(loads, "after", usualInFlight, 0, recoveryMs);
      await loads.drain();
      const phases = [before, overload, after];
      return {
        phases,
        busyErrors: phases.reduce((sum, { errorCodes }) => sum + (errorCodes["Busy"] ?? 0), 0),
        peakRssBytes: processes.peakRssBytes,
        memoryGrowth: memoryGrowth(processes.samples, overloadFromMs, overloadUntilMs),
        memory: processes.samples.map(({ atMs, rssBytes }) => ({ atMs: Math.round(atMs - startedMs), rssBytes })),
        recoveryMs: recoveryTime(before.seconds, after.seconds),
      };
    } finally {
      this.#setDelay(0);
      processes.stopSampling();
      await loads.close();
    }
  }

  async #phase(
    loads: PutLoads,
    name: OverloadPhase["name"],
    inFlight: number,
    syncDelayMs: number,
    durationMs: number,
  ): Promise<OverloadPhase> {
    this.#io.note(`${name}: ${inFlight} in flight, fdatasync ${syncDelayMs} ms longer, ${durationMs / 1000} s\n`);
    const refusedBefore = await this.#refused();
    this.#setDelay(syncDelayMs);
    const loop: LoadLoop<OperationSlot> = loads.start(inFlight);
    const startedMs = performance.now();
    await pauseUnlessInterrupted(durationMs, this.#io.interrupted());
    loop.endWindow();
    const elapsedMs = performance.now() - startedMs;
    this.#cluster.requireAlive();
    const refusedAfter = await this.#refused();
    const { meter } = loop;
    return {
      name,
      durationMs: Math.round(elapsedMs),
      inFlight,
      syncDelayMs,
      opsPerSecond: Math.round((meter.operations * 1000) / elapsedMs),
      latencyMs: meter.latencyMs,
      errorCodes: Object.fromEntries(meter.errorCodes),
      refusedByStores: refusedBefore === null || refusedAfter === null ? null : refusedAfter - refusedBefore,
      seconds: meter.seconds,
    };
  }

  #refused(): Promise<number | null> {
    return sumOfMetric(this.#cluster.servers.metricAddresses, "flotilla_commands_refused_total");
  }
}

/** The largest node's memory in the last quarter of the time against the second quarter, both as medians. */
export function memoryGrowth(samples: readonly MemorySample[], fromMs: number, untilMs: number): number | null {
  const quarterMs = (untilMs - fromMs) / 4;
  const typical = (startMs: number): number | null => {
    const values = samples
      .filter(({ atMs }) => atMs >= startMs && atMs < startMs + quarterMs)
      .map(({ rssBytes }) => Math.max(0, ...rssBytes));
    return values.length === 0 ? null : median(values);
  };
  const early = typical(fromMs + quarterMs);
  const late = typical(fromMs + 3 * quarterMs);
  return early === null || late === null || early === 0 ? null : hundredths(late / early);
}

/** Until the first of three seconds in a row that were as before; the first second before is a warm-up, and left out. */
export function recoveryTime(
  before: readonly Pick<LoadSecond, "operations" | "p99Ms">[],
  after: readonly Pick<LoadSecond, "operations" | "p99Ms">[],
): number | null {
  const usual = before.slice(1);
  if (usual.length === 0) return null;
  const operationsMin = recoveredShare * median(usual.map(({ operations }) => operations));
  const p99Max = recoveredP99Factor * median(usual.map(({ p99Ms }) => p99Ms));
  let inARow = 0;
  for (const [index, { operations, p99Ms }] of after.entries()) {
    inARow = operations >= operationsMin && p99Ms <= p99Max ? inARow + 1 : 0;
    if (inARow === recoveredSeconds) return (index + 1 - recoveredSeconds) * 1000;
  }
  return null;
}

function overloadTable(result: OverloadResult): string {
  const phases = formatTable(
    [
      { title: "phase", cell: ({ name }) => name },
      { title: "seconds", right: true, cell: ({ durationMs }) => hundredths(durationMs / 1000) },
      { title: "in flight", right: true, cell: ({ inFlight }) => inFlight },
      { title: "fdatasync", right: true, cell: ({ syncDelayMs }) => `+${syncDelayMs} ms` },
      { title: "puts/s", right: true, cell: ({ opsPerSecond }) => opsPerSecond },
      { title: "p50 ms", right: true, cell: ({ latencyMs }) => latencyMs.p50 },
      { title: "p99 ms", right: true, cell: ({ latencyMs }) => latencyMs.p99 },
      { title: "max ms", right: true, cell: ({ latencyMs }) => latencyMs.max },
      { title: "refused by stores", right: true, cell: ({ refusedByStores }) => refusedByStores },
      {
        title: "errors",
        right: true,
        cell: ({ errorCodes }) =>
          Object.entries(errorCodes)
            .map(([code, count]) => `${count} ${code}`)
            .join(", ") || "0",
      },
    ],
    result.phases,
  );
  const { peakRssBytes, memoryGrowth: growth, recoveryMs, keys, keyBytes, valueBytes } = result;
  return `${phases}\n${formatFields([
    ["load", `puts, ${keyBytes} B keys, ${valueBytes} B values, uniform over ${keys} keys`],
    ["Busy errors", result.busyErrors],
    ["peak memory of a node", formatBytes(peakRssBytes)],
    ["memory, late against early in the overload", growth],
    ["as before again after", recoveryMs === null ? "not within the time" : `${recoveryMs / 1000} s`],
    ...provenanceFields(result),
  ])}`;
}
