/**
 * Where a merge comes into force on this store: the right range's replica ends in the very step that applied the merge, and
 * its records are the left one's. What is left to do has an order that a crash at any moment keeps:
 *
 *   1. the next flush writes, in one batch, the left range as it is now and that the right one is to be cleared;
 *   2. when that batch is durable, the right replica gets its tombstone: until then its log is needed, for a crash brings
 *      both back as they were, and the left log's merge is applied again;
 *   3. the right range's own records go. Its keys stay where they are.
 */
import { InvariantError, logIndex, noReplica, replicaId as toReplicaId } from "@flotilla/base";
import type { RangeId, ReplicaId } from "@flotilla/base";
import type { GroupState, SharedLog } from "@flotilla/raft-log";
import type { ClearedInterval } from "@flotilla/storage";
import type { RoutingRefusal } from "../clients/client-connection.ts";
import type { IntervalClearer } from "../engine/interval-clearer.ts";
import type { PersistBatches } from "../persist-batches.ts";
import { decodeSeal, isSeal } from "../replica/merge-entry.ts";
import type { MergeEntry, SealEntry } from "../replica/merge-entry.ts";
import { mergeMachines } from "../replica/merge-machine.ts";
import type { Replica } from "../replica/replica.ts";

/** Ranges whose clients are told where their keys are now; beyond, the oldest are forgotten, and clients ask for routes. */
const successorsMax = 1024;
/**
 * How long a range that was taken in waits for its left neighbour's bounds to be durable by what else happens: to make them so
 * costs the engine a table, and merges come in rows.
 */
const burialPatienceMs = 2000;
/** Looked at once, of a log that is searched for a seal. */
const entriesBytesMax = 1024 * 1024;

export interface TakenInHost {
  readonly log: SharedLog;
  readonly clearer: IntervalClearer;
  readonly persist: PersistBatches;
  replica(rangeId: number): Replica | undefined;
  /** Takes it out of the store, as a death does. */
  forget(replica: Replica, refusal: RoutingRefusal): void;
  epochMismatch(replica: Replica): RoutingRefusal;
  /** False when the store halted before. */
  makeBoundsDurable(replica: Replica, patienceMs: number): Promise<boolean>;
  fail(error: unknown): void;
  schedule(): void;
}

export class TakenIn {
  readonly #host: TakenInHost;
  /** Their tombstones are not durable yet. */
  readonly #unburied: Map<RangeId, ReplicaId> = new Map();
  /** From a range that is no more to the one that took it in here. */
  readonly #successors: Map<RangeId, RangeId> = new Map();

  constructor(host: TakenInHost) {
    this.#host = host;
  }

  underWay(rangeId: RangeId): boolean {
    return this.#unburied.has(rangeId);
  }

  /** The living replica here that has the keys of a range that was merged away. */
  successorOf(rangeId: number): Replica | undefined {
    let id = this.#successors.get(rangeId as RangeId);
    for (let next = id; next !== undefined; next = this.#successors.get(next)) id = next;
    return id === undefined ? undefined : this.#host.replica(id);
  }

  /**
   * The range is no more, and the left neighbour's replica here, beside which this one was sealed, is there and has not
   * applied the merge yet. The seal may stand in the log and not be known to be committed: a crash forgets that. Bounds
   * above those that the seal rests on say that the left one is past the merge, by a range snapshot: applying it would
   * have ended this replica.
   */
  isAwaited(right: Replica): boolean {
    const { rangeId, replicaId, machine } = right;
    const { sealed, appliedIndex } = machine;
    if (sealed !== undefined && this.#isBeside(replicaId, sealed)) return true;
    const reader = this.#host.log.reader(rangeId);
    for (let low = appliedIndex + 1; low <= reader.lastIndex();) {
      const entries = reader.entries(logIndex(low), logIndex(reader.lastIndex() + 1), entriesBytesMax);
      for (const { kind, data } of entries)
        if (kind === "normal" && isSeal(data) && this.#isBeside(replicaId, decodeSeal(data))) return true;
      low += entries.length;
    }
    return false;
  }

  #isBeside(replicaId: ReplicaId, { leftRangeId, leftBounds, replicas }: Omit<SealEntry, "epoch">): boolean {
    const pair = replicas.find(({ right }) => right === replicaId);
    const left = this.#host.replica(leftRangeId);
    if (pair === undefined || left === undefined) return false;
    return left.replicaId === pair.left && left.descriptor.epoch.bounds <= leftBounds;
  }

  /** `merge` is being applied to `left`, which does not refuse it. False: it falls, on every store. */
  takeIn(left: Replica, merge: MergeEntry): boolean {
    const { rightRangeId, sealIndex, sealTerm } = merge;
    const right = this.#host.replica(rightRangeId);
    const expected = merge.replicas.find((pair) => pair.left === left.replicaId)?.right;
    if (right === undefined || right.replicaId !== expected || !right.applyUpTo(sealIndex, sealTerm)) {
      const found = right === undefined ? "none" : `${right.replicaId} at ${right.machine.appliedIndex}`;
      throw new InvariantError(
        `range ${left.rangeId} takes in range ${rightRangeId}: needs replica ${expected} at ${sealIndex}, found ${found}`,
      );
    }
    if (!mergeMachines(left.machine, right.machine, merge)) return false;
    this.#unburied.set(right.rangeId, right.replicaId);
    this.#successors.delete(right.rangeId);
    this.#successors.set(right.rangeId, left.rangeId);
    for (const oldest of this.#successors.keys()) {
      if (this.#successors.size <= successorsMax) break;
      this.#successors.delete(oldest);
    }
    const refusal = this.#host.epochMismatch(left);
    this.#host.forget(right, refusal);
    right.retire(refusal);
    const { start } = left.machine.takenIn.find(({ rangeId }) => rangeId === rightRangeId)!;
    this.#bury(left, right, { rangeId: rightRangeId, start, end: start }).catch((error: unknown) =>
      this.#host.fail(error),
    );
    return true;
  }

  async #bury(left: Replica, { rangeId, replicaId }: Replica, interval: ClearedInterval): Promise<void> {
    const { log, persist, clearer } = this.#host;
    if (!(await this.#host.makeBoundsDurable(left, burialPatienceMs))) return;
    log.tombstone(rangeId, toReplicaId(replicaId + 1));
    persist.addStep(() => {
      this.#unburied.delete(rangeId);
      clearer.begin(interval);
    });
    this.#host.schedule();
  }
}

/** What a flush says of a range that was taken in: nothing of its interval is cleared. */
const isTakenIn = ({ start, end }: ClearedInterval): boolean => start === end;

/**
 * At a start: ranges that are durably a part of another one and whose log group has no tombstone yet. It is staged here.
 */
export function buryTakenIn(clearing: readonly ClearedInterval[], log: SharedLog): void {
  for (const interval of clearing) {
    if (!isTakenIn(interval)) continue;
    const group: GroupState | undefined = log.group(interval.rangeId);
    if (group !== undefined && group.replicaId !== noReplica)
      log.tombstone(interval.rangeId, toReplicaId(group.replicaId + 1));
  }
}
