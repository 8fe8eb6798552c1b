/**
 * Recent entries stay in memory, as the very objects that were appended, so that replicating and applying them reads
 * nothing from disk. Every group holds a suffix of its log; all groups share one budget, and what became
 * durable first leaves first. Entries that are not durable yet are never evicted: no file could give them back.
 */
import type { Entry } from "@flotilla/raft";

/** Counted for each entry beside its data: the object, its slot, its share of the queue. */
const entryOverheadBytes = 128;

interface Evictable {
  readonly durableIndex: number;
  readonly recent: RecentEntries;
}

export class RecentBudget {
  readonly #bytesMax: number;
  bytes = 0;
  /** What became durable, oldest first: a group, and up to which index. Parallel, from #head on. */
  #groups: Evictable[] = [];
  #indexes: number[] = [];
  #head = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** The group's entries up to its durable index may go from now on; evicts the oldest of all while over budget. */
  becameDurable(group: Evictable): void {
    const { durableIndex, recent } = group;
    if (durableIndex > recent.queuedThrough && durableIndex >= recent.first) {
      recent.queuedThrough = durableIndex;
      this.#groups.push(group);
      this.#indexes.push(durableIndex);
    }
    while (this.#head < this.#groups.length) {
      const oldest = this.#groups[this.#head]!;
      const through = Math.min(this.#indexes[this.#head]!, oldest.durableIndex);
      if (this.bytes <= this.#bytesMax && through >= oldest.recent.first) break;
      oldest.recent.evictThrough(through);
      this.#head++;
    }
    if (this.#head > 1024 && this.#head * 2 > this.#groups.length) {
      this.#groups = this.#groups.slice(this.#head);
      this.#indexes = this.#indexes.slice(this.#head);
      this.#head = 0;
    }
  }
}

export class RecentEntries {
  readonly #budget: RecentBudget;
  /** `last` - `first` + 1 entries from slot #head on; the slots before it are `undefined`. */
  #entries: (Entry | undefined)[] = [];
  #head = 0;
  /** Index of the last entry of the log, in memory or not. */
  last = 0;
  /** Up to here the budget's queue knows them, so that it has at most one item per entry in memory. */
  queuedThrough = 0;

  constructor(budget: RecentBudget) {
    this.#budget = budget;
  }

  /** Lowest index in memory; last + 1 when none is. */
  get first(): number {
    return this.last + 1 - (this.#entries.length - this.#head);
  }

  /** `index` must be in [first, last]. */
  get(index: number): Entry {
    return this.#entries[this.#head + index - this.first]!;
  }

  push(entry: Entry): void {
    this.#entries.push(entry);
    this.last = entry.index;
    this.#budget.bytes += entry.data.length + entryOverheadBytes;
  }

  /** The log ends before `index` now. */
  cutFrom(index: number): void {
    while (this.#entries.length > this.#head && this.last >= index) {
      this.#release(this.#entries.pop()!);
      this.last--;
    }
    this.last = index - 1;
    if (this.queuedThrough > this.last) this.queuedThrough = this.last;
  }

  evictThrough(index: number): void {
    let first = this.first;
    while (this.#head < this.#entries.length && first <= index) {
      this.#release(this.#entries[this.#head]!);
      this.#entries[this.#head++] = undefined;
      first++;
    }
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Empty; the log ends at `last`. */
  reset(last: number): void {
    this.evictThrough(this.last);
    this.last = last;
    this.queuedThrough = 0;
  }

  #release(entry: Entry): void {
    this.#budget.bytes -= entry.data.length + entryOverheadBytes;
  }
}
