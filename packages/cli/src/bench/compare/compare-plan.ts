/** Which rows the comparison has, how long they take, and what the user chose of it. */
import type { Command } from "commander";
import { Failure } from "@flotilla/base";
import { addOutputOption, countOption, textOption } from "../../arguments/common-options.ts";
import { parseDurationMs } from "../../arguments/duration.ts";
import type { Invocation } from "../../command-io.ts";
import { addResultOptions } from "../result-files.ts";
import { addDirectoryOption } from "../work-directory.ts";

export interface RowPlan {
  readonly row: number;
  readonly title: string;
  readonly workload: "put" | "get";
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly inFlight: number;
  /** What loads etcd: its own tool, or a Node client. */
  readonly etcdClient: "check perf" | "etcd3";
  /** Our own client a second time, one command a message. With one operation at a time that is no difference. */
  readonly withoutBatching: boolean;
  /** All keys in the engine, half of them written again, so that they are in the memtable as well. */
  readonly halfInMemtable: boolean;
}

export const rows: readonly RowPlan[] = [
  {
    row: 1,
    title:
      "puts of new keys, 256 B keys + 1 KiB values, 1 000 in flight; etcd under its own etcdctl check perf --load xl",
    workload: "put",
    keyBytes: 256,
    valueBytes: 1024,
    // As check perf does: drawn from so many that nearly every put is of a new key.
    keys: 1_000_000_000,
    inFlight: 1000,
    etcdClient: "check perf",
    withoutBatching: true,
    halfInMemtable: false,
  },
  {
    row: 2,
    title: "puts, 16 B keys + 256 B values, 1 000 in flight, as a Node application sees it",
    workload: "put",
    keyBytes: 16,
    valueBytes: 256,
    keys: 1_000_000,
    inFlight: 1000,
    etcdClient: "etcd3",
    withoutBatching: true,
    halfInMemtable: false,
  },
  {
    row: 3,
    title:
      "linearizable gets, 16 B keys + 256 B values, half of the keys not in the memtable, 1 000 in flight, as a Node application sees it",
    workload: "get",
    keyBytes: 16,
    valueBytes: 256,
    // Half of them must fit into the memtable without a flush.
    keys: 30_000,
    inFlight: 1000,
    etcdClient: "etcd3",
    withoutBatching: true,
    halfInMemtable: true,
  },
  {
    row: 4,
    title: "one put at a time, 16 B keys + 256 B values, as a Node application sees it",
    workload: "put",
    keyBytes: 16,
    valueBytes: 256,
    keys: 1_000_000,
    inFlight: 1,
    etcdClient: "etcd3",
    withoutBatching: false,
    halfInMemtable: false,
  },
];

export interface ComparePlan {
  readonly rows: readonly RowPlan[];
  readonly rounds: number;
  readonly durationMs: number;
  readonly warmUpMs: number;
  readonly etcd: string;
  readonly etcdctl: string;
}

/** What `etcdctl check perf` takes, whatever it is asked for. */
export const checkPerfMs = 60_000;
const clusterMs = { etcd: 6_000, flotilla: 11_000 };
/** Starting a process, connecting, writing keys before reading them. */
const aroundLoadMs = 3_000;
const preloadMs = { etcd: 12_000, flotilla: 14_000 };
const totalMsMax = 15 * 60_000;

export function addCompareOptions(command: Command): void {
  addOutputOption(command)
    .option("--rows <n,...>", `which rows, ${rows.map(({ row }) => row).join(", ")} (default: all)`)
    .option("--rounds <n>", "how often the systems take turns", "2")
    .option("--duration <seconds>", "what is measured of each load; check perf takes its 60 s", "15")
    .option("--warm-up <seconds>", "not measured, for both systems alike", "10")
    .option("--etcd <path>", "the etcd program", "etcd")
    .option("--etcdctl <path>", "the etcdctl program", "etcdctl");
  addDirectoryOption(command);
  addResultOptions(command);
  const list = rows.map(({ row, title }) => `  ${row}  ${title}\n`).join("");
  command.addHelpText(
    "after",
    `\nThree members of etcd and three nodes of Flotilla on this machine, in turns, only one system at a time.\n\nRows:\n${list}`,
  );
}

export function parseComparePlan({ options }: Pick<Invocation, "options">): ComparePlan {
  const plan: ComparePlan = {
    rows: rowsOf(textOption(options, "rows")),
    rounds: countOption(options, "rounds", "--rounds", 1, 10)!,
    durationMs: parseDurationMs("--duration", String(options["duration"])),
    warmUpMs: textOption(options, "warmUp") === "0" ? 0 : parseDurationMs("--warm-up", String(options["warmUp"])),
    etcd: textOption(options, "etcd") ?? "etcd",
    etcdctl: textOption(options, "etcdctl") ?? "etcdctl",
  };
  const totalMs = estimatedMs(plan);
  if (totalMs > totalMsMax) {
    throw new Failure(
      "InvalidArgument",
      `that would take about ${Math.ceil(totalMs / 60_000)} minutes, at most ${totalMsMax / 60_000} are allowed`,
      { hint: "choose fewer --rows or --rounds, or a shorter --duration" },
    );
  }
  return plan;
}

function rowsOf(text: string | undefined): readonly RowPlan[] {
  if (text === undefined) return rows;
  const wanted = new Set(text.split(",").map((part) => part.trim()));
  const found = rows.filter(({ row }) => wanted.has(String(row)));
  if (found.length < wanted.size) {
    throw new Failure("InvalidArgument", `--rows: there are ${rows.map(({ row }) => row).join(", ")}, got "${text}"`);
  }
  return found;
}

export function estimatedMs({ rows: chosen, rounds, durationMs, warmUpMs }: ComparePlan): number {
  const loadMs = durationMs + warmUpMs + aroundLoadMs;
  let totalMs = 0;
  for (const row of chosen) {
    totalMs += clusterMs.etcd + (row.etcdClient === "check perf" ? checkPerfMs + aroundLoadMs : loadMs);
    totalMs += clusterMs.flotilla + loadMs * (row.withoutBatching ? 2 : 1);
    if (row.workload === "get") totalMs += preloadMs.etcd + preloadMs.flotilla;
  }
  return totalMs * rounds;
}

/** Keys and values that one load may write at most, by a generous guess of its speed. */
export function writtenBytesMax({ rows: chosen, durationMs, warmUpMs }: ComparePlan): number {
  const operationsPerSecondMax = 60_000;
  const seconds = (2 * (durationMs + warmUpMs)) / 1000;
  return Math.max(
    ...chosen.map(({ keyBytes, valueBytes }) => seconds * operationsPerSecondMax * (keyBytes + valueBytes)),
  );
}
