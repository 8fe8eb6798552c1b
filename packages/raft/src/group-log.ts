/**
 * One group's log as the protocol sees it: what the host keeps (read through `LogReader`), and behind it the tail
 * that no `Ready` has handed over yet. Four cursors move along it, and never back:
 *
 *     applied ≤ handedToApply ≤ min(commit, persisted)        commit ≤ lastIndex, persisted ≤ lastIndex
 *
 * `persisted` alone falls when a conflicting tail is cut off, never below `commit`'s own durable part.
 */
import { assert } from "@flotilla/base";
import type { LogIndex, Term } from "@flotilla/base";
import type { SnapshotLabel } from "./configuration.ts";
import type { Entry } from "./entry.ts";
import type { LogReader } from "./log-reader.ts";

export const noEntries: readonly Entry[] = Object.freeze([]) as readonly Entry[];

export class GroupLog {
  readonly #reader: LogReader;
  /** Not handed over yet: #tail[i].index === #tailFirst + i, and it ends at #lastIndex unless empty. */
  #tail: Entry[] = [];
  /** Valid while #tail is not empty. */
  #tailFirst = 0;
  /** Data bytes in #tail. */
  #tailBytes = 0;
  /** A message holds #tail itself: it must be copied before it changes. */
  #tailShared = false;
  #lastIndex: LogIndex;
  /** Term of the entry at #lastIndex. */
  #lastTerm: Term;
  /** Accepted and not yet handed over; then the log is void up to its index. */
  #snapshot: SnapshotLabel | undefined;
  /** Highest label accepted; nothing is handed out to apply while applied is below it. */
  #restoring: LogIndex;
  #commit: LogIndex;
  /** Everything up to here is durable in the local log and equal to the log now. */
  #persisted: LogIndex;
  #handedToApply: LogIndex;
  #applied: LogIndex;
  /** Data bytes handed out since applied last caught up with #handedToApply. */
  #applyingBytes = 0;

  constructor(reader: LogReader, commit: LogIndex, applied: LogIndex) {
    this.#reader = reader;
    this.#lastIndex = reader.lastIndex();
    const lastTerm = reader.term(this.#lastIndex);
    assert(lastTerm !== undefined, () => `the log knows no term for its last index ${this.#lastIndex}`);
    this.#lastTerm = lastTerm;
    assert(
      applied <= this.#lastIndex && applied >= reader.firstIndex() - 1,
      () => `applied ${applied} is outside the log ${reader.firstIndex()}..${this.#lastIndex}`,
    );
    // A commit index may be durable while the entries behind it were lost with the tail (hazard A7): it is not believed.
    this.#commit = Math.max(applied, Math.min(commit, this.#lastIndex)) as LogIndex;
    this.#persisted = this.#lastIndex;
    this.#handedToApply = applied;
    this.#applied = applied;
    this.#restoring = applied;
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex;
  }

  get lastTerm(): Term {
    return this.#lastTerm;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get persisted(): LogIndex {
    return this.#persisted;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  /** A snapshot was accepted and is not in the state machine yet. */
  get restoring(): boolean {
    return this.#restoring > this.#applied;
  }

  /** Nothing is to be handed over, to become durable, to be committed or to be applied. */
  get quiet(): boolean {
    const last = this.#lastIndex;
    return this.#applied === last && this.#commit === last && this.#persisted === last && this.#tail.length === 0;
  }

  get hasTail(): boolean {
    return this.#tail.length > 0;
  }

  get snapshot(): SnapshotLabel | undefined {
    return this.#snapshot;
  }

  firstIndex(): LogIndex {
    return this.#snapshot === undefined ? this.#reader.firstIndex() : ((this.#snapshot.index + 1) as LogIndex);
  }

  /** Known for firstIndex - 1 … lastIndex; undefined outside. */
  term(index: LogIndex): Term | undefined {
    if (index === this.#lastIndex) return this.#lastTerm;
    if (index > this.#lastIndex) return undefined;
    if (this.#tail.length > 0 && index >= this.#tailFirst) return this.#tail[index - this.#tailFirst]!.term;
    if (this.#snapshot !== undefined) return index === this.#snapshot.index ? this.#snapshot.term : undefined;
    return this.#reader.term(index);
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.term(index) === term;
  }

  /** Raft paper §5.4.1: by last term, then by length. */
  isUpToDate(lastIndex: LogIndex, lastTerm: Term): boolean {
    return lastTerm > this.#lastTerm || (lastTerm === this.#lastTerm && lastIndex >= this.#lastIndex);
  }

  /**
   * The last index ≤ `index` whose term is ≤ `term` or unknown: where two logs could meet, whole terms skipped.
   * Its term is `term(result)`, undefined when unknown.
   */
  findConflictByTerm(index: LogIndex, term: Term): LogIndex {
    let at = index;
    for (; at > 0; at--) {
      const own = this.term(at);
      if (own === undefined || own <= term) break;
    }
    return at;
  }

  /**
   * Entries from `low` to the end, as many as fit in `bytesMax` of data but at least one. Stops early where the tail
   * begins: call again from there. `low` is not truncated.
   */
  entriesFrom(low: LogIndex, bytesMax: number): readonly Entry[] {
    if (low > this.#lastIndex) return noEntries;
    if (this.#tail.length === 0 || low < this.#tailFirst) {
      const end = this.#tail.length === 0 ? this.#lastIndex + 1 : this.#tailFirst;
      return this.#reader.entries(low, end as LogIndex, bytesMax);
    }
    if (low === this.#tailFirst && this.#tailBytes <= bytesMax) {
      this.#tailShared = true;
      return this.#tail;
    }
    const from = low - this.#tailFirst;
    let bytes = this.#tail[from]!.data.length;
    let to = from + 1;
    for (; to < this.#tail.length; to++) {
      bytes += this.#tail[to]!.data.length;
      if (bytes > bytesMax) break;
    }
    return this.#tail.slice(from, to);
  }

  /** Committed entries from `low` up to the commit index, in pages; for looking at them, not for applying. */
  committedFrom(low: LogIndex, bytesMax: number): readonly Entry[] {
    if (low > this.#commit) return noEntries;
    const entries = this.entriesFrom(low, bytesMax);
    const count = this.#commit - low + 1;
    return entries.length > count ? entries.slice(0, count) : entries;
  }

  /** A leader's own next entry. */
  push(entry: Entry): void {
    assert(entry.index === this.#lastIndex + 1, () => `entry ${entry.index} behind ${this.#lastIndex}`);
    this.#unshareTail();
    if (this.#tail.length === 0) this.#tailFirst = entry.index;
    this.#tail.push(entry);
    this.#tailBytes += entry.data.length;
    this.#lastIndex = entry.index;
    this.#lastTerm = entry.term;
  }

  /**
   * A leader's entries behind an index at which the logs agree. What is there already stays, whatever its age
   * (hazard A6); the first entry whose term differs, and all behind it, is replaced.
   */
  appendFromLeader(entries: readonly Entry[]): void {
    let i = 0;
    while (i < entries.length && this.matches(entries[i]!.index, entries[i]!.term)) i++;
    if (i === entries.length) return;
    const first = entries[i]!.index;
    if (first <= this.#lastIndex) this.#cutFrom(first);
    for (; i < entries.length; i++) this.push(entries[i]!);
  }

  #cutFrom(first: LogIndex): void {
    assert(first > this.#commit, () => `entry ${first} conflicts with the committed one (commit ${this.#commit})`);
    const lastTerm = this.term((first - 1) as LogIndex);
    assert(lastTerm !== undefined, () => `no term for ${first - 1}, before a conflict`);
    this.#unshareTail();
    const keep = Math.max(0, this.#tail.length === 0 ? 0 : first - this.#tailFirst);
    for (let i = keep; i < this.#tail.length; i++) this.#tailBytes -= this.#tail[i]!.data.length;
    this.#tail.length = keep;
    this.#lastIndex = (first - 1) as LogIndex;
    this.#lastTerm = lastTerm;
    if (this.#persisted >= first) this.#persisted = (first - 1) as LogIndex;
  }

  #unshareTail(): void {
    if (!this.#tailShared) return;
    this.#tail = this.#tail.slice();
    this.#tailShared = false;
  }

  /** False when nothing changed. Beyond the end of the log it is not believed (hazard A7). */
  commitTo(index: LogIndex): boolean {
    const to = index < this.#lastIndex ? index : this.#lastIndex;
    if (to <= this.#commit) return false;
    this.#commit = to;
    return true;
  }

  /** Accepts a snapshot in place of the whole log. */
  restore(label: SnapshotLabel): void {
    assert(label.index > this.#commit, () => `snapshot ${label.index} is not beyond commit ${this.#commit}`);
    if (this.#persisted > this.#commit) this.#persisted = this.#commit;
    this.#tail = [];
    this.#tailBytes = 0;
    this.#tailShared = false;
    this.#lastIndex = label.index;
    this.#lastTerm = label.term;
    this.#commit = label.index;
    this.#snapshot = label;
    this.#restoring = label.index;
    this.#handedToApply = label.index;
    this.#applyingBytes = 0;
  }

  /** Gives the tail away: from now on the host's log has it. */
  takeTail(): readonly Entry[] {
    if (this.#tail.length === 0) return noEntries;
    const tail = this.#tail;
    this.#tail = [];
    this.#tailBytes = 0;
    this.#tailShared = false;
    return tail;
  }

  takeSnapshot(): SnapshotLabel | undefined {
    const snapshot = this.#snapshot;
    this.#snapshot = undefined;
    return snapshot;
  }

  /** The host's log has everything up to `index` durable, if that is still the entry of `term`. */
  persistedTo(index: LogIndex, term: Term): void {
    if (index > this.#persisted && this.matches(index, term)) this.#persisted = index;
  }

  /** A snapshot's install record is durable: what it stands for is committed, so no term can take it away. */
  snapshotPersisted(index: LogIndex): void {
    if (index > this.#persisted && index <= this.#lastIndex) this.#persisted = index;
  }

  hasEntriesToApply(bytesMax: number): boolean {
    const end = this.#commit < this.#persisted ? this.#commit : this.#persisted;
    return this.#handedToApply < end && this.#restoring <= this.#applied && this.#applyingBytes < bytesMax;
  }

  /** The next committed and durable entries, each handed out once. Pauses while `bytesMax` wait to be applied. */
  takeEntriesToApply(bytesMax: number): readonly Entry[] {
    if (!this.hasEntriesToApply(bytesMax)) return noEntries;
    const end = this.#commit < this.#persisted ? this.#commit : this.#persisted;
    const low = (this.#handedToApply + 1) as LogIndex;
    const entries = this.#reader.entries(low, (end + 1) as LogIndex, bytesMax);
    const last = entries[entries.length - 1];
    assert(
      last !== undefined && entries[0]!.index === low && last.index === this.#handedToApply + entries.length,
      () => `asked for entries ${low}..${end}, got ${entries[0]?.index}..${last?.index}`,
    );
    for (let i = 0; i < entries.length; i++) this.#applyingBytes += entries[i]!.data.length;
    this.#handedToApply = last.index;
    return entries;
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied, () => `applied ${index} goes back from ${this.#applied}`);
    assert(index <= this.#handedToApply, () => `applied ${index} was handed out only up to ${this.#handedToApply}`);
    this.#applied = index;
    if (index === this.#handedToApply) this.#applyingBytes = 0;
  }
}
