/** A result for a person. */
import { formatBytes, formatFields } from "../output/table.ts";
import type { LoadResult, WorkloadResult } from "./bench-result.ts";
import type { Latencies } from "./load-meter.ts";
import type { Provenance } from "./provenance.ts";
import type { Spread } from "./spread.ts";

type Field = readonly [string, string | number | null];

export function workloadTable(result: WorkloadResult): string {
  return formatFields([
    ["workload", titleOf(result)],
    ["load", loadOf(result)],
    ...loadFields(result),
    ...spreadFields(result),
    ...checkFields(result),
    ...provenanceFields(result),
  ]);
}

/** The workload in one line, without how fast it was. */
export function titleOf(result: WorkloadResult): string {
  const { workload, readPercent, scanRecords, keyBytes, valueBytes, keys, distribution, ranges, nodes } = result;
  const what =
    readPercent !== null
      ? `${workload} ${readPercent}/${100 - readPercent}`
      : scanRecords !== null
        ? `${workload} of ${scanRecords}`
        : workload;
  return `${what}, ${keyBytes} B keys, ${valueBytes} B values, ${keys} keys (${distribution}) in ${ranges - 1} ranges on ${nodes} nodes`;
}

function loadOf({ inFlight, clients, ratePerSecond, batching, durationMs, warmUpMs }: WorkloadResult): string {
  const pace =
    ratePerSecond === null
      ? `closed loop, ${inFlight} in flight`
      : `open loop, ${ratePerSecond}/s, at most ${inFlight} in flight`;
  const how = batching ? "" : ", one command a message";
  return `${pace} from ${clients} ${clients === 1 ? "client" : "clients"}${how}, ${(durationMs / 1000).toFixed(1)} s after ${warmUpMs / 1000} s of warm-up`;
}

export function loadFields(result: LoadResult): Field[] {
  const { serviceMs, unsent } = result;
  const cpu = result.cpuMicrosPerOperation;
  const parts = `servers ${result.serverCpuMicrosPerOperation ?? "-"}, client ${result.clientCpuMicrosPerOperation}`;
  return [
    ["operations", `${result.operations}, ${result.opsPerSecond}/s`],
    ["errors", errorsOf(result)],
    [serviceMs === null ? "latency ms" : "latency ms, since due", formatLatencies(result.latencyMs)],
    ...(serviceMs === null ? [] : [["latency ms, since sent", formatLatencies(serviceMs)] as const]),
    ...(unsent === 0 ? [] : [["due and never sent", `${unsent}: the rate was too high`] as const]),
    ["longest pause ms", result.longestPauseMs],
    ["fsyncs", result.fsyncs === null ? null : `${result.fsyncs}, ${result.fsyncsPerSecond}/s`],
    ["cpu us per operation", cpu === null ? `- (${parts})` : `${cpu} (${parts})`],
    [
      "bytes written per byte put",
      `${result.diskBytesWrittenPerByte ?? "-"} at the disk, ${result.bytesWrittenPerByte ?? "-"} by the processes' accounts`,
    ],
    [
      "peak memory",
      `${formatBytes(result.peakRssBytes) ?? "-"} the largest node, ${formatBytes(result.clientPeakRssBytes) ?? "-"} the client`,
    ],
  ];
}

export function errorsOf({
  errors,
  unknown,
  errorCodes,
}: Pick<LoadResult, "errors" | "unknown" | "errorCodes">): string | number {
  if (errors === 0) return 0;
  const codes = Object.entries(errorCodes)
    .map(([code, count]) => `${count} ${code}`)
    .join(", ");
  return `${errors} (${codes}), ${unknown} of unknown outcome`;
}

export const formatLatencies = ({ p50, p90, p99, p999, max }: Latencies): string =>
  `p50 ${p50}, p90 ${p90}, p99 ${p99}, p99.9 ${p999}, max ${max}`;

function spreadFields({ runs, spread, conflicts, recordsPerSecond }: WorkloadResult): Field[] {
  const fields: Field[] = [];
  if (recordsPerSecond !== null) fields.push(["records/s", recordsPerSecond]);
  if (conflicts !== null) fields.push(["begun again", `${conflicts}, another write came between`]);
  if (runs.length === 1) return fields;
  const range = (name: string, value: Spread | null): string =>
    value === null ? `${name} -` : `${name} ${value.min} … ${value.median} … ${value.max}`;
  fields.push([
    `${runs.length} runs, least … median … most`,
    [range("operations/s", spread.opsPerSecond), range("p50", spread.p50Ms), range("p99", spread.p99Ms)].join(", "),
  ]);
  return fields;
}

function checkFields({ linearizability: checked }: WorkloadResult): Field[] {
  if (checked === null) return [];
  const how = checked.complete ? "" : ", the first part of the load: no more was recorded";
  return [["linearizable", `${checked.verdict}: ${checked.operations} operations on ${checked.keys} keys${how}`]];
}

export function provenanceFields({ date, commit, commitChanged, machine, loadAverage }: Provenance): Field[] {
  return [
    ["date", date],
    ["commit", commitText({ commit, commitChanged })],
    ["machine", `${machineText(machine)}, load average before ${loadAverage}`],
  ];
}

export function commitText({ commit, commitChanged }: Pick<Provenance, "commit" | "commitChanged">): string | null {
  return commit === null ? null : commitChanged === true ? `${commit}, with changes` : commit;
}

export const machineText = ({ cores, cpu, memoryBytes, os, node }: Provenance["machine"]): string =>
  `${cores} cores, ${cpu}, ${formatBytes(memoryBytes)}, ${os}, node ${node}`;
