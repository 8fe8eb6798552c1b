/**
 * Replicas that may be members no more without having heard of it (hazard E15): who has no leader for long, is told that
 * it seems to be gone, or is in the way of a range snapshot, asks the placement driver. Only its word, which rests on
 * what is committed in the meta range, ends a replica; never a message of another replica (hazard E16).
 */
import { noStore } from "@flotilla/base";
import type { Clock, Epoch, Key, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { ReplicaCheck, ReplicaVerdict } from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";

/** Election timeouts (of the longest kind) without a leader. */
const leaderlessTimeouts = 3;
/** Between two questions about one range. */
const askMs = 1000;
/** Between two looks at all groups of the log: what they wait for takes election timeouts. */
const silentLookMs = 1000;

export interface SilentGroup {
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
}

export interface OrphansHost {
  readonly clock: Clock;
  readonly electionMs: number;
  replica(rangeId: number): Replica | undefined;
  /** Who misses its leader does not sleep. */
  awake(): Iterable<Replica>;
  /** Log groups that wait for the split that makes their replica, or are left of one that never came. */
  silent(): readonly SilentGroup[];
  /** The store that leads the meta range, 0 = unknown. */
  driver(): StoreId;
  send(to: StoreId, check: ReplicaCheck): void;
  /** A replica here is, or may be, about to take it in. */
  isAwaited(replica: Replica): boolean;
  onGone(replica: Replica): void;
  /** As `onGone`, of a log group without a replica. */
  onSilentGone(rangeId: RangeId, replicaId: ReplicaId): void;
}

export class Orphans {
  readonly #host: OrphansHost;
  readonly #leaderlessSinceMs: Map<RangeId, number> = new Map();
  readonly #silentSinceMs: Map<RangeId, number> = new Map();
  #silentLookedMs = -Infinity;
  readonly #askedMs: Map<RangeId, number> = new Map();

  constructor(host: OrphansHost) {
    this.#host = host;
  }

  /** How long that replica has missed its leader which has done so longest; 0 = none does. */
  get withoutLeaderMs(): number {
    let first = Infinity;
    for (const sinceMs of this.#leaderlessSinceMs.values()) first = Math.min(first, sinceMs);
    return Math.max(0, this.#host.clock.monotonicMs() - first);
  }

  /** Now and then. */
  tick(): void {
    const now = this.#host.clock.monotonicMs();
    for (const [rangeId, atMs] of this.#askedMs) if (now - atMs >= askMs) this.#askedMs.delete(rangeId);
    const limitMs = leaderlessTimeouts * this.#host.electionMs;
    const leaderless: RangeId[] = [];
    for (const { rangeId, node } of this.#host.awake()) if (node.leader === 0) leaderless.push(rangeId);
    noteSince(this.#leaderlessSinceMs, leaderless, now);
    for (const [rangeId, sinceMs] of this.#leaderlessSinceMs) if (now - sinceMs > limitMs) this.suspect(rangeId);
    if (now - this.#silentLookedMs < silentLookMs) return;
    this.#silentLookedMs = now;
    const silent = this.#host.silent();
    noteSince(
      this.#silentSinceMs,
      silent.map(({ rangeId }) => rangeId),
      now,
    );
    for (const { rangeId, replicaId } of silent)
      if (now - this.#silentSinceMs.get(rangeId)! > limitMs)
        this.#ask(rangeId, replicaId, { bounds: 0, members: 0 }, undefined);
  }

  /** Asks the driver about this store's replica of the range, unless that was done a moment ago. */
  suspect(rangeId: number): void {
    const replica = this.#host.replica(rangeId);
    if (replica !== undefined && !replica.loading)
      this.#ask(replica.rangeId, replica.replicaId, replica.descriptor.epoch, replica.descriptor.start);
  }

  #ask(rangeId: RangeId, replicaId: ReplicaId, epoch: Epoch, start: Key | undefined): void {
    if (this.#askedMs.has(rangeId)) return;
    const driver = this.#host.driver();
    if (driver === noStore) return;
    this.#askedMs.set(rangeId, this.#host.clock.monotonicMs());
    this.#host.send(driver, { type: "replica-check", rangeId, replicaId, epoch, start });
  }

  onVerdict({ rangeId, replicaId, gone, descriptor }: ReplicaVerdict): void {
    if (!gone) return;
    const replica = this.#host.replica(rangeId);
    if (replica !== undefined) {
      if (replica.replicaId !== replicaId || replica.loading) return;
      // The range was merged away: its left neighbour's replica here may have to apply that yet, and needs it (hazard E10).
      if (descriptor === undefined && this.#host.isAwaited(replica)) return;
      this.#host.onGone(replica);
      return;
    }
    for (const silent of this.#host.silent())
      if (silent.rangeId === rangeId && silent.replicaId === replicaId) this.#host.onSilentGone(rangeId, replicaId);
  }
}

/** Keeps since when each of them is among them; who is no more, is forgotten. */
function noteSince(sinceMs: Map<RangeId, number>, now: readonly RangeId[], nowMs: number): void {
  if (now.length === 0) return sinceMs.clear();
  const present = new Set(now);
  for (const rangeId of sinceMs.keys()) if (!present.has(rangeId)) sinceMs.delete(rangeId);
  for (const rangeId of now) if (!sinceMs.has(rangeId)) sinceMs.set(rangeId, nowMs);
}
