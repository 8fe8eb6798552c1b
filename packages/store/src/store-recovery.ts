/**
 * What a store does before it speaks: the first start writes what the cluster's plan says; every later one puts together
 * what engine, log and staging directory hold, or says what is broken.
 */
import { Failure, logIndex, noReplica, replicaId as toReplicaId, term, version } from "@flotilla/base";
import type { ByteOperations, Environment, Files, RangeId, StoreId } from "@flotilla/base";
import type { GroupState, SharedLog } from "@flotilla/raft-log";
import {
  encodeApplied,
  encodeConfiguration,
  encodeDescriptor,
  encodeRecord,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  storeRecordKey,
} from "@flotilla/storage";
import type { ClearedInterval, Engine } from "@flotilla/storage";
import { clearNow, readClearing } from "./engine/interval-clearer.ts";
import { buryTakenIn } from "./lifecycle/taken-in.ts";
import type { ClusterPlan } from "@flotilla/placement";
import { metaRangeId } from "@flotilla/base";
import { initialMetaRecords } from "./placement/meta-records.ts";
import { clearOld, loadSnapshot } from "./snapshot/snapshot-load.ts";
import { recoverStaging, stagedPath } from "./snapshot/snapshot-staging.ts";
import { SnapshotDecoder } from "./snapshot/snapshot-stream.ts";
import type { SnapshotHeader } from "./snapshot/snapshot-stream.ts";
import { broken, readRanges } from "./range-restore.ts";
import type { StoredRange } from "./range-restore.ts";
import type { StateMachine } from "./replica/state-machine.ts";
import { forcedReplica, stageForced } from "./unsafe-recovery/forced-records.ts";
import type { StoreOptions } from "./store-api.ts";
import { loadBatchBytes } from "./store-settings.ts";
import type { StoreSettings } from "./store-settings.ts";

/** Ranges begin as if restored at index 1, term 1. */
const firstIndex = logIndex(1);
const firstTerm = term(1);
const bootstrapVersion = version(1);
const bootstrappedName = "bootstrapped";
/** Beside log and engine, durable before the store first speaks: with it and without them the votes are forgotten. */
const begunPath = "begun";
const settleTries = 200;
/** Of the event loop. */
const itemsInTurn = 200;

interface RecoveryDependencies {
  readonly environment: Environment;
  readonly files: Files;
  readonly log: SharedLog;
  readonly engine: Engine;
}

export interface RecoveredStore {
  /** Of every range that has a replica here. */
  readonly machines: readonly StateMachine[];
  /** What replicas that are gone have left, and an earlier process did not clear to the end. */
  readonly clearing: readonly ClearedInterval[];
  /** And what it did not even begin to clear: the log alone knows that the replica is gone. */
  readonly leftovers: readonly ClearedInterval[];
  /** The replicas were made in this very start: no message was ever sent for them. */
  readonly brandNew: boolean;
}

export async function recoverStore(options: StoreOptions, dependencies: RecoveryDependencies): Promise<RecoveredStore> {
  const { engine, log, environment } = dependencies;
  const operations = environment.bytes;
  const bootstrapped = storeRecordKey(bootstrappedName, operations);
  const { files } = dependencies;
  const brandNew = engine.getNow(bootstrapped) === undefined;
  const begun = await files.exists(begunPath);
  if (brandNew) {
    if (begun) throw emptied(options.dataDir);
    await bootstrap(options, dependencies, bootstrapped);
  }
  if (!begun) await markBegun(files);
  let ranges = await readRanges(engine, operations);
  await completeForced(ranges, options.storeId, dependencies);
  let clearing = await readClearing(engine, operations);
  buryTakenIn(clearing, log);
  const installs = await pendingInstalls(ranges, dependencies);
  let leftovers = await findLeftovers(ranges, options.storeId, clearing, installs, dependencies);
  if (installs.pending.length > 0) {
    // What is to be loaded may lie in what is to be cleared: it was received when that had gone (hazard E25).
    for (const interval of [...clearing, ...leftovers]) await clearNow(interval, engine, operations);
    clearing = [];
    leftovers = [];
  }
  const loaded = await finishInstalls(installs, options.settings, dependencies);
  if (loaded > 0) ranges = await readRanges(engine, operations);
  const gone = new Set([...clearing, ...leftovers].map(({ rangeId }) => rangeId));
  const machines: StateMachine[] = [];
  await inTurns(ranges, environment, (range) => {
    if (gone.has(range.descriptor.rangeId)) return;
    const machine = range.machine(engine);
    checkAgainstLog(machine, log);
    machines.push(machine);
  });
  // A group of the log without a descriptor is kept, and silent: the split that made it may be replayed, with what it
  // had promised still in force (rule: split).
  environment.logger.info(
    { ranges: machines.length, snapshotsLoaded: loaded, clearing: clearing.length + leftovers.length },
    "recovered",
  );
  return { machines, clearing, leftovers, brandNew };
}

/** A few at a time, for with thousands of them others wait too long for the event loop. */
export async function inTurns<Item>(
  items: readonly Item[],
  { scheduler }: Environment,
  run: (item: Item) => void,
): Promise<void> {
  for (const [at, item] of items.entries()) {
    if (at % itemsInTurn === itemsInTurn - 1) await new Promise<void>((resolve) => scheduler.endOfTurn(resolve));
    run(item);
  }
}

/** A range that lost its majority goes on with one member, and a crash came before the log knew its new id. */
async function completeForced(
  ranges: readonly StoredRange[],
  storeId: StoreId,
  { environment, log }: RecoveryDependencies,
): Promise<void> {
  for (const range of ranges) {
    const group = log.group(range.rangeId);
    const forced = forcedReplica(range.descriptor, storeId, group);
    if (forced === undefined) continue;
    const { index, term: appliedTerm } = range.applied;
    environment.logger.warn({ rangeId: range.rangeId, replicaId: forced }, "a forced membership is completed");
    stageForced(log, group!, forced, index, appliedTerm);
  }
  if (log.hasStaged()) await log.flush();
}

/**
 * What is left of replicas whose tombstone became durable and whose clearing did not begin, or whose removal was applied and
 * whose tombstone is missing: that is written here.
 */
async function findLeftovers(
  ranges: readonly StoredRange[],
  storeId: StoreId,
  clearing: readonly ClearedInterval[],
  { pending }: PendingInstalls,
  { log }: RecoveryDependencies,
): Promise<ClearedInterval[]> {
  const leftovers: ClearedInterval[] = [];
  for (const { descriptor } of ranges) {
    const { rangeId, start, end, replicas } = descriptor;
    const group = log.group(rangeId);
    const known = [...clearing, ...pending].some((other) => other.rangeId === rangeId);
    // Without a group the log is not this store's; what is loaded clears the old replica's records itself.
    if (group === undefined || known) continue;
    const own = replicas.find((replica) => replica.storeId === storeId);
    if (own !== undefined && own.replicaId >= group.tombstone) continue;
    if (own === undefined && group.replicaId !== noReplica) log.tombstone(rangeId, toReplicaId(group.replicaId + 1));
    leftovers.push({ rangeId, start, end });
  }
  if (log.hasStaged()) await log.flush();
  return leftovers;
}

async function markBegun(files: Files): Promise<void> {
  const file = await files.open(begunPath, "create");
  await file.close();
  await files.syncDirectory("");
}

/** Rule: identity. A store that would begin anew under its old id could vote twice in one term. */
function emptied(dataDir: string): Failure {
  return new Failure(
    "Refused",
    `the data of ${dataDir} is gone: a store that has forgotten its votes does not come back under its old id`,
    {
      hint: "put the directory back as it was; the other nodes have all acknowledged data, and go on without it",
      details: { dataDir },
    },
  );
}

/**
 * Repeatable from the start until its last step is durable: nothing was sent before. Ranges first, then the log's groups,
 * then the mark, so that a missing group behind a mark can only mean a lost log.
 */
async function bootstrap(options: StoreOptions, dependencies: RecoveryDependencies, mark: Uint8Array): Promise<void> {
  const { engine, log, environment } = dependencies;
  const operations = environment.bytes;
  const mine = options.plan.ranges.filter((range) =>
    range.replicas.some((replica) => replica.storeId === options.storeId),
  );
  const batch = engine.batch();
  for (const descriptor of mine) {
    const name = (text: string): Uint8Array => rangeRecordKey(descriptor.rangeId, text, operations);
    const voters = descriptor.replicas.map((replica) => replica.replicaId);
    const members = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    const applied = { index: firstIndex, term: firstTerm, lastVersion: bootstrapVersion };
    batch.put(
      name(rangeRecordNames.descriptor),
      encodeDescriptor(name(rangeRecordNames.descriptor), descriptor, operations),
    );
    batch.put(
      name(rangeRecordNames.configuration),
      encodeConfiguration(name(rangeRecordNames.configuration), members, operations),
    );
    batch.put(name(rangeRecordNames.applied), encodeApplied(name(rangeRecordNames.applied), applied, operations));
    if (descriptor.rangeId === metaRangeId) putMeta(options.plan, batch, operations);
  }
  await batch.write();
  await settleNow(engine, environment);
  for (const descriptor of mine) {
    if (log.group(descriptor.rangeId) !== undefined) continue;
    const own = descriptor.replicas.find((replica) => replica.storeId === options.storeId)!;
    log.createGroup(descriptor.rangeId, own.replicaId, firstIndex, firstTerm);
  }
  if (log.hasStaged()) await log.flush();
  const last = engine.batch();
  last.put(mark, operations.encodeUtf8("1"));
  await last.write();
  await settleNow(engine, environment);
}

function putMeta(plan: ClusterPlan, batch: ReturnType<Engine["batch"]>, operations: ByteOperations): void {
  for (const { key, value } of initialMetaRecords(plan, operations)) {
    batch.put(newestKey(key, operations), encodeRecord(key, "value", bootstrapVersion, value, operations));
  }
}

/** Resolves when everything written so far is durable in the engine, by the only proof there is: its files are gone. */
async function settleNow(engine: Engine, environment: Environment): Promise<void> {
  const before = new Set(await engine.unsettledFiles());
  for (let i = 0; i < settleTries; i++) {
    await engine.settle();
    const now = await engine.unsettledFiles();
    if (!now.some((file) => before.has(file))) return;
    await new Promise<void>((resolve) => environment.scheduler.after(10, resolve));
  }
  throw new Failure("Internal", "the engine did not make its first records durable", {
    hint: "check the disk of the data directory for errors and free space",
  });
}

interface PendingInstalls {
  readonly staged: readonly string[];
  /** Snapshots that the log says are installed and the engine does not have yet. */
  readonly pending: readonly { readonly rangeId: RangeId; readonly path: string }[];
}

async function pendingInstalls(
  ranges: readonly StoredRange[],
  { files, log, environment }: RecoveryDependencies,
): Promise<PendingInstalls> {
  const staged = await recoverStaging(files);
  const pending: { readonly rangeId: RangeId; readonly path: string }[] = [];
  for (const group of log.groups()) {
    if (group.replicaId === noReplica) continue;
    const path = stagedPath(group.rangeId, group.truncatedIndex, group.truncatedTerm);
    if (!staged.includes(path)) continue;
    const range = ranges.find(({ rangeId }) => rangeId === group.rangeId);
    const older = (): Promise<boolean> => ofOlderReplica(range!, group, path, { files, environment });
    const applied = range?.appliedIndex ?? 0;
    if (applied >= group.truncatedIndex && !(await older())) continue;
    pending.push({ rangeId: group.rangeId, path });
  }
  return { staged, pending };
}

/**
 * What the engine has of the range is a replica's that is gone: how far that one was says nothing. A replica that has applied
 * its own removal is no member of what it left there either, but in an epoch behind that of the range snapshot at `path`:
 * that stays, for a right half in the engine may rest on all that was applied.
 */
async function ofOlderReplica(
  range: StoredRange,
  group: GroupState,
  path: string,
  { files, environment }: Pick<RecoveryDependencies, "files" | "environment">,
): Promise<boolean> {
  const operations = environment.bytes;
  const { epoch, replicas } = range.descriptor;
  if (replicas.some(({ replicaId }) => replicaId === group.replicaId)) return false;
  const { members } = await snapshotHeader(path, files, operations);
  return epoch.members < members;
}

async function snapshotHeader(path: string, files: Files, operations: ByteOperations): Promise<SnapshotHeader> {
  const file = await files.open(path, "read");
  try {
    return await new SnapshotDecoder((offset, length) => file.read(offset, length), operations).header();
  } finally {
    await file.close();
  }
}

async function finishInstalls(
  { staged, pending }: PendingInstalls,
  settings: StoreSettings,
  { engine, files, environment }: RecoveryDependencies,
): Promise<number> {
  const operations = environment.bytes;
  for (const { rangeId } of pending) await clearOld(rangeId, engine, operations);
  for (const { rangeId, path } of pending) {
    environment.logger.info({ rangeId, path }, "loading a range snapshot that a crash interrupted");
    await loadSnapshot(path, loadBatchBytes(settings), { engine, files, operations });
  }
  // Durable at once: then every staged file can go, and a later start has nothing to repeat.
  if (pending.length > 0) await settleNow(engine, environment);
  for (const path of staged) await files.remove(path);
  return pending.length;
}

function checkAgainstLog(machine: StateMachine, log: SharedLog): void {
  const { rangeId } = machine.descriptor;
  const group = log.group(rangeId);
  if (group === undefined || group.replicaId === noReplica) {
    throw broken(
      rangeId,
      `range ${rangeId} is in the data directory, but the log has nothing of it: the log directory is not this store's`,
    );
  }
  if (machine.appliedIndex < group.truncatedIndex) {
    throw broken(
      rangeId,
      `range ${rangeId}: the data directory ends at index ${machine.appliedIndex}, the log begins behind ${group.truncatedIndex}`,
    );
  }
  if (machine.appliedIndex > group.lastIndex) {
    throw broken(
      rangeId,
      `range ${rangeId}: the data directory has index ${machine.appliedIndex}, the log ends at ${group.lastIndex}`,
    );
  }
}
