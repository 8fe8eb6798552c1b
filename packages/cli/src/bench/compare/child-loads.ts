/**
 * One load as a process of its own, so that the client's processor time is the client's: for Flotilla the very command that
 * a user would type, for etcd `bench/dist/etcd-load.js` with npm `etcd3`.
 */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Failure } from "@flotilla/base";
import type { ComparedRun, LoadResult } from "../bench-result.ts";
import type { EtcdCluster } from "../etcd-cluster.ts";
import { hundredths } from "../load-result.ts";
import { runProgram } from "../run-program.ts";
import type { ComparePlan, RowPlan } from "./compare-plan.ts";

const launcher: string = fileURLToPath(new URL("../../flotilla.cjs", import.meta.url));
/** In a checkout: beside `packages/`. */
const etcdLoad: string = fileURLToPath(new URL("../../../../../bench/dist/etcd-load.js", import.meta.url));
const etcd3Package: string = fileURLToPath(
  new URL("../../../../../bench/node_modules/etcd3/package.json", import.meta.url),
);
/** Beyond the time of the load itself: starting, connecting, writing keys first, a last answer. */
const graceMs = 60_000;

/** The version of npm `etcd3`, and that the workspace has it at all. */
export function requireEtcd3(): string {
  if (!existsSync(etcdLoad) || !existsSync(etcd3Package)) {
    throw new Failure("InvalidArgument", "the comparison through npm etcd3 needs a built checkout of the project", {
      hint: "git clone, npm install, npm run build; row 1 alone does without: --rows 1",
      details: { missing: existsSync(etcdLoad) ? etcd3Package : etcdLoad },
    });
  }
  const { version } = JSON.parse(readFileSync(etcd3Package, "utf8")) as { version: string };
  return version;
}

export async function loadFlotilla(
  row: RowPlan,
  plan: ComparePlan,
  endpoints: readonly string[],
  batching: boolean,
  signal: AbortSignal,
): Promise<ComparedRun> {
  const parameters = [
    ...[launcher, "bench", row.workload, "--endpoints", endpoints.join(","), "-o", "json", "--no-save"],
    ...["--in-flight", String(row.inFlight), "--key-bytes", String(row.keyBytes)],
    ...["--value-bytes", String(row.valueBytes), "--keys", String(row.keys)],
    ...["--duration", `${plan.durationMs}ms`],
    ...["--warm-up", plan.warmUpMs === 0 ? "0" : `${plan.warmUpMs}ms`],
    ...(row.workload === "get" ? ["--no-preload"] : []),
    ...(batching ? [] : ["--no-batching"]),
  ];
  return comparedRun(await runLoad(parameters, plan, signal));
}

export async function loadEtcdThroughNode(
  row: RowPlan,
  plan: ComparePlan,
  cluster: EtcdCluster,
  signal: AbortSignal,
): Promise<ComparedRun> {
  const { workload, keyBytes, valueBytes, keys, inFlight } = row;
  const { warmUpMs, durationMs } = plan;
  const { endpoints, servers } = cluster;
  const load = {
    ...{ endpoints, servers, workload, keyBytes, valueBytes, keys, inFlight, warmUpMs, durationMs },
    seed: row.row,
  };
  return comparedRun(await runLoad([etcdLoad, JSON.stringify(load)], plan, signal));
}

async function runLoad(parameters: readonly string[], plan: ComparePlan, signal: AbortSignal): Promise<LoadResult> {
  const timeoutMs = plan.warmUpMs + plan.durationMs + graceMs;
  const { out, errors, exitCode } = await runProgram({ program: process.execPath, parameters, timeoutMs, signal });
  try {
    return JSON.parse(out) as LoadResult;
  } catch (error) {
    throw new Failure("Internal", `a load ended with exit code ${exitCode} and without a result: ${errors.trim()}`, {
      cause: error,
    });
  }
}

function comparedRun(load: LoadResult): ComparedRun {
  const cores = (micros: number | null): number | null =>
    micros === null ? null : hundredths((micros * load.opsPerSecond) / 1_000_000);
  return {
    opsPerSecond: load.opsPerSecond,
    latencyMs: { p50: load.latencyMs.p50, p99: load.latencyMs.p99 },
    errors: load.errors,
    clientCores: cores(load.clientCpuMicrosPerOperation),
    serverCores: cores(load.serverCpuMicrosPerOperation),
    peakRssBytes: load.peakRssBytes,
    fsyncsPerSecond: load.fsyncsPerSecond,
    note: null,
  };
}
