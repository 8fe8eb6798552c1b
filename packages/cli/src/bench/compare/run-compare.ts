/** Flotilla and etcd under the same work on the same machine, in turns. */
import { Failure } from "@flotilla/base";
import type { Invocation } from "../../command-io.ts";
import { exitDone } from "../../exit-code.ts";
import { writeObject } from "../../output/documents.ts";
import type { ComparedRow, ComparedRun, ComparedSystem, CompareResult } from "../bench-result.ts";
import { EtcdCluster, etcdVersionOf, etcdctlVersionOf } from "../etcd-cluster.ts";
import { OwnCluster } from "../own-cluster.ts";
import { provenance } from "../provenance.ts";
import { saveResult } from "../result-files.ts";
import { spreadOf } from "../spread.ts";
import { clusterBytesNeeded, makeWorkDirectory } from "../work-directory.ts";
import { runCheckPerf } from "./check-perf.ts";
import { loadEtcdThroughNode, loadFlotilla, requireEtcd3 } from "./child-loads.ts";
import { estimatedMs, parseComparePlan, writtenBytesMax } from "./compare-plan.ts";
import type { ComparePlan, RowPlan } from "./compare-plan.ts";
import { compareTable, limitsOfComparison } from "./compare-table.ts";
import { putHalfIntoMemtables } from "./half-in-memtable.ts";

/** By the name of the system, in the order in which they are shown. */
type RunsOf = Map<string, ComparedRun[]>;

export async function runCompare(invocation: Invocation): Promise<number> {
  const plan = parseComparePlan(invocation);
  const { io } = invocation;
  const etcdVersion = etcdVersionOf(plan.etcd);
  const etcdctlVersion = plan.rows.some((row) => row.etcdClient === "check perf")
    ? etcdctlVersionOf(plan.etcdctl)
    : null;
  const etcd3Version = plan.rows.some((row) => row.etcdClient === "etcd3") ? requireEtcd3() : null;
  const origin = provenance();
  const directory = await makeWorkDirectory(invocation, clusterBytesNeeded(writtenBytesMax(plan)));
  io.note(`about ${Math.ceil(estimatedMs(plan) / 60_000)} minutes, in ${directory.path}\n`);
  const comparison = new Comparison(invocation, plan, directory.path, etcdVersion, etcd3Version ?? "");
  const rows: ComparedRow[] = [];
  try {
    for (const row of plan.rows) rows.push(await comparison.measure(row));
  } finally {
    await directory.remove();
  }
  const clients = [
    etcdctlVersion === null ? [] : [`etcdctl ${etcdctlVersion}`],
    etcd3Version === null ? [] : [`npm etcd3 ${etcd3Version}`],
  ];
  const result: CompareResult = {
    kind: "compare",
    ...origin,
    etcdVersion,
    etcdClient: clients.flat().join(", "),
    disk: directory.disk,
    rounds: plan.rounds,
    rows,
    limits: limitsOfComparison,
  };
  await writeObject(io, invocation.format, result, () => compareTable(result));
  await saveResult(invocation, result);
  return exitDone;
}

class Comparison {
  readonly #io: Invocation["io"];
  readonly #plan: ComparePlan;
  readonly #directory: string;
  readonly #etcdVersion: string;
  readonly #etcd3Version: string;
  readonly #interrupted: AbortSignal;

  constructor({ io }: Invocation, plan: ComparePlan, directory: string, etcdVersion: string, etcd3Version: string) {
    this.#io = io;
    this.#plan = plan;
    this.#directory = directory;
    this.#etcdVersion = etcdVersion;
    this.#etcd3Version = etcd3Version;
    this.#interrupted = io.interrupted();
  }

  /** A B A B: what drifts on the machine meets both systems. */
  async measure(row: RowPlan): Promise<ComparedRow> {
    const runs: RunsOf = new Map();
    for (let round = 1; round <= this.#plan.rounds; round++) {
      this.#io.note(`row ${row.row}, round ${round} of ${this.#plan.rounds}: etcd\n`);
      await this.#etcdTurn(row, runs);
      this.#io.note(`row ${row.row}, round ${round} of ${this.#plan.rounds}: flotilla\n`);
      await this.#flotillaTurn(row, runs);
    }
    return { row: row.row, title: row.title, systems: [...runs].map(([name, list]) => systemOf(name, list)) };
  }

  async #etcdTurn(row: RowPlan, runs: RunsOf): Promise<void> {
    const throughTool = row.etcdClient === "check perf";
    const client = throughTool ? "etcdctl check perf" : `npm etcd3 ${this.#etcd3Version}`;
    const cluster = await EtcdCluster.start(this.#plan.etcd, this.#directory);
    try {
      const run = throughTool
        ? await runCheckPerf(this.#plan.etcdctl, cluster, this.#interrupted)
        : await loadEtcdThroughNode(row, this.#plan, cluster, this.#interrupted);
      cluster.requireAlive();
      add(runs, `etcd ${this.#etcdVersion}, ${client}`, run);
    } finally {
      await cluster.stop();
      await cluster.removeData();
    }
  }

  async #flotillaTurn(row: RowPlan, runs: RunsOf): Promise<void> {
    const cluster = await OwnCluster.start({ directory: this.#directory, note: (text) => this.#io.note(text) });
    try {
      const note = row.halfInMemtable ? await putHalfIntoMemtables(this.#io, cluster, row) : null;
      const load = async (batching: boolean): Promise<ComparedRun> => {
        const run = await loadFlotilla(row, this.#plan, cluster.endpoints, batching, this.#interrupted);
        cluster.requireAlive();
        return { ...run, note };
      };
      add(runs, row.withoutBatching ? "flotilla" : "flotilla (nothing to batch)", await load(true));
      if (row.withoutBatching) add(runs, "flotilla, one command a message", await load(false));
    } finally {
      await cluster.stop();
      await cluster.removeData();
    }
  }
}

function add(runs: RunsOf, name: string, run: ComparedRun): void {
  const known = runs.get(name);
  if (known === undefined) runs.set(name, [run]);
  else known.push(run);
}

function systemOf(name: string, runs: readonly ComparedRun[]): ComparedSystem {
  const opsPerSecond = spreadOf(runs.map((run) => run.opsPerSecond));
  if (opsPerSecond === null) throw new Failure("Internal", `no run of ${name}`);
  return { name, runs, opsPerSecond };
}
