/** The comparison for a person, and what it does not show. */
import { formatBytes, formatFields, formatTable } from "../../output/table.ts";
import type { ComparedRow, ComparedRun, ComparedSystem, CompareResult } from "../bench-result.ts";
import { median } from "../spread.ts";
import { provenanceFields } from "../workload-table.ts";

export const limitsOfComparison: readonly string[] = [
  "One machine: client and all servers share its processors, and there is no network between them. More machines change the ratio, in either direction.",
  "One disk under all three members: an fsync of one delays the others, which it would not elsewhere.",
  "Our client collects the commands of one turn of its event loop into a message for each store; a client that sends each command by itself, as most do, is the row below it.",
  "etcd keeps one ordered revision over all keys, watches included; Flotilla orders each range by itself and has no watch yet. etcd does more for each put.",
  "etcd runs with its defaults and nothing else on the machine; somebody who knows it well may get more out of it. check perf stops at 15 000 puts a second.",
  "Values are random bytes for Flotilla and through etcd3, zero bytes under check perf, whose keys are 20 bytes longer.",
  "Seconds, not days: neither etcd's compaction and defragmentation nor the deep levels of LevelDB have their full weight.",
];

export function compareTable(result: CompareResult): string {
  const rows = result.rows.map((row) => `row ${row.row}: ${row.title}\n${systemsTable(row)}${notesOf(row.systems)}`);
  const { etcdVersion, etcdClient, disk, rounds } = result;
  const fields = formatFields([
    ["etcd", `${etcdVersion} (${etcdClient}), three members, default settings, fsync on`],
    ["disk", `${disk.fileSystem ?? "unknown"}, ${formatBytes(disk.freeBytes)} free`],
    ["rounds", `${rounds}, etcd and flotilla in turns, one system at a time`],
    ...provenanceFields(result),
  ]);
  const limits = `What this does not show:\n${result.limits.map((limit) => `- ${limit}\n`).join("")}`;
  return [...rows, fields, limits].join("\n");
}

interface Line {
  readonly system: ComparedSystem;
  /** Against etcd in the same row. */
  readonly ratio: number | null;
}

export const isEtcd = ({ name }: ComparedSystem): boolean => name.startsWith("etcd ");

/** How many times etcd's median throughput the system reaches; `null` for etcd itself. */
export function ratioToEtcd(system: ComparedSystem, { systems }: ComparedRow): number | null {
  const etcd = systems.find(isEtcd);
  if (etcd === undefined || etcd === system || etcd.opsPerSecond.median === 0) return null;
  return Math.round((system.opsPerSecond.median / etcd.opsPerSecond.median) * 100) / 100;
}

function systemsTable(row: ComparedRow): string {
  const lines = row.systems.map((system): Line => ({ system, ratio: ratioToEtcd(system, row) }));
  const column = (
    title: string,
    cell: (line: Line) => string | number | null,
  ): { title: string; right: true; cell: (line: Line) => string | number | null } => ({ title, right: true, cell });
  return formatTable(
    [
      { title: "system", cell: ({ system }) => system.name },
      column("ops/s", ({ system }) => Math.round(system.opsPerSecond.median)),
      column("least", ({ system }) => system.opsPerSecond.min),
      column("most", ({ system }) => system.opsPerSecond.max),
      column("x etcd", ({ ratio }) => ratio),
      column("p50 ms", ({ system }) => medianOf(system, (run) => run.latencyMs?.p50 ?? null)),
      column("p99 ms", ({ system }) => medianOf(system, (run) => run.latencyMs?.p99 ?? null)),
      column("client cores", ({ system }) => medianOf(system, (run) => run.clientCores)),
      column("server cores", ({ system }) => medianOf(system, (run) => run.serverCores)),
      column("fsyncs/s", ({ system }) => medianOf(system, (run) => run.fsyncsPerSecond)),
      column("errors", ({ system }) => system.runs.reduce((sum, run) => sum + run.errors, 0)),
    ],
    lines,
  );
}

/** `null` unless every run tells. */
export function medianOf(system: ComparedSystem, measure: (run: ComparedRun) => number | null): number | null {
  const values = system.runs.map(measure).filter((value) => value !== null);
  return values.length < system.runs.length || values.length === 0 ? null : Math.round(median(values) * 100) / 100;
}

function notesOf(systems: readonly ComparedSystem[]): string {
  const notes = new Set<string>();
  for (const { name, runs } of systems) {
    for (const { note } of runs) if (note !== null) notes.add(`  ${name}: ${note}\n`);
  }
  return [...notes].join("");
}
