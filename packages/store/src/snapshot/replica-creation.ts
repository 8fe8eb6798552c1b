/**
 * Makes replicas out of range snapshots that are addressed to them: beside bootstrap and split the only way in which a
 * replica comes to life (decision: no uninitialized replicas). The staged file is whole and durable when this begins; a
 * crash at any moment leaves nothing, or a log group whose file the next start loads.
 */
import { noReplica } from "@flotilla/base";
import type { ByteOperations, Files, RangeDescriptor, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { SnapshotLabel } from "@flotilla/raft";
import type { Engine } from "@flotilla/storage";
import type { EngineQueue } from "../engine/engine-queue.ts";
import type { IntervalClearer } from "../engine/interval-clearer.ts";
import type { PersistBatches } from "../persist-batches.ts";
import type { AddReplica } from "../replica/replica-host.ts";
import type { Replica } from "../replica/replica.ts";
import { isMember } from "../replica/member-change.ts";
import { readRange } from "../range-restore.ts";
import { loadSnapshot } from "./snapshot-load.ts";

export interface ReplicaCreationHost {
  readonly storeId: StoreId;
  readonly batchBytes: number;
  readonly operations: ByteOperations;
  readonly engine: Engine;
  readonly files: Files;
  readonly log: SharedLog;
  readonly queue: EngineQueue;
  readonly clearer: IntervalClearer;
  readonly persist: PersistBatches;
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  readonly addReplica: AddReplica;
  /** Inside the queue: the content of the file is in the engine. */
  onLoaded(creation: Creation): Promise<void>;
  /** The replica is in the way of another: the placement driver is asked about it. */
  suspect(rangeId: RangeId): void;
  schedule(): void;
}

export interface Creation {
  readonly replicaId: ReplicaId;
  /** In which the sender leads. */
  readonly term: Term;
  readonly label: SnapshotLabel;
  readonly descriptor: RangeDescriptor;
  readonly path: string;
}

export class ReplicaCreation {
  /** Logged and being loaded: their intervals are taken. */
  readonly #under: Map<RangeId, RangeDescriptor> = new Map();
  readonly #host: ReplicaCreationHost;

  constructor(host: ReplicaCreationHost) {
    this.#host = host;
  }

  underWay(rangeId: number): boolean {
    return this.#under.has(rangeId as RangeId);
  }

  /** Of the replicas that are being made. */
  descriptors(): Iterable<RangeDescriptor> {
    return this.#under.values();
  }

  /** Why no replica of this id can be made for that interval now; undefined = it can. */
  refusal(descriptor: RangeDescriptor, to: ReplicaId, term: Term): string | undefined {
    const { rangeId } = descriptor;
    const member = descriptor.replicas.find((replica) => replica.replicaId === to);
    if (member?.storeId !== this.#host.storeId) return `replica ${to} of range ${rangeId} does not belong here`;
    const group = this.#host.log.group(rangeId);
    if (group !== undefined && (to < group.tombstone || to < group.replicaId))
      return `replica ${to} of range ${rangeId} has been removed from this store`;
    if (group?.replicaId === to && term < group.hardState.term)
      return `replica ${to} of range ${rangeId} knows term ${group.hardState.term}`;
    if (this.#under.has(rangeId)) return "another range snapshot is being loaded";
    const own = this.#host.replica(rangeId);
    if (own !== undefined) {
      if (own.replicaId < to) this.#host.suspect(rangeId);
      return `replica ${own.replicaId} of range ${rangeId} is alive here`;
    }
    const other = this.overlapped(descriptor);
    if (other !== undefined) {
      this.#host.suspect(other.rangeId);
      return `it overlaps range ${other.rangeId}, which is alive here`;
    }
    const clearing = this.#host.clearer.overlapped(descriptor);
    return clearing === undefined ? undefined : `what range ${clearing.rangeId} left here is not cleared yet`;
  }

  /** A living replica of another range, or one that is being made, over the same keys (hazard D2). */
  overlapped(descriptor: RangeDescriptor): RangeDescriptor | undefined {
    for (const { descriptor: other, incoming } of this.#host.replicas()) {
      if (overlap(other, descriptor)) return other;
      if (incoming !== undefined && overlap(incoming, descriptor)) return incoming;
    }
    for (const other of this.#under.values()) if (overlap(other, descriptor)) return other;
    return undefined;
  }

  /**
   * A living replica is offered a range snapshot, which may cover keys that others have here: of ranges that are no more,
   * for where the first key of a range belongs to another one with higher bounds it was merged away. These give way. Why
   * the snapshot cannot be taken now, as a text.
   */
  superseded(replica: Replica, descriptor: RangeDescriptor): Replica[] | string {
    const clearing = this.#host.clearer.overlapped(descriptor);
    if (clearing !== undefined) return `what range ${clearing.rangeId} left here is not cleared yet`;
    const others: Replica[] = [];
    for (const other of this.#host.replicas()) {
      const covered = other.incoming ?? other.descriptor;
      if (other === replica || !(overlap(covered, descriptor) || overlap(other.descriptor, descriptor))) continue;
      const { start, epoch } = other.descriptor;
      const gone = descriptor.start < start && start < descriptor.end && descriptor.epoch.bounds > epoch.bounds;
      if (gone && !other.loading) others.push(other);
      else {
        this.#host.suspect(other.rangeId);
        return `it overlaps range ${other.rangeId}, which is alive here`;
      }
    }
    for (const made of this.#under.values())
      if (overlap(made, descriptor)) return `it overlaps range ${made.rangeId}, which is being made here`;
    return others;
  }

  /**
   * One synchronous step checks again and stages the log's records; resolves when the replica lives, with why it was not
   * made else (then the file is the caller's).
   */
  async create(creation: Creation): Promise<string | undefined> {
    const { replicaId, term, label, descriptor, path } = creation;
    const { rangeId } = descriptor;
    const { log, engine, files, operations, queue } = this.#host;
    const refusal = this.refusal(descriptor, replicaId, term);
    if (refusal !== undefined) return refusal;
    if (!isMember(label.configuration, replicaId)) return "the sender's records do not know this replica yet";
    const known = log.group(rangeId);
    const brandNew = known?.replicaId !== replicaId;
    this.#under.set(rangeId, descriptor);
    log.install(rangeId, replicaId, label.index, label.term);
    const group = log.group(rangeId)!;
    if (term > group.hardState.term) {
      const { commit } = group.hardState;
      log.setHardState(rangeId, replicaId, { term, vote: noReplica, commit });
    }
    await new Promise<void>((resolve) => {
      this.#host.persist.addStep(resolve);
      this.#host.schedule();
    });
    await queue.run(async () => {
      await loadSnapshot(path, this.#host.batchBytes, { engine, files, operations });
      await this.#host.onLoaded(creation);
    });
    const machine = (await readRange(rangeId, engine, operations)).machine(engine);
    this.#under.delete(rangeId);
    this.#host.addReplica(machine, replicaId, brandNew);
    return undefined;
  }
}

const overlap = (a: RangeDescriptor, b: RangeDescriptor): boolean =>
  a.rangeId !== b.rangeId && a.start < b.end && b.start < a.end;
