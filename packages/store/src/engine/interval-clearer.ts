/**
 * Removes what replicas that are gone have left in the engine (rule: death): the range's own records and its interval. A
 * `clearing` record stands in front of all of it, in the engine's order, and goes last, so a restart goes on where this
 * process ended. While it stands nothing may take a part of the interval: who would is refused (`overlapped`), so no
 * delayed deletion ever meets a live replica (hazard E25). Pages go through the engine's queue one by one: flushes and
 * snapshots of other ranges come in between.
 */
import { CorruptionError, MalformedError, equalBytes } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";
import {
  clearingRecordKey,
  clearingRecordsEnd,
  decodeClearing,
  encodeClearing,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
} from "@flotilla/storage";
import type { ClearedInterval, Engine } from "@flotilla/storage";
import { EngineQueue } from "./engine-queue.ts";

const recordsPerPage = 1000;
const pageBytes = 1024 * 1024;

export class IntervalClearer {
  readonly #engine: Engine;
  readonly #queue: EngineQueue;
  readonly #operations: ByteOperations;
  readonly #open: Set<ClearedInterval> = new Set();
  #stopped = false;
  /** Called when an interval is free again. */
  onCleared: (interval: ClearedInterval) => void = () => {};

  constructor(engine: Engine, queue: EngineQueue, operations: ByteOperations) {
    this.#engine = engine;
    this.#queue = queue;
    this.#operations = operations;
  }

  /** Intervals that are not cleared yet. */
  get size(): number {
    return this.#open.size;
  }

  /** What is not cleared yet of the same range or of this interval. */
  overlapped({ rangeId, start, end }: ClearedInterval): ClearedInterval | undefined {
    for (const interval of this.#open) {
      if (interval.rangeId === rangeId) return interval;
      // An empty one is of a range that was taken in: it has no keys of its own.
      if (interval.start < interval.end && interval.start < end && start < interval.end) return interval;
    }
    return undefined;
  }

  /** From now on nothing takes the interval; `begin` follows, with the same object, when the tombstone is durable. */
  reserve(interval: ClearedInterval): void {
    this.#open.add(interval);
  }

  /** The replica that had it is gone for good: its tombstone is durable. */
  begin(interval: ClearedInterval): void {
    this.#open.add(interval);
    void this.#queue.run(async () => {
      const key = clearingRecordKey(interval, this.#operations);
      const batch = this.#engine.batch();
      batch.put(key, encodeClearing(key, interval, this.#operations));
      await batch.write();
    });
    void this.#clear(interval);
  }

  /** At start: what an earlier process began. */
  resume(intervals: readonly ClearedInterval[]): void {
    for (const interval of intervals) {
      this.#open.add(interval);
      void this.#clear(interval);
    }
  }

  /** No further page. */
  stop(): void {
    this.#stopped = true;
  }

  /** A job of the queue that fails halts the store and never ends: nothing to catch. */
  async #clear(interval: ClearedInterval): Promise<void> {
    const { rangeId, start, end } = interval;
    const operations = this.#operations;
    const descriptorKey = rangeRecordKey(rangeId, rangeRecordNames.descriptor, operations);
    await this.#clearPages(newestKey(start, operations), newestKey(end, operations), undefined);
    await this.#clearPages(
      rangeRecordKey(rangeId, "", operations),
      rangeRecordsEnd(rangeId, operations),
      descriptorKey,
    );
    if (this.#stopped) return;
    await this.#queue.run(async () => {
      const batch = this.#engine.batch();
      // Last, and together: a range with a descriptor and without a clearing record lives.
      batch.delete(descriptorKey);
      batch.delete(clearingRecordKey(interval, operations));
      await batch.write();
    });
    this.#open.delete(interval);
    this.onCleared(interval);
  }

  async #clearPages(start: Uint8Array, end: Uint8Array, except: Uint8Array | undefined): Promise<void> {
    let from = start;
    for (let more = true; more && !this.#stopped;) {
      await this.#queue.run(async () => {
        const iterator = this.#engine.iterate({ start: from, end, keysOnly: true });
        try {
          const page = await iterator.next(recordsPerPage, pageBytes);
          const last = page.at(-1);
          more = last !== undefined;
          if (last === undefined) return;
          const batch = this.#engine.batch();
          for (const { key } of page) if (except === undefined || !equalBytes(key, except)) batch.delete(key);
          if (batch.operations > 0) await batch.write();
          else batch.discard();
          from = last.key.slice();
          // Behind the one that stays, so that it is not met for ever.
          if (except !== undefined && equalBytes(last.key, except)) from = following(last.key);
        } finally {
          await iterator.close();
        }
      });
    }
  }
}

/** The first key behind `key`. */
function following(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}

/** All of it at once: at a start, before anything is loaded that may lie in the interval. */
export function clearNow(interval: ClearedInterval, engine: Engine, operations: ByteOperations): Promise<void> {
  return new Promise((resolve, reject) => {
    const clearer = new IntervalClearer(engine, new EngineQueue(reject), operations);
    clearer.onCleared = () => resolve();
    clearer.begin(interval);
  });
}

/** What a start has to go on with. */
export async function readClearing(engine: Engine, operations: ByteOperations): Promise<ClearedInterval[]> {
  const intervals: ClearedInterval[] = [];
  const iterator = engine.iterate({
    start: clearingRecordKey(undefined, operations),
    end: clearingRecordsEnd(operations),
  });
  try {
    for (;;) {
      const page = await iterator.next(recordsPerPage, pageBytes);
      if (page.length === 0) return intervals;
      for (const { key, value } of page) intervals.push(decodeClearing(key, value, operations));
    }
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new CorruptionError("data", 0, error.message, "restore this directory, or replace the store");
  } finally {
    await iterator.close();
  }
}
