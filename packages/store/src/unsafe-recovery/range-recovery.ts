/**
 * Goes on with one replica of a range whose majority is lost for good. Unsafe by nature: what the lost members alone had
 * acknowledged is gone, and what this one has counts, whether it was ever acknowledged or not. An administrator asks for it,
 * range by range (admin-recovery.ts); nothing here is begun by itself.
 *
 * 1. The replica takes part in nothing any more, and applies its log to the end.
 * 2. All of it, and records that name a new replica id as the only member, become durable in the engine.
 * 3. The log gets a group under that id. From here on the old ids are strangers to everybody.
 * 4. The new replica comes to life and leads; repair gives it company.
 *
 * A crash before 2 is done leaves the replica that was there; after it the next start goes on (forced-records.ts).
 */
import { Failure, metaRangeId, noStore, systemPrefix, userPrefix, version } from "@flotilla/base";
import type { Epoch, LogIndex, RangeDescriptor, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import { encodeRecord, newestKey } from "@flotilla/storage";
import type { EngineQueue } from "../engine/engine-queue.ts";
import type { Flusher } from "../engine/flusher.ts";
import type { PersistBatches } from "../persist-batches.ts";
import { scanMeta } from "../placement/meta-scan.ts";
import type { AddReplica } from "../replica/replica-host.ts";
import { sealOf } from "../replica/merge-machine.ts";
import type { Replica } from "../replica/replica.ts";
import type { StateMachine } from "../replica/state-machine.ts";
import type { StoreDependencies } from "../store-api.ts";
import type { KnownDirectory } from "../store-directory.ts";
import { readRange } from "../range-restore.ts";
import { forcedDescriptor, putForced, stageForced } from "./forced-records.ts";
import { lacksMajority, tailOf } from "./majority.ts";
import { recoverMeta } from "./meta-recovery.ts";
import type { MetaRecovery } from "./meta-recovery.ts";

const pollMs = 20;

export interface RangeRecoveryHost {
  readonly dependencies: StoreDependencies;
  readonly storeId: StoreId;
  readonly queue: EngineQueue;
  readonly flusher: Flusher;
  readonly persist: PersistBatches;
  replica(rangeId: number): Replica | undefined;
  readonly addReplica: AddReplica;
  forget(replica: Replica): void;
  onBuried(rangeId: RangeId, replicaId: ReplicaId): void;
  diskFull(): boolean;
  halted(): boolean;
  fail(error: unknown): void;
  schedule(): void;
}

export interface RecoveryOrder {
  readonly rangeId: RangeId;
  /** As it was surveyed. */
  readonly replicaId: ReplicaId;
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
  /** Never used before; the meta range finds its own. */
  readonly newReplicaId: ReplicaId;
  readonly lost: ReadonlySet<StoreId>;
  /** Members that stores which are not lost have buried. */
  readonly gone: ReadonlySet<ReplicaId>;
  readonly floor: Epoch;
  /**
   * The left neighbour that the range is sealed for has had these bounds, by what it committed, and not taken it in (0 =
   * unknown): a seal under lower ones is void.
   */
  readonly provenBounds: number;
  readonly known: KnownDirectory;
}

export interface RecoveredRange {
  readonly replicaId: ReplicaId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly descriptor: RangeDescriptor;
}

export class RangeRecovery {
  readonly #host: RangeRecoveryHost;
  readonly #underWay: Map<RangeId, { readonly order: RecoveryOrder; readonly done: Promise<RecoveredRange> }> =
    new Map();

  constructor(host: RangeRecoveryHost) {
    this.#host = host;
  }

  /** Resolves when the new replica lives, as its only member. The same order twice is one. */
  force(order: RecoveryOrder): Promise<RecoveredRange> {
    const { rangeId } = order;
    const before = this.#underWay.get(rangeId);
    if (before !== undefined) {
      if (before.order.newReplicaId === order.newReplicaId) return before.done;
      return Promise.reject(refused(`range ${rangeId} is being recovered already`));
    }
    const replica = this.#host.replica(rangeId);
    if (replica !== undefined && replica.replicaId === order.newReplicaId)
      return Promise.resolve(recovered(replica.replicaId, replica.machine));
    const refusal = this.#refusal(order, replica);
    if (refusal !== undefined) return Promise.reject(refused(refusal));
    const done = this.#run(order, replica!).finally(() => this.#underWay.delete(rangeId));
    this.#underWay.set(rangeId, { order, done });
    return done;
  }

  /** Nobody who could still be part of a majority is overruled. */
  #refusal(order: RecoveryOrder, replica: Replica | undefined): string | undefined {
    const { rangeId, replicaId, lost, gone, lastTerm, lastIndex } = order;
    if (replica?.replicaId !== replicaId) return `replica ${replicaId} of range ${rangeId} does not live here`;
    const { machine, node } = replica;
    if (replica.loading || replica.removed) return `replica ${replicaId} of range ${rangeId} is not whole`;
    if (!lacksMajority(machine.configuration, machine.descriptor, lost, gone))
      return `range ${rangeId} has its majority`;
    if (node.role !== "follower" && node.role !== "pre-candidate")
      return `replica ${replicaId} is ${node.role} of range ${rangeId}`;
    if (replica.leaderStore !== noStore && !lost.has(replica.leaderStore))
      return `store ${replica.leaderStore} leads range ${rangeId}`;
    const reader = this.#host.dependencies.log.reader(rangeId);
    if (reader.lastIndex() !== lastIndex || node.lastIndex !== lastIndex || reader.term(lastIndex) !== lastTerm)
      return `range ${rangeId} has changed since it was looked at`;
    const { removed, sealedFor } = tailOf(reader, machine, replicaId);
    if (sealedFor !== undefined && sealedFor.bounds >= order.provenBounds)
      return `range ${rangeId} is sealed for range ${sealedFor.rangeId}, which has not decided`;
    if (removed) return `replica ${replicaId} of range ${rangeId} was being taken out of it`;
    if (rangeId !== metaRangeId && order.newReplicaId <= replicaId)
      return `replica ${order.newReplicaId} of range ${rangeId} is not new`;
    return this.#host.diskFull() ? "the disk is full" : undefined;
  }

  async #run(order: RecoveryOrder, replica: Replica): Promise<RecoveredRange> {
    const { environment } = this.#host.dependencies;
    const { rangeId, machine, replicaId } = replica;
    const fields = { rangeId, replicaId, lastIndex: order.lastIndex, lost: [...order.lost] };
    environment.logger.warn(fields, "recovering a range whose majority is lost: it goes on with what this replica has");
    replica.takeWholeLog();
    this.#host.schedule();
    try {
      await this.#prepare(order, replica);
    } catch (error) {
      // It is what it was before; the log's tail counts as confirmed, as it will when this is asked for again.
      replica.recovering = false;
      throw error;
    }
    const meta = await this.#metaRecovery(order, machine);
    const newId = meta?.replicaId ?? order.newReplicaId;
    await this.#write(order, machine, newId, meta);
    await this.#settled(replica);
    // What waited for the old replica's bounds has them now.
    machine.noteDurable(machine.appliedIndex);
    this.#assertLives(replica);
    this.#host.forget(replica);
    replica.retire();
    try {
      return await this.#replace(replica, newId);
    } catch (error) {
      // Neither the old nor the new one lives: only a start puts that right.
      this.#host.fail(error);
      throw error;
    }
  }

  /** Everything that the log has is applied, and in the engine. */
  async #prepare({ provenBounds }: RecoveryOrder, replica: Replica): Promise<void> {
    const { flusher } = this.#host;
    const { rangeId, machine, node } = replica;
    while (machine.appliedIndex < node.lastIndex) await this.#pause(replica);
    while (machine.changed) {
      await flusher.flushAll();
      if (machine.changed) await this.#pause(replica);
    }
    const sealed = sealOf(machine);
    if (sealed !== undefined && sealed.bounds >= provenBounds)
      throw refused(`range ${rangeId} is sealed for range ${sealed.rangeId}, which has not decided`);
  }

  async #replace({ rangeId, replicaId, machine }: Replica, newId: ReplicaId): Promise<RecoveredRange> {
    const { dependencies, persist } = this.#host;
    const { environment, engine, log } = dependencies;
    stageForced(log, log.group(rangeId)!, newId, machine.appliedIndex, machine.appliedTerm);
    await new Promise<void>((resolve) => {
      persist.addStep(resolve);
      this.#host.schedule();
    });
    this.#host.onBuried(rangeId, replicaId);
    const fresh = (await readRange(rangeId, engine, environment.bytes)).machine(engine);
    const reborn = this.#host.addReplica(fresh, newId, true);
    const fields = { rangeId, replicaId: newId, index: fresh.appliedIndex };
    environment.logger.warn(fields, "a range goes on without its majority");
    reborn.node.campaign();
    this.#host.schedule();
    return recovered(newId, fresh);
  }

  #metaRecovery({ rangeId, known, lost }: RecoveryOrder, machine: StateMachine): Promise<MetaRecovery | undefined> {
    const { engine, environment } = this.#host.dependencies;
    if (rangeId !== metaRangeId) return Promise.resolve(undefined);
    return scanMeta(machine, engine, environment.bytes, systemPrefix, userPrefix).then((found) =>
      recoverMeta(found, known, lost, environment.bytes),
    );
  }

  async #write(
    { floor }: RecoveryOrder,
    machine: StateMachine,
    replicaId: ReplicaId,
    meta: MetaRecovery | undefined,
  ): Promise<void> {
    const { queue, storeId, dependencies } = this.#host;
    const { engine, environment } = dependencies;
    const operations = environment.bytes;
    const { appliedIndex: index, appliedTerm: term } = machine;
    const lastVersion = version(machine.lastVersion + (meta === undefined ? 0 : 1));
    const descriptor = forcedDescriptor(machine.descriptor, { replicaId, storeId }, floor);
    await queue.run(async () => {
      const batch = engine.batch();
      putForced(batch, { descriptor, index, term, lastVersion, merged: machine.merged }, operations);
      for (const { key, value } of meta?.records ?? [])
        batch.put(newestKey(key, operations), encodeRecord(key, "value", lastVersion, value, operations));
      await batch.write();
    });
  }

  /** What is in the engine now is durable: the only proof is that its files are gone. */
  async #settled(replica: Replica): Promise<void> {
    const { engine } = this.#host.dependencies;
    const before = new Set(await engine.unsettledFiles());
    for (;;) {
      await this.#host.flusher.settle();
      if (!(await engine.unsettledFiles()).some((file) => before.has(file))) return;
      await this.#pause(replica);
    }
  }

  async #pause(replica: Replica): Promise<void> {
    await new Promise<void>((resolve) => this.#host.dependencies.environment.scheduler.after(pollMs, resolve));
    this.#assertLives(replica);
  }

  #assertLives(replica: Replica): void {
    if (this.#host.halted()) throw new Failure("Closed", "this store has halted");
    if (replica.retired || this.#host.replica(replica.rangeId) !== replica)
      throw refused(`replica ${replica.replicaId} of range ${replica.rangeId} has gone meanwhile`);
  }
}

const recovered = (replicaId: ReplicaId, { appliedIndex, appliedTerm, descriptor }: StateMachine): RecoveredRange => ({
  replicaId,
  index: appliedIndex,
  term: appliedTerm,
  descriptor,
});

function refused(message: string): Failure {
  return new Failure("Refused", message, { hint: "run flotilla unsafe-recover again: it looks anew" });
}
