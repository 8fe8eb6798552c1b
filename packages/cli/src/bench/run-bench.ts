/** One run of a workload, from the first key to the result. */
import type { Command } from "commander";
import { randomBytes } from "node:crypto";
import { Failure, keyBytesMax, userKeyOf, valueBytesMaxDefault } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { addClusterOptions, connectOptionsOf, countOption, textOption } from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import type { ClusterClient, PutRecord } from "../cluster-client.ts";
import type { CommandIo, Invocation } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { bytesOfBinaryString } from "../output/bytes-text.ts";
import { askNodes } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";
import { formatBytes, formatFields } from "../output/table.ts";
import { benchKeys } from "./bench-keys.ts";
import { BenchLoop } from "./bench-loop.ts";
import { commit, machine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { NodeMeters } from "./node-meters.ts";

export type Workload = "put" | "get";

interface BenchPlan {
  readonly workload: Workload;
  readonly inFlight: number;
  readonly clients: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
}

export interface BenchResult {
  readonly workload: Workload;
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly errors: number;
  readonly unknown: number;
  readonly latencyMs: {
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly p999: number;
    readonly max: number;
  };
  readonly durationMs: number;
  readonly inFlight: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly fsyncs: number | null;
  readonly cpuMicrosPerOperation: number | null;
  readonly peakRssBytes: number | null;
  readonly commit: string | null;
  readonly machine: Machine;
  readonly clients: number;
  readonly keys: number;
  readonly warmUpMs: number;
  readonly ranges: number;
  readonly nodes: number;
  readonly errorCodes: Readonly<Record<string, number>>;
}

const valuesKept = 64;
const keysMax = 5_000_000;

export function addBenchOptions(command: Command): void {
  addClusterOptions(command)
    .option("--in-flight <n>", "operations on their way, all clients together", "1000")
    .option("--clients <n>", "clients, each with connections of its own", "1")
    .option("--key-bytes <n>", "length of a key", "16")
    .option("--value-bytes <n>", "length of a value", "256")
    .option("--keys <n>", "different keys, evenly over the ranges, drawn at random", "100000")
    .option("--duration <seconds>", "what is measured, behind the warm-up", "10")
    .option("--warm-up <seconds>", "not measured", "5");
  command.addHelpText("after", "\nThe keys stay in the cluster.");
}

export async function runBench(invocation: Invocation, workload: Workload): Promise<number> {
  const plan = parsePlan(invocation, workload);
  const { io } = invocation;
  const connection = await connectOptionsOf(invocation);
  const clients: ClusterClient[] = [];
  try {
    for (let i = 0; i < plan.clients; i++) clients.push(await io.connect(connection));
    const result = await measure(io, clients, plan);
    await writeObject(io, invocation.format, result, () => table(result));
    return result.errors === 0 ? exitDone : exitNotDone;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

function parsePlan({ options }: Invocation, workload: Workload): BenchPlan {
  const count = (name: string, flag: string, max: number): number => countOption(options, name, flag, 1, max)!;
  const inFlight = count("inFlight", "--in-flight", 50_000);
  const clients = count("clients", "--clients", 100);
  if (clients > inFlight)
    throw new Failure(
      "InvalidArgument",
      `--clients ${clients} is more than --in-flight ${inFlight}: each client needs an operation`,
    );
  return {
    workload,
    inFlight,
    clients,
    keyBytes: count("keyBytes", "--key-bytes", keyBytesMax),
    valueBytes: countOption(options, "valueBytes", "--value-bytes", 0, valueBytesMaxDefault)!,
    keys: count("keys", "--keys", keysMax),
    durationMs: parseDurationMs("--duration", String(options["duration"])),
    warmUpMs: textOption(options, "warmUp") === "0" ? 0 : parseDurationMs("--warm-up", String(options["warmUp"])),
  };
}

async function measure(io: CommandIo, clients: readonly ClusterClient[], plan: BenchPlan): Promise<BenchResult> {
  const first = clients[0]!;
  const { ranges } = await first.bare.routes();
  const keys = benchKeys(
    ranges.map(({ descriptor }) => descriptor),
    plan.keys,
    plan.keyBytes,
  );
  const values = Array.from({ length: valuesKept }, () => new Uint8Array(randomBytes(plan.valueBytes)));
  const nodes = await askNodes(first);
  const meters = new NodeMeters(nodes);
  if (plan.workload === "get") await preload(io, first, keys, values);
  const loop = new BenchLoop(
    clients.map(({ bare }) => bare.internals),
    { ...plan, keys, values, seed: randomBytes(4).readUInt32LE() },
  );
  loop.start();
  note(io, `warming up for ${plan.warmUpMs / 1000} s\n`);
  await pause(plan.warmUpMs, io);
  const before = await meters.read();
  meters.startSampling();
  loop.reset();
  const startedMs = performance.now();
  await pause(plan.durationMs, io, () =>
    note(
      io,
      `${Math.round(loop.counts.operations / ((performance.now() - startedMs) / 1000))} operations/s, ${loop.counts.errors} errors\n`,
    ),
  );
  const durationMs = performance.now() - startedMs;
  const { operations, errors, unknown } = loop.counts;
  const latencyMs = percentiles(loop);
  const errorCodes = Object.fromEntries(loop.errorCodes);
  meters.stopSampling();
  const after = await meters.read();
  await loop.stop();
  return {
    workload: plan.workload,
    operations,
    opsPerSecond: Math.round((operations * 1000) / durationMs),
    errors,
    unknown,
    latencyMs,
    durationMs: Math.round(durationMs),
    inFlight: plan.inFlight,
    keyBytes: plan.keyBytes,
    valueBytes: plan.valueBytes,
    fsyncs: before.fsyncs === null || after.fsyncs === null ? null : after.fsyncs - before.fsyncs,
    cpuMicrosPerOperation:
      before.cpuMicros === null || after.cpuMicros === null || operations === 0
        ? null
        : rounded((after.cpuMicros - before.cpuMicros) / operations),
    peakRssBytes: meters.peakRssBytes,
    commit: commit(),
    machine: machine(),
    clients: plan.clients,
    keys: plan.keys,
    warmUpMs: plan.warmUpMs,
    ranges: ranges.length,
    nodes: nodes.length,
    errorCodes,
  };
}

/** A read of nothing is cheaper than a read: every key is there before the first one. */
async function preload(
  io: CommandIo,
  client: ClusterClient,
  keys: readonly Key[],
  values: readonly Uint8Array[],
): Promise<void> {
  note(io, `writing ${keys.length} keys\n`);
  async function* records(): AsyncGenerator<PutRecord, void, undefined> {
    for (const [index, key] of keys.entries())
      yield { key: bytesOfBinaryString(userKeyOf(key)), value: values[index % values.length]! };
  }
  let failure: Error | undefined;
  await client.putMany(records(), { onFailure: (error) => (failure ??= error) });
  if (failure !== undefined) throw failure;
}

function percentiles({ histogram }: BenchLoop): BenchResult["latencyMs"] {
  const at = (percentile: number): number => rounded(histogram.getValueAtPercentile(percentile) / 1000);
  return { p50: at(50), p90: at(90), p99: at(99), p999: at(99.9), max: rounded(histogram.maxValue / 1000) };
}

const rounded = (value: number): number => Math.round(value * 100) / 100;

function note(io: CommandIo, text: string): void {
  if (io.noteIsTerminal) io.note(text);
}

/** Ends early, with an error, when the user interrupts. */
async function pause(milliseconds: number, io: CommandIo, everySecond: () => void = () => {}): Promise<void> {
  const interrupted = io.interrupted();
  interrupted.throwIfAborted();
  const ticker = setInterval(everySecond, 1000);
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => reject(interrupted.reason as Error);
      interrupted.addEventListener("abort", onAbort, { once: true });
      setTimeout(() => {
        interrupted.removeEventListener("abort", onAbort);
        resolve();
      }, milliseconds);
    });
  } finally {
    clearInterval(ticker);
  }
}

function table(result: BenchResult): string {
  const { latencyMs, machine: where } = result;
  const codes = Object.entries(result.errorCodes)
    .map(([code, count]) => `${count} ${code}`)
    .join(", ");
  return formatFields([
    [
      "workload",
      `${result.workload}, ${result.keyBytes} B keys, ${result.valueBytes} B values, ${result.keys} keys in ${result.ranges - 1} ranges on ${result.nodes} nodes`,
    ],
    [
      "load",
      `${result.inFlight} in flight from ${result.clients} clients, ${(result.durationMs / 1000).toFixed(1)} s after ${result.warmUpMs / 1000} s of warm-up`,
    ],
    ["operations", `${result.operations}, ${result.opsPerSecond}/s`],
    ["errors", result.errors === 0 ? 0 : `${result.errors} (${codes}), ${result.unknown} of unknown outcome`],
    [
      "latency ms",
      `p50 ${latencyMs.p50}, p90 ${latencyMs.p90}, p99 ${latencyMs.p99}, p99.9 ${latencyMs.p999}, max ${latencyMs.max}`,
    ],
    ["fsyncs", result.fsyncs],
    ["cpu us per operation", result.cpuMicrosPerOperation],
    ["peak memory of a node", formatBytes(result.peakRssBytes)],
    ["commit", result.commit],
    [
      "machine",
      `${where.cores} cores, ${where.cpu}, ${formatBytes(where.memoryBytes)}, ${where.os}, node ${where.node}`,
    ],
  ]);
}
