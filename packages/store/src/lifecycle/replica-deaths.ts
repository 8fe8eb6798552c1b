/**
 * How a replica ends (rule: death). It leaves the store's map at once, so nobody is answered from it; the tombstone becomes
 * durable, so that no delayed message brings it back (hazard E13); then its records are cleared in the background.
 *
 * When its bounds changed and the engine does not have that durably, the engine is brought up first: what the engine
 * would otherwise show after a crash is the wider interval of before, and clearing that would take the records of the
 * ranges that were split off.
 */
import { replicaId as toReplicaId } from "@flotilla/base";
import type { Environment, RangeId, ReplicaId } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { ClearedInterval } from "@flotilla/storage";
import type { IntervalClearer } from "../engine/interval-clearer.ts";
import type { Flusher } from "../engine/flusher.ts";
import type { PersistBatches } from "../persist-batches.ts";
import type { Replica } from "../replica/replica.ts";

const retryMs = 500;

export interface ReplicaDeathsHost {
  readonly environment: Environment;
  readonly log: SharedLog;
  readonly flusher: Flusher;
  readonly persist: PersistBatches;
  readonly clearer: IntervalClearer;
  /** Takes it out of the store: no message, client or scan finds it any more. */
  forget(replica: Replica): void;
  /** Its tombstone is durable. */
  onBuried(rangeId: RangeId, replicaId: ReplicaId): void;
  diskFull(): boolean;
  halted(): boolean;
  fail(error: unknown): void;
  schedule(): void;
}

export class ReplicaDeaths {
  /** Out of the store, and still to be flushed. */
  readonly #dying: Map<RangeId, Replica> = new Map();
  /** Their tombstones are not durable yet. */
  readonly #unburied: Set<RangeId> = new Set();
  readonly #host: ReplicaDeathsHost;

  constructor(host: ReplicaDeathsHost) {
    this.#host = host;
  }

  /** For the flush: a split that one of them applied goes into the engine with both halves. */
  get dying(): Iterable<Replica> {
    return this.#dying.values();
  }

  dyingReplica(rangeId: RangeId): Replica | undefined {
    return this.#dying.get(rangeId);
  }

  underWay(rangeId: RangeId): boolean {
    return this.#unburied.has(rangeId);
  }

  /** The replica is a member no more, by what is committed. */
  begin(replica: Replica, reason: string): void {
    if (replica.retired) return;
    const { rangeId, replicaId, descriptor } = replica;
    const { start, end } = descriptor;
    const interval = { rangeId, start, end };
    const fields = { rangeId, replicaId, reason };
    this.#host.environment.logger.info(fields, "a replica that is a member no more is removed");
    this.#host.clearer.reserve(interval);
    this.#host.forget(replica);
    replica.retire();
    this.#dying.set(rangeId, replica);
    this.#unburied.add(rangeId);
    this.#bury(replica, interval).catch((error: unknown) => this.#host.fail(error));
  }

  /**
   * A split was applied whose right half is gone from here already: nothing lives in `interval`, and until the engine has
   * the left half's new bounds durably, nothing of it is removed either.
   */
  clearRightHalf(left: Replica, interval: ClearedInterval): void {
    this.#host.clearer.reserve(interval);
    this.makeBoundsDurable(left).then(
      (durable) => {
        if (durable) this.#host.clearer.begin(interval);
      },
      (error: unknown) => this.#host.fail(error),
    );
  }

  /**
   * The right range of a merge, or what else a range snapshot of its left neighbour has taken the place of: with the log's
   * install record comes its tombstone, in one frame, so that it is there as long as it may be needed. Whoever loads the
   * snapshot clears the interval first.
   */
  supersede(replica: Replica): void {
    const { rangeId, replicaId } = replica;
    const fields = { rangeId, replicaId };
    this.#host.environment.logger.info(fields, "a replica gives way to a range snapshot that covers its keys");
    this.#host.forget(replica);
    replica.retire();
    this.#unburied.add(rangeId);
    this.#host.log.tombstone(rangeId, toReplicaId(replicaId + 1));
    this.#host.persist.addStep(() => {
      this.#unburied.delete(rangeId);
      this.#host.onBuried(rangeId, replicaId);
    });
  }

  /** False when the store halted before. For `patienceMs` what happens anyway may make them durable. */
  async makeBoundsDurable(replica: Replica, patienceMs = 0): Promise<boolean> {
    const { environment, flusher } = this.#host;
    const forcedMs = environment.clock.monotonicMs() + patienceMs;
    while (!replica.loading && !replica.machine.boundsDurable) {
      if (environment.clock.monotonicMs() >= forcedMs && !this.#host.diskFull()) {
        await flusher.flushAll();
        await flusher.settle();
      }
      if (this.#host.halted()) return false;
      if (!replica.machine.boundsDurable)
        await new Promise<void>((resolve) => environment.scheduler.after(retryMs, resolve));
    }
    return true;
  }

  async #bury(replica: Replica, interval: ClearedInterval): Promise<void> {
    const { log, persist, clearer } = this.#host;
    if (!(await this.makeBoundsDurable(replica))) return;
    const { rangeId, replicaId } = replica;
    this.#dying.delete(rangeId);
    log.tombstone(rangeId, toReplicaId(replicaId + 1));
    persist.addStep(() => {
      this.#unburied.delete(rangeId);
      this.#host.onBuried(rangeId, replicaId);
      clearer.begin(interval);
    });
    this.#host.schedule();
  }
}
