/**
 * Results as files: `results/<date>-<what>.json`, one document each. They are for `bench report`, and to be kept beside
 * whatever is claimed from them.
 */
import { mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import { textOption } from "../arguments/common-options.ts";
import type { Invocation } from "../command-io.ts";
import type { BenchResult } from "./bench-result.ts";
import { fileStem } from "./provenance.ts";

export const resultsDirectory = "results";
const fileBytesMax = 16 * 1024 * 1024;
const filesMax = 1_000;

export function addResultOptions(command: Command): void {
  command
    .option("--results <dir>", "where the result is kept for `bench report`", resultsDirectory)
    .option("--no-save", "keep no file");
}

export function resultsPathOf({ options, io }: Pick<Invocation, "options" | "io">): string {
  return resolve(io.directory, textOption(options, "results") ?? resultsDirectory);
}

/** The figures are out by now: that the file cannot be written is said, and is no failure of the measurement. */
export async function saveResult(invocation: Invocation, result: BenchResult): Promise<void> {
  if (invocation.options["save"] === false) return;
  const directory = resultsPathOf(invocation);
  const what = result.kind === "workload" ? result.workload : result.kind;
  const path = join(directory, `${fileStem(result.date, what)}.json`);
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(path, JSON.stringify(result, null, 1) + "\n");
    invocation.io.note(`kept in ${path}\n`);
  } catch (error) {
    invocation.io.note(`could not be kept in ${path}: ${error instanceof Error ? error.message : String(error)}\n`);
  }
}

/** Every result in the directory, the oldest first; what is not one is named by `skipped`. */
export async function loadResults(
  directory: string,
): Promise<{ readonly results: readonly BenchResult[]; readonly skipped: readonly string[] }> {
  let names: string[];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith(".json")).sort();
  } catch (error) {
    throw new Failure("InvalidArgument", `cannot read ${directory}: ${error instanceof Error ? error.message : ""}`, {
      hint: "the bench commands keep their results there; --results names another directory",
    });
  }
  const results: BenchResult[] = [];
  const skipped: string[] = names.slice(0, Math.max(0, names.length - filesMax));
  for (const name of names.slice(-filesMax)) {
    const path = join(directory, name);
    const { size } = await stat(path);
    const found = size > fileBytesMax ? undefined : parseResult(await readFile(path, "utf8"));
    if (found === undefined) skipped.push(name);
    else results.push(found);
  }
  results.sort((a, b) => (a.date < b.date ? -1 : 1));
  return { results, skipped };
}

/** `undefined`: it is no result. The fields on which the report rests are looked at, of whatever version it is. */
export function parseResult(text: string): BenchResult | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return isResult(value) ? value : undefined;
}

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isText: Check = (value) => typeof value === "string";
const isNumber: Check = (value) => typeof value === "number" && Number.isFinite(value);
const isNumberOrNull: Check = (value) => value === null || isNumber(value);
const listOf =
  (item: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(item);
const fieldsOf =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isFields(value) && Object.entries(checks).every(([name, check]) => check(value[name]));

const isLatencies = fieldsOf({ p50: isNumber, p90: isNumber, p99: isNumber, p999: isNumber, max: isNumber });
const isSeconds = listOf(fieldsOf({ operations: isNumber, p99Ms: isNumber }));
const isSpread = fieldsOf({ min: isNumber, median: isNumber, max: isNumber });
const load: Readonly<Record<string, Check>> = {
  opsPerSecond: isNumber,
  errors: isNumber,
  latencyMs: isLatencies,
  latencyDistribution: listOf((pair) => listOf(isNumber)(pair) && (pair as unknown[]).length === 2),
  seconds: isSeconds,
  serverCpuMicrosPerOperation: isNumberOrNull,
  clientCpuMicrosPerOperation: isNumber,
  bytesWrittenPerByte: isNumberOrNull,
  fsyncsPerSecond: isNumberOrNull,
  peakRssBytes: isNumberOrNull,
  inFlight: isNumber,
  keyBytes: isNumber,
  valueBytes: isNumber,
  keys: isNumber,
};
const comparedRun = fieldsOf({ opsPerSecond: isNumber, clientCores: isNumberOrNull, serverCores: isNumberOrNull });
const comparedSystem = fieldsOf({ name: isText, runs: listOf(comparedRun), opsPerSecond: isSpread });

const isIdleState = fieldsOf({
  ranges: isNumber,
  cpuPercent: listOf(isNumberOrNull),
  rssBytes: listOf(isNumberOrNull),
  peerMessagesPerSecond: isNumberOrNull,
  peerPayloadsPerSecond: isNumberOrNull,
});
const isLedAgain = fieldsOf({ ledMs: isNumberOrNull, loopDelayMaxMs: isNumber });
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);

const byKind: Readonly<Record<BenchResult["kind"], Check>> = {
  workload: fieldsOf({ ...load, workload: isText, distribution: isText, runs: listOf(isFields) }),
  compare: fieldsOf({
    etcdVersion: isText,
    rows: listOf(fieldsOf({ row: isNumber, title: isText, systems: listOf(comparedSystem) })),
    limits: listOf(isText),
  }),
  sustained: fieldsOf({
    ...load,
    periodMs: isNumber,
    periods: listOf(fieldsOf({ opsPerSecond: isNumber, rssBytes: listOf(isNumber) })),
    lastAgainstEarly: isNumberOrNull,
    longestPause: fieldsOf({ ms: isNumber, atMs: isNumber }),
  }),
  overload: fieldsOf({
    phases: listOf(
      fieldsOf({
        name: isText,
        opsPerSecond: isNumber,
        latencyMs: isLatencies,
        seconds: isSeconds,
        inFlight: isNumber,
      }),
    ),
    busyErrors: isNumber,
    memory: listOf(fieldsOf({ atMs: isNumber, rssBytes: listOf(isNumber) })),
    recoveryMs: isNumberOrNull,
    peakRssBytes: isNumberOrNull,
    memoryGrowth: isNumberOrNull,
  }),
  idle: fieldsOf({
    ranges: isNumber,
    nodes: isNumber,
    sleepTicks: isNumber,
    deadForMs: isNumber,
    base: isIdleState,
    idle: isIdleState,
    dead: orNull(isIdleState),
    rssBytesPerReplica: isNumberOrNull,
    heapBytesPerReplica: isNumberOrNull,
    start: isLedAgain,
    kill: orNull(isLedAgain),
    coldStart: isLedAgain,
    restart: isLedAgain,
  }),
};

const provenanceFields = fieldsOf({
  kind: isText,
  date: isText,
  command: isText,
  loadAverage: isNumber,
  machine: fieldsOf({ cpu: isText, cores: isNumber, memoryBytes: isNumber, os: isText, node: isText }),
});

function isResult(value: unknown): value is BenchResult {
  if (!provenanceFields(value) || !isFields(value)) return false;
  const kind = value["kind"] as string;
  return Object.hasOwn(byKind, kind) && byKind[kind as BenchResult["kind"]](value);
}
