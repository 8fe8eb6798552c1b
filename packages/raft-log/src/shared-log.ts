/**
 * The log that all Raft groups of a store share: what a store may ask of it. Implementation: `FileSharedLog`.
 *
 * Staging is synchronous and visible to `LogReader`s at once; `flush` hands everything staged so far to the disk as
 * ONE frame (one write, one fdatasync) and resolves when it is durable. A frame is written only after the last
 * one's fdatasync returned: while one is in flight, staging goes on into the next.
 */
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import type { Entry, HardState, LogReader } from "@flotilla/raft";

/** One group as the log knows it. */
export interface GroupState {
  readonly rangeId: RangeId;
  /** 0 when only a tombstone is known. */
  readonly replicaId: ReplicaId;
  readonly hardState: HardState;
  /** Index and term of the entry before the first: everything up to here is void or in the state machine. */
  readonly truncatedIndex: LogIndex;
  readonly truncatedTerm: Term;
  readonly lastIndex: LogIndex;
  /** Lowest replica id of this range still allowed on this store; 0 = no tombstone. */
  readonly tombstone: ReplicaId;
}

export interface SharedLog {
  /** All groups, as recovered and changed since. */
  groups(): GroupState[];
  /** Calls back with every group that has a replica; for looks that are taken again and again. */
  visitReplicas(visit: (range: RangeId, replica: ReplicaId) => void): void;
  group(range: RangeId): GroupState | undefined;
  reader(range: RangeId): LogReader;

  /** A group begins as if everything up to `index` (with `term`) were in the state machine (bootstrap: 1, 1). */
  createGroup(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void;
  /** Entries from entries[0].index on replace what is there (a conflicting tail is void). */
  append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void;
  setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void;
  /** A snapshot was installed: void up to `index`; behind it too unless the log holds that entry with that term. */
  install(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void;
  /** The replica is gone; ids below `lowestAllowed` never live here again. Its entries are void. */
  tombstone(range: RangeId, lowestAllowed: ReplicaId): void;

  /** True when something is staged that `flush` would write. */
  hasStaged(): boolean;
  /**
   * Writes what is staged as one frame and syncs it. Rejects only when a write or fsync failed: the node must halt,
   * and every later call rejects with the same error. At most one flush may be under way.
   */
  flush(): Promise<void>;
  /** Writes the unsynced closing frame after an idle turn, so that recovery knows what is durable. */
  noteIdle(): void;

  /**
   * Everything up to `index` is durable in the state machine: entries up to it may be freed when space is wanted.
   * Nothing is freed by this call itself. With `replica`, it is ignored when that is not the range's replica any more: a
   * checkpoint noted before a replica went must not free entries of the one that came after it.
   */
  checkpoint(range: RangeId, index: LogIndex, replica?: ReplicaId): void;
  /**
   * Frees the oldest segments while the log is over `logBytesTarget`, or all that can be when `force`. Truncates groups
   * to their checkpoint where needed, and stages whole tails again. Returns the groups whose first index moved.
   */
  reclaim(force?: boolean): Promise<RangeId[]>;
  /** Ranges (with the index needed) whose checkpoint holds the oldest segment back; empty when the log is under its limit. */
  heldBackBy(): { readonly rangeId: RangeId; readonly index: LogIndex }[];

  statistics(): LogStatistics;
  /** Writes and syncs the closing frame, then closes. */
  close(): Promise<void>;
}

export interface LogStatistics {
  readonly fsyncs: number;
  readonly frames: number;
  /** Spent writing and syncing frames, from the first on: with `frames` the mean time of one. */
  readonly frameMs: number;
  readonly bytesWritten: number;
  readonly segments: number;
  readonly logBytes: number;
  /** Duration of the flush under way, 0 when none: for the stall check. */
  readonly flushUnderWayMs: number;
}
