/**
 * One group of the shared log: its state, where its entries are, and Raft's view of them. The same methods change it
 * when records are staged and when they are replayed, so that both come to the same state.
 */
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import { CorruptionError, assert, noIndex, noReplica, noTerm } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";
import type { Entry, LogReader } from "@flotilla/raft";
import { EntryColumns, pendingSegment } from "./entry-columns.ts";
import type { TableGroup } from "./log-format.ts";
import { corruptionHint, segmentPath } from "./log-format.ts";
import type { RecentBudget } from "./recent-entries.ts";
import { RecentEntries } from "./recent-entries.ts";
import type { GroupState } from "./shared-log.ts";

/** What lies between two entries that are read in one piece is thrown away, so it is kept small. */
const readGapBytesMax = 4096;
const readBytesMax: number = 1024 * 1024;

export interface GroupDependencies {
  readonly bytes: ByteOperations;
  readonly budget: RecentBudget;
  /** Bytes of a segment in use; short only when the file is. */
  read(segment: number, offset: number, length: number): Uint8Array;
}

/** What the frames written so far say, which the table of the next segment repeats; staged changes are not in it. */
type WrittenState = { -readonly [Name in keyof TableGroup]: number };

export class GroupLog implements LogReader {
  readonly rangeId: RangeId;
  replicaId: ReplicaId = noReplica;
  hardTerm: Term = noTerm;
  vote: ReplicaId = noReplica;
  commit: LogIndex = noIndex;
  /** columns.first === truncatedIndex + 1, except in a replay that begins behind entries that were freed later. */
  truncatedIndex: LogIndex = noIndex;
  truncatedTerm: Term = noTerm;
  tombstone: ReplicaId = noReplica;
  /** truncatedIndex ≤ checkpoint ≤ last index. Not written down: the state machine knows it. */
  checkpoint: LogIndex = noIndex;
  /** durableIndex ≤ placedIndex ≤ last index: up to here entries can be read from their segment. */
  durableIndex = 0;
  /** Entries behind it are staged: the frame they go into has no place yet. */
  placedIndex = 0;
  /** A commit index waits to ride along with the next frame. */
  commitStaged = false;
  /** The frame under construction has records of this group. */
  staged = false;
  readonly columns: EntryColumns = new EntryColumns();
  readonly recent: RecentEntries;
  readonly written: WrittenState;
  readonly #dependencies: GroupDependencies;

  constructor(rangeId: RangeId, dependencies: GroupDependencies) {
    this.rangeId = rangeId;
    this.#dependencies = dependencies;
    this.recent = new RecentEntries(dependencies.budget);
    this.written = {
      rangeId,
      replicaId: 0,
      term: 0,
      vote: 0,
      commit: 0,
      truncatedIndex: 0,
      truncatedTerm: 0,
      lastIndex: 0,
      tombstone: 0,
    };
  }

  // Raft's view.

  firstIndex(): LogIndex {
    return this.columns.first as LogIndex;
  }

  lastIndex(): LogIndex {
    return this.columns.last as LogIndex;
  }

  term(index: LogIndex): Term | undefined {
    if (this.columns.has(index)) return this.columns.term(index) as Term;
    return index === this.truncatedIndex ? this.truncatedTerm : undefined;
  }

  entries(low: LogIndex, high: LogIndex, bytesMax: number): Entry[] {
    const { columns, recent } = this;
    assert(low <= high, () => `entries [${low}, ${high}) of range ${this.rangeId}`);
    const result: Entry[] = [];
    if (low === high) return result;
    assert(
      columns.has(low) && columns.has(high - 1),
      () => `entries [${low}, ${high}) of range ${this.rangeId}, which has [${columns.first}, ${columns.last}]`,
    );
    let end = low + 1;
    let total = columns.length(low);
    while (end < high && (total += columns.length(end)) <= bytesMax) end++;
    let index: number = low;
    const recentFirst = recent.first;
    while (index < end && index < recentFirst) index = this.#readRun(index, Math.min(end, recentFirst), result);
    for (; index < end; index++) result.push(recent.get(index));
    return result;
  }

  /** Reads entries that lie close behind each other in one piece; returns the index behind the last one. */
  #readRun(index: number, end: number, result: Entry[]): number {
    const { columns } = this;
    const segment = columns.segment(index);
    const start = columns.offset(index);
    assert(
      index <= this.durableIndex && segment !== pendingSegment,
      () => `entry ${index} of range ${this.rangeId} is read before it is durable`,
    );
    let stop = start + columns.length(index);
    let next = index + 1;
    for (; next < end && columns.segment(next) === segment; next++) {
      const offset = columns.offset(next);
      const nextStop = offset + columns.length(next);
      if (offset < stop || offset - stop > readGapBytesMax || nextStop - start > readBytesMax) break;
      stop = nextStop;
    }
    const bytes = this.#dependencies.read(segment, start, stop - start);
    for (; index < next; index++) result.push(this.#entryFrom(index, bytes, start));
    return next;
  }

  #entryFrom(index: number, bytes: Uint8Array, start: number): Entry {
    const { columns } = this;
    const at = columns.offset(index) - start;
    const length = columns.length(index);
    const short = at + length > bytes.length;
    if (short || this.#dependencies.bytes.crc32(bytes, at, at + length, 0) !== columns.checksum(index)) {
      const what = short ? "the file ends inside" : "the checksum does not match the data of";
      throw new CorruptionError(
        segmentPath(columns.segment(index)),
        start + at,
        `${what} entry ${index} of range ${this.rangeId}`,
        corruptionHint,
      );
    }
    return {
      index: index as LogIndex,
      term: columns.term(index) as Term,
      kind: columns.configuration(index) ? "configuration" : "normal",
      data: bytes.subarray(at, at + length),
    };
  }

  // Transitions, for staging and replay alike.

  /** Nothing of the replica that was here before is left. */
  becomeReplica(replica: ReplicaId): void {
    this.replicaId = replica;
    this.hardTerm = noTerm;
    this.vote = noReplica;
    this.commit = noIndex;
    this.commitStaged = false;
    this.#void(noIndex, noTerm);
    this.checkpoint = noIndex;
  }

  setTombstone(lowestAllowed: ReplicaId): void {
    this.tombstone = lowestAllowed;
    if (this.replicaId !== noReplica && this.replicaId < lowestAllowed) this.becomeReplica(noReplica);
  }

  setHardState(term: Term, vote: ReplicaId, commit: LogIndex): void {
    assert(term >= this.hardTerm, () => `term of range ${this.rangeId} falls from ${this.hardTerm} to ${term}`);
    const changesVote = term === this.hardTerm && this.vote !== noReplica && vote !== this.vote;
    assert(!changesVote, () => `vote of range ${this.rangeId} in term ${term} changes from ${this.vote} to ${vote}`);
    this.hardTerm = term;
    this.vote = vote;
    if (commit > this.commit) this.commit = commit;
  }

  /** Whether `install` at this label keeps the entries behind it. */
  keepsBehind(index: LogIndex, term: Term): boolean {
    return index <= this.truncatedIndex || this.term(index) === term;
  }

  /** Everything up to `index` is void; what lies behind it, too, unless `kept`. A label that is behind changes nothing. */
  install(index: LogIndex, term: Term, kept: boolean): void {
    if (index > this.truncatedIndex) {
      assert(
        kept || index > this.checkpoint,
        () =>
          `a snapshot of range ${this.rangeId} at ${index}, term ${term} contradicts what is in the state machine up to ${this.checkpoint}`,
      );
      if (kept) this.#dropThrough(index, term);
      else this.#void(index, term);
    }
    if (index > this.commit) this.commit = index;
    if (term > this.hardTerm) {
      this.hardTerm = term;
      this.vote = noReplica;
    }
  }

  /** Everything up to `index` is in the state machine and leaves the log. */
  truncate(index: LogIndex, term: Term): void {
    assert(
      index <= this.columns.last,
      () => `truncation of range ${this.rangeId} to ${index} behind its end ${this.columns.last}`,
    );
    if (index > this.truncatedIndex) this.#dropThrough(index, term);
  }

  /** What is there from `firstIndex` on is void; the entries follow. */
  beginEntries(firstIndex: LogIndex): void {
    const { columns } = this;
    const last = columns.last;
    assert(
      firstIndex > this.truncatedIndex && firstIndex <= last + 1,
      () => `entries of range ${this.rangeId} begin at ${firstIndex}, the log has (${this.truncatedIndex}, ${last}]`,
    );
    if (firstIndex < columns.first) columns.reset(firstIndex);
    else if (firstIndex <= last) columns.cutFrom(firstIndex);
    if (firstIndex <= this.recent.last) this.recent.cutFrom(firstIndex);
    if (this.durableIndex >= firstIndex) this.durableIndex = firstIndex - 1;
    if (this.placedIndex >= firstIndex) this.placedIndex = firstIndex - 1;
  }

  #dropThrough(index: LogIndex, term: Term): void {
    this.truncatedIndex = index;
    this.truncatedTerm = term;
    this.columns.dropThrough(index);
    if (this.recent.last < index) this.recent.reset(index);
    else this.recent.evictThrough(index);
    this.#raiseTo(index);
  }

  #void(index: LogIndex, term: Term): void {
    this.truncatedIndex = index;
    this.truncatedTerm = term;
    this.columns.reset(index + 1);
    this.recent.reset(index);
    this.durableIndex = index;
    this.placedIndex = index;
    this.#raiseTo(index);
  }

  #raiseTo(index: LogIndex): void {
    if (this.durableIndex < index) this.durableIndex = index;
    if (this.placedIndex < index) this.placedIndex = index;
    if (this.checkpoint < index) this.checkpoint = index;
  }

  // The life of a frame.

  /** The frame under construction got its place; what it says goes into the next table. */
  placed(segment: number, dataStart: number): void {
    this.columns.place(this.placedIndex + 1, segment, dataStart);
    this.placedIndex = this.columns.last;
    this.staged = false;
    this.noteWritten();
  }

  /** After a replay: what was found is durable. False when entries behind the truncated index are missing. */
  endReplay(): boolean {
    const { columns } = this;
    if (columns.first !== this.truncatedIndex + 1) return false;
    this.durableIndex = columns.last;
    this.placedIndex = columns.last;
    this.checkpoint = this.truncatedIndex;
    this.recent.reset(columns.last);
    return true;
  }

  noteWritten(): void {
    const { written } = this;
    written.replicaId = this.replicaId;
    written.term = this.hardTerm;
    written.vote = this.vote;
    written.commit = this.commit;
    written.truncatedIndex = this.truncatedIndex;
    written.truncatedTerm = this.truncatedTerm;
    written.lastIndex = this.columns.last;
    written.tombstone = this.tombstone;
  }

  /** Every frame that was placed is durable. */
  becameDurable(): void {
    this.durableIndex = this.placedIndex;
    this.#dependencies.budget.becameDurable(this);
  }

  state(): GroupState {
    return {
      rangeId: this.rangeId,
      replicaId: this.replicaId,
      hardState: { term: this.hardTerm, vote: this.vote, commit: this.commit },
      truncatedIndex: this.truncatedIndex,
      truncatedTerm: this.truncatedTerm,
      lastIndex: this.columns.last as LogIndex,
      tombstone: this.tombstone,
    };
  }
}
