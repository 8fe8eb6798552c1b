/**
 * What the client believes about where keys live: ranges that do not overlap, sorted by start. Anything may be stale;
 * the stores refuse what does not fit and tell better.
 */
import { isNewer, noStore, valueBytesMaxDefault } from "@flotilla/base";
import type { Key, RangeDescriptor, StoreId } from "@flotilla/base";
import type { RouteEntry } from "@flotilla/transport";
import type { Operation } from "./operation.ts";

/** A known range, and the operations that wait to be sent to it. */
export class CachedRange {
  descriptor: RangeDescriptor;
  readonly start: Key;
  readonly end: Key;
  /** Believed leader; 0 = unknown. */
  leader: StoreId;
  /** Which replica is tried next while no leader is known. */
  cursor = 0;
  /** Refusals since the last success. */
  refusals = 0;
  /** When its leader last answered a write (monotonic): those behind it wait their turn. */
  writeAnsweredMs: number = -Infinity;
  /** Nothing is sent before (monotonic). */
  resumeAtMs = 0;
  /** No other route refresh on behalf of this range before (monotonic). */
  refreshAtMs = 0;
  /** Halved when a store says `BatchTooLarge`. */
  readKeysMax: number;
  /** Expected size of a value that is read: unknown ones are taken for large, then it follows what comes. */
  readBytes: number = valueBytesMaxDefault;
  /** True while the range stands in the cache. */
  current = true;

  writes: Operation[] = [];
  reads: Operation[] = [];
  staleReads: Operation[] = [];

  constructor(entry: RouteEntry, readKeysMax: number) {
    this.descriptor = entry.descriptor;
    this.start = entry.descriptor.start;
    this.end = entry.descriptor.end;
    this.leader = entry.leader;
    this.readKeysMax = readKeysMax;
  }

  get idle(): boolean {
    return this.writes.length === 0 && this.reads.length === 0 && this.staleReads.length === 0;
  }
}

export class RouteCache {
  readonly #rangesMax: number;
  readonly #readKeysMax: number;
  /** Sorted by start; `#ranges[i].end ≤ #ranges[i + 1].start`. */
  #ranges: CachedRange[] = [];

  constructor(rangesMax: number, readKeysMax: number) {
    this.#rangesMax = rangesMax;
    this.#readKeysMax = readKeysMax;
  }

  get size(): number {
    return this.#ranges.length;
  }

  find(key: Key): CachedRange | undefined {
    const range = this.#ranges[this.#before(key, true)];
    return range !== undefined && key < range.end ? range : undefined;
  }

  /** The range that holds the keys right before `end`. */
  findBefore(end: Key): CachedRange | undefined {
    const range = this.#ranges[this.#before(end, false)];
    return range !== undefined && end <= range.end ? range : undefined;
  }

  /** Index of the last range with start ≤ key (or < key), or -1. */
  #before(key: Key, inclusive: boolean): number {
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start } = ranges[middle]!;
      if (inclusive ? start <= key : start < key) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /**
   * Believes an entry unless something newer is known for any part of its interval (rule: newest epoch). The leader of a
   * known range is taken only from one who should know (`leaderIsFresh`: a replica that refused), or when none is known.
   * Returns the ranges that fell out of the cache; their waiting operations need another route.
   */
  apply(entry: RouteEntry, leaderIsFresh: boolean): readonly CachedRange[] {
    const { descriptor } = entry;
    if (!(descriptor.start < descriptor.end)) return [];
    const first = this.#firstOverlap(descriptor);
    let behind = first;
    let known: CachedRange | undefined;
    while (behind < this.#ranges.length && this.#ranges[behind]!.start < descriptor.end) {
      const other = this.#ranges[behind]!;
      if (isSame(other.descriptor, descriptor)) known = other;
      else if (!isNewer(descriptor, other.descriptor)) return [];
      behind++;
    }
    if (known !== undefined) {
      update(known, entry, leaderIsFresh);
      return [];
    }
    const removed = this.#ranges.splice(first, behind - first, new CachedRange(entry, this.#readKeysMax));
    for (const range of removed) range.current = false;
    if (this.#ranges.length > this.#rangesMax) this.#dropIdle(first);
    return removed;
  }

  #firstOverlap(descriptor: RangeDescriptor): number {
    const at = this.#before(descriptor.start, true);
    const range = this.#ranges[at];
    return range !== undefined && range.end > descriptor.start ? at : at + 1;
  }

  /** Past the limit every range nobody waits for is forgotten, except the newest one; they come back when asked for. */
  #dropIdle(keep: number): void {
    const kept = this.#ranges[keep];
    this.#ranges = this.#ranges.filter((range) => {
      range.current = range === kept || !range.idle;
      return range.current;
    });
  }

  forEach(callback: (range: CachedRange) => void): void {
    for (const range of this.#ranges) callback(range);
  }
}

function isSame(a: RangeDescriptor, b: RangeDescriptor): boolean {
  return a.rangeId === b.rangeId && a.epoch.bounds === b.epoch.bounds && a.start === b.start && a.end === b.end;
}

function update(known: CachedRange, entry: RouteEntry, leaderIsFresh: boolean): void {
  if (isNewer(entry.descriptor, known.descriptor)) known.descriptor = entry.descriptor;
  if (entry.leader !== noStore && (leaderIsFresh || known.leader === noStore)) known.leader = entry.leader;
}
