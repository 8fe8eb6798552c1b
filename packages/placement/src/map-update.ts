/**
 * Keeps the map of ranges an exact partition of the key space while descriptors come in any order, twice, or late (rule
 * "newest epoch"). A descriptor that is newer but does not fit yet waits: the halves of a split come one by one, each from
 * its own leader.
 */
import { assert, compareKeys, isNewer, keyMax, systemPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor, RangeId } from "@flotilla/base";

/** Made in one atomic write. Keys are ends of ranges, as in the map. */
export interface MapUpdate {
  readonly puts: readonly RangeDescriptor[];
  /** Ends of ranges that are no bounds any more. */
  readonly deletes: readonly Key[];
}

/** Descriptors that wait for others, at most; past it the one that waits longest falls (its leader says it again). */
export const waitingDescriptorsMax = 100_000;

/**
 * The map as it is written, and what waits. `report` gives what is to be written; `commit` is called when it has been, and
 * before that the map is what it was: a write that was lost is asked for again by the next report.
 */
export class RangeMap {
  /** Sorted by start; each begins where the one before ends. */
  private readonly ranges: RangeDescriptor[];
  private readonly byId = new Map<RangeId, RangeDescriptor>();
  private readonly waiting = new Map<RangeId, RangeDescriptor>();
  /** Written, or gone, since `takeChanged` was asked last. */
  private changed = new Set<RangeId>();

  constructor(ranges: readonly RangeDescriptor[]) {
    this.ranges = [...ranges].sort((a, b) => compareKeys(a.start, b.start));
    assertPartition(this.ranges);
    for (const range of this.ranges) this.byId.set(range.rangeId, range);
  }

  /** Ranges that an update has changed, made or taken away since this was asked last. Of one that is gone `get` has nothing. */
  takeChanged(): ReadonlySet<RangeId> {
    const { changed } = this;
    this.changed = new Set();
    return changed;
  }

  all(): readonly RangeDescriptor[] {
    return this.ranges;
  }

  get(id: RangeId): RangeDescriptor | undefined {
    return this.byId.get(id);
  }

  /** Newer descriptors that do not fit yet. */
  get waitingCount(): number {
    return this.waiting.size;
  }

  /** The range that the key lies in. */
  find(at: Key): RangeDescriptor {
    return this.ranges[this.position(at)]!;
  }

  /** Takes note of a reported descriptor; true when it says something that the map does not know yet. */
  report(descriptor: RangeDescriptor): boolean {
    if (descriptor.start < systemPrefix || descriptor.start >= descriptor.end || descriptor.end > keyMax) return false;
    if (this.isOld(descriptor)) return false;
    const held = this.waiting.get(descriptor.rangeId);
    if (held !== undefined && !isNewer(descriptor, held)) return true;
    this.waiting.delete(descriptor.rangeId);
    this.waiting.set(descriptor.rangeId, descriptor);
    if (this.waiting.size > waitingDescriptorsMax) this.waiting.delete(this.waiting.keys().next().value!);
    return true;
  }

  /** What can be written now; undefined when nothing can. */
  update(): MapUpdate | undefined {
    for (const [id, descriptor] of this.waiting) if (this.isOld(descriptor)) this.waiting.delete(id);
    const pieces = [...this.waiting.values()].sort(byStartThenNewest);
    const chained = this.chains(pieces);
    const puts: RangeDescriptor[] = [];
    const deletes: Key[] = [];
    let covered: Key = systemPrefix;
    for (const { start } of pieces) {
      if (start < covered || !this.isBound(start)) continue;
      let next = chained.get(start);
      if (next === undefined) continue;
      const from = puts.length;
      for (; next !== undefined; next = this.isBound(next.end) ? undefined : chained.get(next.end)) puts.push(next);
      covered = puts.at(-1)!.end;
      this.endsReplaced(start, covered, puts.slice(from), deletes);
    }
    return puts.length === 0 ? undefined : { puts, deletes };
  }

  /** The update is written. */
  commit({ puts }: MapUpdate): void {
    for (let i = 0; i < puts.length;) {
      let j = i + 1;
      while (j < puts.length && puts[j]!.start === puts[j - 1]!.end) j++;
      this.replace(puts.slice(i, j));
      i = j;
    }
  }

  private replace(chain: readonly RangeDescriptor[]): void {
    const { start } = chain[0]!;
    const { end } = chain.at(-1)!;
    const first = this.position(start);
    let count = 0;
    while (first + count < this.ranges.length && this.ranges[first + count]!.end <= end) count++;
    const old = this.ranges.slice(first, first + count);
    assert(old[0]?.start === start && old.at(-1)!.end === end, () => `map update of ${start}..${end} cuts a range`);
    assertChain(chain);
    for (const { rangeId } of old) {
      this.byId.delete(rangeId);
      this.changed.add(rangeId);
    }
    this.ranges.splice(first, count, ...chain);
    for (const range of chain) {
      assert(!this.byId.has(range.rangeId), () => `range ${range.rangeId} twice in the map`);
      this.byId.set(range.rangeId, range);
      this.changed.add(range.rangeId);
      if (this.waiting.get(range.rangeId) === range) this.waiting.delete(range.rangeId);
    }
  }

  /** For each start the newest piece from which others lead on to a bound that the map has: from there all fits. */
  private chains(pieces: readonly RangeDescriptor[]): Map<Key, RangeDescriptor> {
    const chained = new Map<Key, RangeDescriptor>();
    // Within one start the newest comes first, so it is seen last here and wins.
    for (let i = pieces.length - 1; i >= 0; i--) {
      const piece = pieces[i]!;
      if (this.isBound(piece.end) || chained.has(piece.end)) chained.set(piece.start, piece);
    }
    return chained;
  }

  private endsReplaced(start: Key, end: Key, puts: readonly RangeDescriptor[], deletes: Key[]): void {
    const kept = new Set(puts.map((put) => put.end));
    for (let i = this.position(start); i < this.ranges.length && this.ranges[i]!.end <= end; i++) {
      if (!kept.has(this.ranges[i]!.end)) deletes.push(this.ranges[i]!.end);
    }
  }

  /** Says nothing new, or something that cannot be: a range keeps its start for ever. */
  private isOld(descriptor: RangeDescriptor): boolean {
    const known = this.byId.get(descriptor.rangeId);
    if (known !== undefined && (known.start !== descriptor.start || !isNewer(descriptor, known))) return true;
    for (let i = this.position(descriptor.start); i < this.ranges.length; i++) {
      const range = this.ranges[i]!;
      if (range.start >= descriptor.end) break;
      if (range !== known && range.epoch.bounds >= descriptor.epoch.bounds) return true;
    }
    return false;
  }

  private isBound(at: Key): boolean {
    return at === keyMax || this.ranges[this.position(at)]!.start === at;
  }

  /** Of the last range that begins at or before the key. */
  private position(at: Key): number {
    let low = 0;
    let high = this.ranges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.ranges[middle]!.start <= at) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function byStartThenNewest(a: RangeDescriptor, b: RangeDescriptor): number {
  return compareKeys(a.start, b.start) || b.epoch.bounds - a.epoch.bounds || b.epoch.members - a.epoch.members;
}

function assertChain(ranges: readonly RangeDescriptor[]): void {
  for (let i = 1; i < ranges.length; i++) {
    const [before, after] = [ranges[i - 1]!, ranges[i]!];
    assert(before.end === after.start, () => `range ${after.rangeId} does not begin where ${before.rangeId} ends`);
  }
}

/** From the first system key to the end of all keys, without hole or overlap. */
export function assertPartition(ranges: readonly RangeDescriptor[]): void {
  assert(ranges.length > 0, "the map has no ranges");
  assert(ranges[0]!.start === systemPrefix, "the map does not begin at the first key");
  assert(ranges.at(-1)!.end === keyMax, "the map does not end at the last key");
  assertChain(ranges);
}
