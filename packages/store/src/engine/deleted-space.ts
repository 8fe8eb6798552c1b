/**
 * Gives back the room of what was deleted. To the engine a delete is one more record, above the ones that it hides; all of
 * them go when a compaction comes by, and where nothing is written any more none comes. Until then the interval keeps its size:
 * on the disk, and to placement, to which an emptied range would look as large as ever. So intervals of which a good part was
 * deleted are compacted, one after the other and with pauses, when no more is deleted there for a moment.
 *
 * What is known of an interval is lost with the process: what was deleted before a restart waits for the engine's own time.
 */
import type { ByteOperations, Clock, Key } from "@flotilla/base";
import { newestKey } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";

/** Nothing was deleted for so long; or it goes on for longer than `patienceMs`. */
const quietMs = 5000;
const patienceMs = 60_000;
/** Smaller intervals are not worth it. */
const bytesMin: number = 256 * 1024;
/** Of the interval, what the deleted records took, as far as one can tell. */
const shareMin = 0.25;
/** Tables at level zero from which compaction has enough to do with what is written. */
const levelZeroMax = 4;
/** After a compaction, so many times as long as it took, and this at least: writers and readers need the disk, too. */
const pauseTimes = 4;
const pauseMsMin = 500;
/** Intervals that are kept in mind; beyond, the one that was written to longest ago is forgotten. */
const intervalsMax = 100_000;

interface Interval {
  start: Key;
  end: Key;
  /** Since this process knows it, for the mean size of a record. */
  puts: number;
  putBytes: number;
  /** Since the last compaction. */
  deletes: number;
  firstDeleteMs: number;
  lastDeleteMs: number;
}

/** Of one flush of one range. */
export interface FlushedCounts {
  readonly puts: number;
  readonly putBytes: number;
  readonly deletes: number;
}

export class DeletedSpace {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #operations: ByteOperations;
  /** By where they begin, in the order in which they were last written to. */
  readonly #intervals: Map<Key, Interval> = new Map();
  /** Something was deleted there since it was last looked at. */
  readonly #open: Set<Interval> = new Set();
  #pausedUntilMs = -Infinity;
  compactions = 0;

  constructor(engine: Engine, clock: Clock, operations: ByteOperations) {
    this.#engine = engine;
    this.#clock = clock;
    this.#operations = operations;
  }

  /** A batch with these is written. */
  note(range: { readonly start: Key; readonly end: Key }, { puts, putBytes, deletes }: FlushedCounts): void {
    const interval = this.#take(range);
    interval.puts += puts;
    interval.putBytes += putBytes;
    if (deletes === 0) return;
    const nowMs = this.#clock.monotonicMs();
    if (!this.#open.has(interval)) interval.firstDeleteMs = nowMs;
    interval.deletes += deletes;
    interval.lastDeleteMs = nowMs;
    this.#open.add(interval);
  }

  /** Everything in the interval was deleted. */
  noteCleared(range: { readonly start: Key; readonly end: Key }): void {
    if (range.start < range.end) this.note(range, { puts: 0, putBytes: 0, deletes: Infinity });
  }

  #take({ start, end }: { readonly start: Key; readonly end: Key }): Interval {
    const known = this.#intervals.get(start);
    this.#intervals.delete(start);
    const none = { puts: 0, putBytes: 0, deletes: 0, firstDeleteMs: 0, lastDeleteMs: 0 };
    const interval = known ?? { start, end, ...none };
    // A range that was split since: what it deleted before lies in its right half as well.
    if (end > interval.end || interval.deletes === 0) interval.end = end;
    this.#intervals.set(start, interval);
    if (this.#intervals.size > intervalsMax) this.#forgetOldest();
    return interval;
  }

  #forgetOldest(): void {
    const [start, interval] = this.#intervals.entries().next().value!;
    this.#intervals.delete(start);
    this.#open.delete(interval);
  }

  /** Now and then. Compacts at most one interval; resolves when that is done. */
  async look(): Promise<void> {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#pausedUntilMs) return;
    for (const interval of [...this.#open]) {
      const { firstDeleteMs, lastDeleteMs } = interval;
      if (nowMs < lastDeleteMs + quietMs && nowMs < firstDeleteMs + patienceMs) continue;
      if (this.#engine.levelZeroFiles() > levelZeroMax) return;
      this.#open.delete(interval);
      if (await this.#compact(interval)) return;
    }
  }

  /** False: it is not worth it, or not yet. */
  async #compact(interval: Interval): Promise<boolean> {
    const { start, end, deletes, puts, putBytes } = interval;
    const [from, to] = [newestKey(start, this.#operations), newestKey(end, this.#operations)];
    const bytes = await this.#engine.approximateBytes(from, to);
    // Of records that nobody has written since the start it is not known how large they were.
    const deletedBytes = puts === 0 ? Infinity : (deletes * putBytes) / puts;
    if (bytes < bytesMin || deletedBytes < bytes * shareMin) return false;
    // What is deleted from here on is for the next time.
    interval.deletes = deletes === Infinity ? 0 : interval.deletes - deletes;
    const startedMs = this.#clock.monotonicMs();
    await this.#engine.compact(from, to);
    this.compactions++;
    const endedMs = this.#clock.monotonicMs();
    this.#pausedUntilMs = endedMs + Math.max(pauseMsMin, pauseTimes * (endedMs - startedMs));
    return true;
  }
}
