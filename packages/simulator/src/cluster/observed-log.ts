/** The node's real log; the claims see what goes into it. */
import { assert } from "@flotilla/base";
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import type { Entry, HardState, LogReader } from "@flotilla/raft";
import type { GroupState, LogStatistics, SharedLog } from "@flotilla/raft-log";
import type { Claims, LogState } from "./claims.ts";

/** Passes everything on; made to be overridden in part. */
export class ForwardingLog implements SharedLog {
  protected readonly inner: SharedLog;

  constructor(inner: SharedLog) {
    this.inner = inner;
  }

  groups(): GroupState[] {
    return this.inner.groups();
  }

  visitReplicas(visit: (range: RangeId, replica: ReplicaId) => void): void {
    this.inner.visitReplicas(visit);
  }

  group(range: RangeId): GroupState | undefined {
    return this.inner.group(range);
  }

  reader(range: RangeId): LogReader {
    return this.inner.reader(range);
  }

  createGroup(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.inner.createGroup(range, replica, index, term);
  }

  append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void {
    this.inner.append(range, replica, entries);
  }

  setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void {
    this.inner.setHardState(range, replica, hardState);
  }

  install(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.inner.install(range, replica, index, term);
  }

  tombstone(range: RangeId, lowestAllowed: ReplicaId): void {
    this.inner.tombstone(range, lowestAllowed);
  }

  hasStaged(): boolean {
    return this.inner.hasStaged();
  }

  flush(): Promise<void> {
    return this.inner.flush();
  }

  noteIdle(): void {
    this.inner.noteIdle();
  }

  checkpoint(range: RangeId, index: LogIndex, replica?: ReplicaId): void {
    this.inner.checkpoint(range, index, replica);
  }

  reclaim(force?: boolean): Promise<RangeId[]> {
    return this.inner.reclaim(force);
  }

  heldBackBy(): { readonly rangeId: RangeId; readonly index: LogIndex }[] {
    return this.inner.heldBackBy();
  }

  statistics(): LogStatistics {
    return this.inner.statistics();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

/** What was handed to the log for a range. */
interface Writes {
  /** Entries from here on; Infinity = none. */
  from: number;
  hardState: HardState | undefined;
}

/** What of a range is durable, and what is not yet. */
interface Durability {
  hardState: Pick<HardState, "term" | "vote">;
  /** For the next frame. */
  staged: Writes;
  /** In frames that are being written, oldest first: more than one where a log breaks its rule. */
  readonly writing: Writes[];
}

const noWrites = (): Writes => ({ from: Infinity, hardState: undefined });

export class ObservedLog extends ForwardingLog {
  /** Told of what is handed to the log, before it is. */
  onAppend: ((range: RangeId, entries: readonly Entry[]) => void) | undefined = undefined;
  readonly #node: string;
  readonly #claims: Claims;
  /** Of this life of the process: a commit index owes no fsync and may be lower after a crash. */
  readonly #commits = new Map<RangeId, LogIndex>();
  /** Not durable yet. */
  readonly #stagedTombstones = new Map<RangeId, ReplicaId>();
  readonly #durability = new Map<RangeId, Durability>();

  constructor(inner: SharedLog, node: string, claims: Claims) {
    super(inner);
    this.#node = node;
    this.#claims = claims;
    for (const group of inner.groups()) {
      claims.recovered(node, group);
      this.#commits.set(group.rangeId, group.hardState.commit);
    }
  }

  #of(range: RangeId): Durability {
    let durability = this.#durability.get(range);
    if (durability === undefined) {
      const hardState = this.inner.group(range)?.hardState ?? { term: 0 as Term, vote: 0 as ReplicaId };
      durability = { hardState, staged: noWrites(), writing: [] };
      this.#durability.set(range, durability);
    }
    return durability;
  }

  /** The range's log as it stands. */
  stateOf(range: RangeId): LogState {
    const { hardState, staged, writing } = this.#of(range);
    const reader = this.inner.reader(range);
    let lastIndex = Math.min(reader.lastIndex(), staged.from - 1);
    for (const { from } of writing) lastIndex = Math.min(lastIndex, from - 1);
    return { reader, durable: { term: hardState.term, vote: hardState.vote, lastIndex: lastIndex as LogIndex } };
  }

  override async flush(): Promise<void> {
    const written: [Durability, Writes][] = [];
    for (const durability of this.#durability.values()) {
      const { staged } = durability;
      if (staged.from === Infinity && staged.hardState === undefined) continue;
      written.push([durability, staged]);
      durability.writing.push(staged);
      durability.staged = noWrites();
    }
    const tombstones = new Map(this.#stagedTombstones);
    this.#stagedTombstones.clear();
    await this.inner.flush();
    for (const [durability, writes] of written) {
      durability.hardState = writes.hardState ?? durability.hardState;
      durability.writing.splice(durability.writing.indexOf(writes), 1);
    }
    for (const [range, lowestAllowed] of tombstones) this.#claims.buried(this.#node, range, lowestAllowed);
  }

  /** Up to where this life of the process knows the range's entries to be committed; 0 = nothing yet. */
  commitOf(range: RangeId): number {
    return this.#commits.get(range) ?? 0;
  }

  override append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void {
    if (entries.length > 0) {
      const first = entries[0]!.index;
      const commit = this.commitOf(range);
      if (first <= commit) {
        this.#claims.violate("a replica never replaces what it knows to be committed", range, [
          `replica ${replica} on ${this.#node} knows everything up to ${commit} to be committed`,
          `it appends from index ${first} on`,
        ]);
      }
      const previousTerm = this.inner.reader(range).term((first - 1) as LogIndex);
      this.#claims.appended(this.#node, range, replica, entries, previousTerm);
      const { staged } = this.#of(range);
      staged.from = Math.min(staged.from, first);
    }
    this.onAppend?.(range, entries);
    super.append(range, replica, entries);
  }

  override setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void {
    const { commit, term: termNow } = hardState;
    const known = this.inner.group(range);
    if (known !== undefined && known.replicaId === replica && termNow < known.hardState.term) {
      this.#claims.wentBack(this.#node, range, replica, "a term", known.hardState.term, termNow);
    }
    const before = this.commitOf(range);
    if (commit < before) this.#claims.wentBack(this.#node, range, replica, "a commit index", before, commit);
    this.#of(range).staged.hardState = hardState;
    super.setHardState(range, replica, hardState);
    if (commit === before) return;
    this.#commits.set(range, commit);
    const term = this.inner.reader(range).term(commit);
    if (term !== undefined) this.#claims.committed(this.#node, range, replica, commit, term, termNow);
  }

  override checkpoint(range: RangeId, index: LogIndex, of?: ReplicaId): void {
    const replica = of ?? this.inner.group(range)?.replicaId;
    assert(replica !== undefined, () => `a checkpoint of range ${range}, which the log does not know`);
    this.#claims.checkpointed(range, replica, index);
    super.checkpoint(range, index, of);
  }

  override createGroup(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    const known = this.inner.group(range);
    if (known?.replicaId === replica)
      this.#claims.violate("what a log has of a replica stays when the replica is made again", range, [
        `replica ${replica} on ${this.#node} has entries up to ${known.lastIndex}, and voted for ${known.hardState.vote} in term ${known.hardState.term}`,
        `it is to begin at ${index} now`,
      ]);
    this.#born(range, replica);
    super.createGroup(range, replica, index, term);
  }

  override install(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    if (this.inner.group(range)?.replicaId !== replica) this.#born(range, replica);
    this.#claims.replaced(this.#node, range);
    super.install(range, replica, index, term);
  }

  override tombstone(range: RangeId, lowestAllowed: ReplicaId): void {
    // Whoever lives there now, dies.
    const dying = this.inner.group(range)?.replicaId ?? 0;
    this.#stagedTombstones.set(range, Math.max(lowestAllowed, dying + 1) as ReplicaId);
    this.#claims.replaced(this.#node, range);
    this.#commits.delete(range);
    this.#durability.delete(range);
    super.tombstone(range, lowestAllowed);
  }

  #born(range: RangeId, replica: ReplicaId): void {
    this.#commits.delete(range);
    this.#durability.delete(range);
    this.#claims.lives(this.#node, range, replica);
  }
}
