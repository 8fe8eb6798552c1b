/** One workload against a cluster, from the first key to the result. */
import { randomBytes } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { connectOptionsOf } from "../arguments/common-options.ts";
import type { ClusterClient, ConnectOptions } from "../cluster-client.ts";
import type { CommandIo, Invocation } from "../command-io.ts";
import { exitDone, exitNotDone } from "../exit-code.ts";
import { askNodes, askStores } from "../output/cluster-report.ts";
import { writeObject } from "../output/documents.ts";
import { BenchKeys } from "./bench-keys.ts";
import { BenchRandom } from "./bench-random.ts";
import type { LoadResult, WorkloadResult } from "./bench-result.ts";
import { pauseUnlessInterrupted } from "./interruptible-pause.ts";
import { createKeyDistribution } from "./key-distribution.ts";
import { LoadLoop } from "./load-loop.ts";
import type { LoadSlot } from "./load-loop.ts";
import { hundredths, loadResultOf, summaryOf } from "./load-result.ts";
import { NodeMeters, measuredNodes } from "./node-meters.ts";
import type { MeasuredServers } from "./node-meters.ts";
import { OperationDriver } from "./operation-driver.ts";
import type { OperationSlot } from "./operation-driver.ts";
import { preload, readAtEnd } from "./preload.ts";
import { fileStem, provenance } from "./provenance.ts";
import { RegisterHistory } from "./register-history.ts";
import type { HistoryCheck } from "./register-history.ts";
import { resultsPathOf, saveResult } from "./result-files.ts";
import { ScanDriver } from "./scan-driver.ts";
import { medianBy, spreadOf } from "./spread.ts";
import { parseWorkloadPlan } from "./workload-plan.ts";
import type { Workload, WorkloadPlan } from "./workload-plan.ts";
import { workloadTable } from "./workload-table.ts";

/** Different values that are written; their bytes are random, so that compressing gains nothing. */
const valuesKept = 64;
const checkedOperationsMax = 4_000_000;

/** What every run of the plan shares. */
interface Prepared {
  readonly clients: readonly ClusterClient[];
  readonly keys: BenchKeys;
  readonly values: readonly Uint8Array[];
  readonly seed: number;
  readonly servers: MeasuredServers;
  readonly ranges: number;
  readonly nodes: number;
  readonly history: RegisterHistory | undefined;
}

interface RunResult {
  readonly load: LoadResult;
  readonly conflicts: number | null;
  readonly recordsPerSecond: number | null;
}

export async function runWorkload(invocation: Invocation, workload: Workload): Promise<number> {
  const plan = parseWorkloadPlan(invocation, workload);
  const { io } = invocation;
  const origin = provenance();
  const connection = connectionFor(await connectOptionsOf(invocation), plan);
  const clients: ClusterClient[] = [];
  try {
    for (let i = 0; i < plan.clients; i++) clients.push(await io.connect(connection));
    const prepared = await prepare(io, clients, plan);
    const runs: RunResult[] = [];
    for (let run = 0; run < plan.runs; run++) runs.push(await measure(io, prepared, plan, run));
    const checked = await checkHistory(invocation, prepared, origin.date);
    const { load, ...rest } = medianBy(runs, (run) => run.load.opsPerSecond);
    const result: WorkloadResult = {
      kind: "workload",
      workload,
      ...load,
      ...origin,
      ...fieldsOfPlan(plan),
      ...rest,
      seed: prepared.seed,
      ranges: prepared.ranges,
      nodes: prepared.nodes,
      runs: runs.map((run) => summaryOf(run.load)),
      spread: spreads(runs.map((run) => run.load)),
      linearizability: withoutFailures(checked),
    };
    await writeObject(io, invocation.format, result, () => workloadTable(result));
    await saveResult(invocation, result);
    const good = runs.every((run) => run.load.errors === 0) && (checked === undefined || checked.verdict === "pass");
    return good ? exitDone : exitNotDone;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

function connectionFor(connection: ConnectOptions, plan: WorkloadPlan): ConnectOptions {
  return { ...connection, valueBytesMax: Math.max(plan.valueBytes, 1), batching: plan.batching };
}

async function prepare(io: CommandIo, clients: readonly ClusterClient[], plan: WorkloadPlan): Promise<Prepared> {
  const first = clients[0]!;
  const { ranges } = await first.bare.routes();
  const keys = new BenchKeys(
    ranges.map(({ descriptor }) => descriptor),
    plan.keys,
    plan.keyBytes,
  );
  const values = Array.from({ length: valuesKept }, () => new Uint8Array(randomBytes(plan.valueBytes)));
  const nodes = await askNodes(first);
  const history = plan.check ? new RegisterHistory(plan.keys, checkedOperationsMax) : undefined;
  if (plan.preload || plan.check) {
    note(io, `writing ${plan.keys} keys\n`);
    await preload(first, keys, values, history);
  }
  return {
    clients,
    keys,
    values,
    seed: plan.seed ?? randomBytes(4).readUInt32LE(),
    servers: measuredNodes(nodes, await askStores(first)),
    ranges: ranges.length,
    nodes: nodes.length,
    history,
  };
}

async function measure(io: CommandIo, prepared: Prepared, plan: WorkloadPlan, run: number): Promise<RunResult> {
  const meters = new NodeMeters(prepared.servers);
  const load = startLoad(prepared, plan, run);
  const { loop } = load;
  const interrupted = io.interrupted();
  try {
    note(io, `run ${run + 1} of ${plan.runs}, warming up for ${plan.warmUpMs / 1000} s\n`);
    await pauseUnlessInterrupted(plan.warmUpMs, interrupted);
    await meters.begin();
    loop.beginWindow();
    const before = load.counts();
    const startedMs = performance.now();
    await pauseUnlessInterrupted(plan.durationMs, interrupted, () => {
      const perSecond = Math.round((loop.meter.operations * 1000) / (performance.now() - startedMs));
      note(io, `${perSecond} operations/s, ${loop.meter.errors} errors\n`);
    });
    const unsent = loop.endWindow();
    const durationMs = performance.now() - startedMs;
    const after = load.counts();
    const cost = await meters.end();
    await loop.drain();
    const putBytes = loop.meter.operations * writeShare(plan) * (plan.keyBytes + plan.valueBytes);
    return {
      load: loadResultOf({ meter: loop.meter, durationMs, unsent, cost, putBytes }),
      conflicts: after.conflicts === null ? null : after.conflicts - before.conflicts!,
      recordsPerSecond:
        after.records === null ? null : Math.round(((after.records - before.records!) * 1000) / durationMs),
    };
  } finally {
    meters.stop();
    loop.stop();
  }
}

interface StartedLoad {
  readonly loop: Pick<LoadLoop<LoadSlot>, "meter" | "beginWindow" | "endWindow" | "drain" | "stop">;
  counts(): { readonly conflicts: number | null; readonly records: number | null };
}

function startLoad(prepared: Prepared, plan: WorkloadPlan, run: number): StartedLoad {
  const { clients, keys, values, history } = prepared;
  const { workload, readPercent, inFlight, ratePerSecond } = plan;
  // Runs differ in what is drawn; the same seed gives the same runs.
  const random = new BenchRandom((prepared.seed + run) >>> 0);
  const distribution = createKeyDistribution(plan.distribution, plan.keys, random);
  if (workload === "scan") {
    const loop = new LoadLoop<LoadSlot>({ inFlight, ratePerSecond });
    const driver = new ScanDriver({ loop, clients, keys, distribution, records: plan.scanRecords });
    loop.start(driver);
    return { loop, counts: () => ({ conflicts: null, records: driver.records }) };
  }
  const loop = new LoadLoop<OperationSlot>({ inFlight, ratePerSecond });
  const cores = clients.map(({ bare }) => bare.internals);
  const driver = new OperationDriver({
    workload,
    loop,
    cores,
    keys,
    distribution,
    random,
    values,
    readPercent,
    history,
  });
  loop.start(driver);
  return {
    loop,
    counts: () => ({ conflicts: workload === "read-modify-write" ? driver.conflicts : null, records: null }),
  };
}

function writeShare({ workload, readPercent }: WorkloadPlan): number {
  if (workload === "mixed") return 1 - readPercent / 100;
  return workload === "put" || workload === "read-modify-write" ? 1 : 0;
}

/** A history that does not pass is kept as a file, so that somebody can look at it. */
async function checkHistory(
  invocation: Invocation,
  { history, clients, keys }: Prepared,
  date: string,
): Promise<HistoryCheck | undefined> {
  if (history === undefined) return undefined;
  const { io } = invocation;
  await readAtEnd(clients[0]!, keys, history);
  note(io, `checking ${history.operations} operations\n`);
  const checked = await history.check(io.interrupted());
  if (checked.verdict === "pass") return checked;
  const directory = resultsPathOf(invocation);
  const path = join(directory, `${fileStem(date, "history")}.jsonl`);
  await mkdir(directory, { recursive: true });
  await pipeline(history.lines(), createWriteStream(path));
  io.note(`the history is in ${path}: npm run check-history -- --model register ${path}\n`);
  for (const failure of checked.failures)
    io.note(`${failure.verdict}: key number ${failure.key} ${JSON.stringify(failure.operations)}\n`);
  return checked;
}

function withoutFailures(checked: HistoryCheck | undefined): WorkloadResult["linearizability"] {
  if (checked === undefined) return null;
  const { verdict, operations, keys, complete, steps } = checked;
  return { verdict, operations, keys, complete, steps };
}

function fieldsOfPlan(
  plan: WorkloadPlan,
): Pick<
  WorkloadResult,
  | "inFlight"
  | "clients"
  | "ratePerSecond"
  | "keyBytes"
  | "valueBytes"
  | "keys"
  | "distribution"
  | "readPercent"
  | "scanRecords"
  | "batching"
  | "warmUpMs"
> {
  const { workload, inFlight, clients, keyBytes, valueBytes, keys, distribution, batching, warmUpMs } = plan;
  return {
    inFlight,
    clients,
    ratePerSecond: plan.ratePerSecond ?? null,
    keyBytes,
    valueBytes,
    keys,
    distribution,
    readPercent: workload === "mixed" ? plan.readPercent : null,
    scanRecords: workload === "scan" ? plan.scanRecords : null,
    batching,
    warmUpMs,
  };
}

function spreads(runs: readonly LoadResult[]): WorkloadResult["spread"] {
  return {
    opsPerSecond: spreadOf(runs.map((run) => run.opsPerSecond)),
    p50Ms: spreadOf(runs.map((run) => run.latencyMs.p50)),
    p99Ms: spreadOf(runs.map((run) => run.latencyMs.p99)),
    cpuMicrosPerOperation: spreadOf(
      runs.map(({ cpuMicrosPerOperation }) =>
        cpuMicrosPerOperation === null ? null : hundredths(cpuMicrosPerOperation),
      ),
    ),
  };
}

function note(io: CommandIo, text: string): void {
  if (io.noteIsTerminal) io.note(text);
}
