/** etcd under its own load generator, `etcdctl check perf --load xl`: 1 000 clients, at most 15 000 puts a second, 60 s. */
import type { ChildProcess } from "node:child_process";
import { Failure } from "@flotilla/base";
import type { ComparedRun } from "../bench-result.ts";
import type { EtcdCluster } from "../etcd-cluster.ts";
import { hundredths } from "../load-result.ts";
import { sumOfMetric } from "../http-metrics.ts";
import { ProcessMeters } from "../process-meters.ts";
import { runProgram } from "../run-program.ts";
import { checkPerfMs } from "./compare-plan.ts";

/** It deletes its keys at the end, and may take 30 s for that. */
const timeoutMs: number = checkPerfMs + 60_000;
/** Costs are measured well inside the load: connecting before it and deleting behind it are left out. */
const costFromMs = 5_000;
const costUntilMs = 55_000;

export interface CheckPerfReport {
  readonly opsPerSecond: number;
  readonly slowestSeconds: number | null;
  readonly errors: number;
}

export async function runCheckPerf(program: string, cluster: EtcdCluster, signal: AbortSignal): Promise<ComparedRun> {
  let costs: Promise<Costs> | undefined;
  const { out, errors } = await runProgram({
    program,
    parameters: ["check", "perf", "--load", "xl", `--endpoints=${cluster.endpoints.join(",")}`],
    environment: { ETCDCTL_API: "3" },
    timeoutMs,
    signal,
    started: (child) => {
      costs = measureCosts(child, cluster);
    },
  });
  const report = parseCheckPerf(out);
  if (report === undefined) throw new Failure("Internal", `etcdctl check perf told no throughput: ${out} ${errors}`);
  const measured = await costs!;
  return {
    opsPerSecond: report.opsPerSecond,
    latencyMs: null,
    errors: report.errors,
    ...measured,
    note: `check perf keeps to at most 15 000 puts/s${report.slowestSeconds === null ? "" : `; slowest request ${report.slowestSeconds} s`}`,
  };
}

/** `undefined`: it ended without a throughput. Its verdict (pass or fail against 15 000/s) does not matter here. */
export function parseCheckPerf(out: string): CheckPerfReport | undefined {
  const throughput = /Throughput (?:is|too low:) (\d+) writes\/s/.exec(out);
  if (throughput === null) return undefined;
  const slowest = /Slowest request took (?:too long: )?([\d.]+)s/.exec(out);
  let errors = 0;
  for (const [, count] of out.matchAll(/^FAIL: ERROR\(.*\) -> (\d+)$/gm)) errors += Number(count);
  return {
    opsPerSecond: Number(throughput[1]),
    slowestSeconds: slowest === null ? null : hundredths(Number(slowest[1])),
    errors,
  };
}

type Costs = Pick<ComparedRun, "clientCores" | "serverCores" | "peakRssBytes" | "fsyncsPerSecond">;

async function measureCosts(child: ChildProcess, { servers }: EtcdCluster): Promise<Costs> {
  const client = new ProcessMeters([child.pid ?? null]);
  const members = new ProcessMeters(servers.pids);
  const read = async (): Promise<Reading> => ({
    atMs: performance.now(),
    client: client.read().cpuMicros,
    members: members.read().cpuMicros,
    fsyncs: await sumOfMetric(servers.metricAddresses, servers.fsyncMetric),
  });
  const ended = new Promise<void>((resolve) => child.once("close", () => resolve()));
  if (!(await passed(costFromMs, ended))) return noCosts;
  members.startSampling();
  try {
    const before = await read();
    if (!(await passed(costUntilMs - costFromMs, ended))) return noCosts;
    const after = await read();
    const ms = after.atMs - before.atMs;
    return {
      clientCores: per(before.client, after.client, ms * 1000),
      serverCores: per(before.members, after.members, ms * 1000),
      peakRssBytes: members.peakRssBytes,
      fsyncsPerSecond: per(before.fsyncs, after.fsyncs, ms / 1000),
    };
  } finally {
    members.stopSampling();
  }
}

interface Reading {
  readonly atMs: number;
  readonly client: number | null;
  readonly members: number | null;
  readonly fsyncs: number | null;
}

const noCosts: Costs = { clientCores: null, serverCores: null, peakRssBytes: null, fsyncsPerSecond: null };

const per = (before: number | null, after: number | null, by: number): number | null =>
  before === null || after === null ? null : hundredths((after - before) / by);

/** False: the program ended before that. */
async function passed(milliseconds: number, ended: Promise<void>): Promise<boolean> {
  let timeout: NodeJS.Timeout | undefined;
  const waited = new Promise<boolean>((resolve) => (timeout = setTimeout(() => resolve(true), milliseconds)));
  try {
    return await Promise.race([waited, ended.then(() => false)]);
  } finally {
    clearTimeout(timeout);
  }
}
