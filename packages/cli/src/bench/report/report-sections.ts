/** What stands in the report, result by result: tables, plots, and where each figure comes from. */
import { formatBytes } from "../../output/table.ts";
import type { CompareResult, OverloadResult, SustainedResult, WorkloadResult } from "../bench-result.ts";
import { medianOf, ratioToEtcd } from "../compare/compare-table.ts";
import type { MemorySample } from "../process-meters.ts";
import { escapeHtml, htmlList, htmlTable } from "./html.ts";
import { shortNameOf } from "./latest-results.ts";
import type { LatestResults } from "./latest-results.ts";
import { idleSection } from "./idle-section.ts";
import { originOf } from "./origin.ts";
import { barPlot, latencyPlot, linesOverTime } from "./plot.ts";
import type { Plot } from "./plot.ts";
import type { Section } from "./section.ts";

const mebibyte = 1024 * 1024;

export function reportSections({ workloads, compare, sustained, overload, idle }: LatestResults): Section[] {
  const sections: Section[] = [];
  if (compare !== undefined) sections.push(compareSection(compare));
  if (workloads.length > 0) sections.push(workloadSection(workloads));
  if (sustained !== undefined) sections.push(sustainedSection(sustained));
  if (overload !== undefined) sections.push(overloadSection(overload));
  if (idle.length > 0) sections.push(idleSection(idle));
  return sections;
}

function workloadSection(workloads: readonly WorkloadResult[]): Section {
  const labels = workloads.map(shortNameOf);
  const rows = workloads.map((result) => {
    const { spread, latencyMs, linearizability } = result;
    const least = spread.opsPerSecond?.min ?? result.opsPerSecond;
    const most = spread.opsPerSecond?.max ?? result.opsPerSecond;
    return [
      `${shortNameOf(result)}; ${result.keys.toLocaleString("en-US")} keys`,
      result.opsPerSecond,
      result.runs.length === 1 ? null : `${least} … ${most}`,
      latencyMs.p50,
      latencyMs.p99,
      latencyMs.p999,
      result.serverCpuMicrosPerOperation,
      result.clientCpuMicrosPerOperation,
      result.diskBytesWrittenPerByte,
      result.fsyncsPerSecond,
      formatBytes(result.peakRssBytes),
      result.errors,
      linearizability === null ? null : linearizability.verdict,
    ];
  });
  const titles = [
    ...[
      "workload",
      "ops/s",
      "over the runs",
      "p50 ms",
      "p99 ms",
      "p99.9 ms",
      "µs CPU/op, servers",
      "µs CPU/op, client",
    ],
    ...["bytes to disk per byte put", "fsyncs/s", "largest node", "errors", "linearizable"],
  ];
  // A scan is many records: beside it the bars of the others would not be seen.
  const single = workloads.filter(({ scanRecords }) => scanRecords === null);
  const total = single.map(({ serverCpuMicrosPerOperation: servers, clientCpuMicrosPerOperation: client }) =>
    servers === null ? null : servers + client,
  );
  return {
    heading: "Workloads",
    body: htmlTable(titles, rows) + workloads.map(originOf).join(""),
    plots: [
      latencyPlot(
        "Latency",
        workloads.map(({ latencyDistribution }, index) => ({
          label: labels[index]!,
          distribution: latencyDistribution,
        })),
      ),
      linesOverTime("Throughput", "second", "ops/s", opsPerSecondOf(workloads, labels)),
      barPlot("Processor time of an operation, without scans", "µs", single.map(shortNameOf), [
        { label: "client, on top of the servers", values: total },
        { label: "servers", values: single.map(({ serverCpuMicrosPerOperation: servers }) => servers) },
      ]),
    ],
  };
}

function opsPerSecondOf(
  results: readonly Pick<WorkloadResult, "seconds">[],
  labels: readonly string[],
): { label: string; values: number[] }[] {
  return results.map(({ seconds }, index) => ({
    label: labels[index]!,
    values: seconds.map(({ operations }) => operations),
  }));
}

function compareSection(result: CompareResult): Section {
  const bodies: string[] = [];
  const plots: Plot[] = [];
  const titles = ["system", "ops/s", "least", "most", "× etcd", "p50 ms", "p99 ms", "client cores", "server cores"];
  for (const row of result.rows) {
    const rows = row.systems.map((system) => [
      system.name,
      Math.round(system.opsPerSecond.median),
      system.opsPerSecond.min,
      system.opsPerSecond.max,
      ratioToEtcd(system, row),
      medianOf(system, (run) => run.latencyMs?.p50 ?? null),
      medianOf(system, (run) => run.latencyMs?.p99 ?? null),
      medianOf(system, (run) => run.clientCores),
      medianOf(system, (run) => run.serverCores),
    ]);
    bodies.push(`<h3>Row ${row.row}: ${escapeHtml(row.title)}</h3>${htmlTable(titles, rows)}`);
    plots.push(
      barPlot(
        `Row ${row.row}`,
        "ops/s",
        row.systems.map(({ name }) => name),
        [{ label: "median", values: row.systems.map(({ opsPerSecond }) => opsPerSecond.median) }],
      ),
    );
  }
  const what = `etcd ${result.etcdVersion} (${result.etcdClient}), three members with default settings and fsync, and three nodes of Flotilla, in turns on one machine and one disk (${result.disk?.fileSystem ?? "unknown"}).`;
  return {
    heading: "Against etcd",
    body: `<p>${escapeHtml(what)}</p>${bodies.join("")}<h3>What this does not show</h3>${htmlList(result.limits)}${originOf(result)}`,
    plots,
  };
}

function sustainedSection(result: SustainedResult): Section {
  const { periods, periodMs, longestPause, lastAgainstEarly, inFlight, keys, keyBytes, valueBytes } = result;
  const facts = [
    `puts, ${inFlight} in flight, ${keyBytes} B keys, ${valueBytes} B values, uniform over ${keys} keys`,
    `last ${periodMs / 1000} s against the median of the 2nd to 4th: ${lastAgainstEarly ?? "too short to say"}`,
    `longest time without an answer: ${longestPause.ms} ms`,
    `errors: ${result.errors}`,
  ];
  return {
    heading: "Sustained load",
    body: htmlList(facts) + originOf(result),
    plots: [
      linesOverTime("Throughput", "second", "puts/s", opsPerSecondOf([result], ["puts/s"])),
      linesOverTime(
        "Memory",
        `period of ${periodMs / 1000} s`,
        "MiB",
        nodesOver(periods.map(({ rssBytes }) => rssBytes)),
      ),
      latencyPlot("Latency", [{ label: "put", distribution: result.latencyDistribution }]),
    ],
  };
}

function overloadSection(result: OverloadResult): Section {
  const { phases, recoveryMs, memoryGrowth, peakRssBytes, busyErrors } = result;
  const rows = phases.map((phase) => [
    phase.name,
    phase.inFlight,
    phase.syncDelayMs,
    phase.opsPerSecond,
    phase.latencyMs.p50,
    phase.latencyMs.p99,
    phase.refusedByStores,
    Object.values(phase.errorCodes).reduce((sum, count) => sum + count, 0),
  ]);
  const titles = ["phase", "in flight", "fdatasync + ms", "puts/s", "p50 ms", "p99 ms", "refused by stores", "errors"];
  const facts = [
    `as before again after ${recoveryMs === null ? "more than the time measured" : `${recoveryMs / 1000} s`}`,
    `largest node ${formatBytes(peakRssBytes) ?? "unknown"}; late in the overload ${memoryGrowth ?? "unknown"} times what it was early in it`,
    `Busy errors: ${busyErrors}`,
    "the disk is not really slow: the nodes answer each sync of the log later",
  ];
  const seconds = phases.flatMap((phase) => phase.seconds);
  return {
    heading: "Overload on a slow disk",
    body: htmlTable(titles, rows) + htmlList(facts) + originOf(result),
    plots: [
      linesOverTime("Throughput", "second", "puts/s", [
        { label: "puts/s", values: seconds.map(({ operations }) => operations) },
      ]),
      linesOverTime("Latency", "second", "ms", [{ label: "p99", values: seconds.map(({ p99Ms }) => p99Ms) }]),
      memoryOverTime(result.memory),
    ],
  };
}

function memoryOverTime(samples: readonly MemorySample[]): Plot {
  const plot = linesOverTime("Memory", "second", "MiB", nodesOver(samples.map(({ rssBytes }) => rssBytes)));
  return { ...plot, x: samples.map(({ atMs }) => atMs / 1000) };
}

function nodesOver(samples: readonly (readonly number[])[]): { label: string; values: number[] }[] {
  const nodes = Math.max(0, ...samples.map((rssBytes) => rssBytes.length));
  return Array.from({ length: nodes }, (_, node) => ({
    label: `node ${node + 1}`,
    values: samples.map((rssBytes) => Math.round((rssBytes[node] ?? 0) / mebibyte)),
  }));
}
