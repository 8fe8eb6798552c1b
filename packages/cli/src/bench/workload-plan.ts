/** What a workload was asked for, checked. */
import { Option } from "commander";
import type { Command } from "commander";
import { Failure, keyBytesMax, valueBytesMaxDefault } from "@flotilla/base";
import { addClusterOptions, countOption, textOption } from "../arguments/common-options.ts";
import { parseDurationMs } from "../arguments/duration.ts";
import type { Invocation } from "../command-io.ts";
import { keyDistributionNames, zipfianKeysMax } from "./key-distribution.ts";
import type { KeyDistributionName } from "./key-distribution.ts";
import { checkedValueBytesMin } from "./operation-driver.ts";
import type { OperationWorkload } from "./operation-driver.ts";
import { addResultOptions } from "./result-files.ts";

export type Workload = OperationWorkload | "scan";

export interface WorkloadPlan {
  readonly workload: Workload;
  readonly inFlight: number;
  readonly clients: number;
  /** `undefined`: closed loop. */
  readonly ratePerSecond: number | undefined;
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly distribution: KeyDistributionName;
  /** Of `mixed`. */
  readonly readPercent: number;
  /** Of `scan`. */
  readonly scanRecords: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly runs: number;
  readonly seed: number | undefined;
  readonly check: boolean;
  /** False: every command is a message of its own. */
  readonly batching: boolean;
  /** False: the keys are there already. */
  readonly preload: boolean;
}

const keysMax = 1e12;
const preloadedKeysMax = 5_000_000;
const checkedKeysMax = 1_000_000;
const checkedValueBytesInFlightMax = 64 * 1024 * 1024;

export function addWorkloadOptions(command: Command, workload: Workload): void {
  addClusterOptions(command)
    .option("--in-flight <n>", "operations on their way, all clients together", workload === "scan" ? "32" : "1000")
    .option("--clients <n>", "clients, each with connections of its own", "1")
    .option(
      "--rate <operations>",
      "begin so many a second, by the clock, at most --in-flight at once (open loop); else each begins when one has ended",
    )
    .option("--key-bytes <n>", "length of a key", "16")
    .option("--value-bytes <n>", "length of a value", "256")
    .option("--keys <n>", "different keys, evenly over the ranges", "100000")
    .addOption(
      new Option("--distribution <name>", `how keys are drawn: ${keyDistributionNames.join(", ")}`).default("uniform"),
    )
    .option("--seed <n>", "of everything random; else another one each time");
  if (workload === "mixed") command.option("--reads <percent>", "share of reads, the rest are writes", "50");
  if (workload === "scan") command.option("--scan-records <n>", "records of one scan", "100");
  command
    .option("--duration <seconds>", "what is measured, behind the warm-up", "10")
    .option("--warm-up <seconds>", "not measured", "5")
    .option("--runs <n>", "run so often; the median run is reported, and how far the others lie apart", "1");
  if (workload !== "scan")
    command.option("--check", "record what every client saw, and say whether the history is linearizable");
  if (workload !== "put") command.option("--no-preload", "the keys are there already: do not write them first");
  command.option("--no-batching", "send every command as a message of its own, as a client without batching would");
  addResultOptions(command);
  command.addHelpText("after", "\nThe keys stay in the cluster.");
}

export function parseWorkloadPlan({ options }: Invocation, workload: Workload): WorkloadPlan {
  const count = (name: string, flag: string, max: number): number => countOption(options, name, flag, 1, max)!;
  const plan: WorkloadPlan = {
    workload,
    inFlight: count("inFlight", "--in-flight", 50_000),
    clients: count("clients", "--clients", 1_000),
    ratePerSecond: countOption(options, "rate", "--rate", 1, 10_000_000),
    keyBytes: count("keyBytes", "--key-bytes", keyBytesMax),
    valueBytes: countOption(options, "valueBytes", "--value-bytes", 0, valueBytesMaxDefault)!,
    keys: count("keys", "--keys", keysMax),
    distribution: distributionOf(options),
    readPercent: countOption(options, "reads", "--reads", 0, 100) ?? 0,
    scanRecords: countOption(options, "scanRecords", "--scan-records", 1, 1_000_000) ?? 0,
    durationMs: parseDurationMs("--duration", String(options["duration"])),
    warmUpMs: textOption(options, "warmUp") === "0" ? 0 : parseDurationMs("--warm-up", String(options["warmUp"])),
    runs: count("runs", "--runs", 100),
    seed: countOption(options, "seed", "--seed", 0, 4_294_967_295),
    check: options["check"] === true,
    batching: options["batching"] !== false,
    preload: workload !== "put" && options["preload"] !== false,
  };
  checkTogether(plan);
  return plan;
}

function distributionOf(options: Readonly<Record<string, unknown>>): KeyDistributionName {
  const given = textOption(options, "distribution");
  const found = keyDistributionNames.find((name) => name === given);
  if (found === undefined) {
    throw new Failure(
      "InvalidArgument",
      `--distribution must be one of ${keyDistributionNames.join(", ")}, got "${given}"`,
    );
  }
  return found;
}

/** What no single option shows. */
function checkTogether(plan: WorkloadPlan): void {
  const { clients, inFlight, keys, valueBytes, check, preload } = plan;
  const rules: readonly [boolean, string][] = [
    [clients <= inFlight, `--clients ${clients} is more than --in-flight ${inFlight}: each client needs an operation`],
    [
      plan.distribution !== "zipfian" || keys <= zipfianKeysMax,
      `--keys ${keys}: zipfian draws from at most ${zipfianKeysMax}`,
    ],
    [
      !preload || keys <= preloadedKeysMax,
      `--keys ${keys}: all keys are written before they are read, at most ${preloadedKeysMax}`,
    ],
    [!check || keys <= checkedKeysMax, `--keys ${keys}: with --check at most ${checkedKeysMax}`],
    [
      !check || preload || plan.workload === "put",
      "--check and --no-preload exclude each other: a history begins with what is written first",
    ],
    [
      !check || valueBytes >= checkedValueBytesMin,
      `--value-bytes ${valueBytes}: with --check at least ${checkedValueBytesMin}, every write has a value of its own`,
    ],
    [
      !check || valueBytes * inFlight <= checkedValueBytesInFlightMax,
      `--check: --value-bytes times --in-flight must be at most ${checkedValueBytesInFlightMax}`,
    ],
  ];
  for (const [holds, message] of rules) if (!holds) throw new Failure("InvalidArgument", message);
}
