/**
 * A range as the parts of a snapshot stream: exactly two things read from one read view, the range's own records and its
 * interval; the label is the applied index found there (rule: range snapshot).
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, RangeDescriptor, RangeId } from "@flotilla/base";
import type { SnapshotLabel } from "@flotilla/raft";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
} from "@flotilla/storage";
import type { Engine, EngineRecord, ReadView } from "@flotilla/storage";
import type { RangeSource } from "./snapshot-jobs.ts";
import { SnapshotEncoder } from "./snapshot-stream.ts";

const recordsPerRead = 1000;

export type ReadableEngine = Pick<Engine, "readView" | "iterate">;

/** Plain data: it crosses threads. */
export interface ViewedRange {
  readonly descriptor: RangeDescriptor;
  readonly label: SnapshotLabel;
}

export interface EncodedPart {
  readonly bytes: Uint8Array;
  /** The stream ends behind it. */
  readonly last: boolean;
}

export class RangeEncoding implements RangeSource {
  readonly found: ViewedRange | undefined;
  readonly #view: ReadView;
  readonly #parts: AsyncGenerator<EncodedPart, undefined>;

  private constructor(found: ViewedRange | undefined, view: ReadView, parts: AsyncGenerator<EncodedPart, undefined>) {
    this.found = found;
    this.#view = view;
    this.#parts = parts;
  }

  static async open(
    range: RangeId,
    chunkBytes: number,
    engine: ReadableEngine,
    operations: ByteOperations,
  ): Promise<RangeEncoding> {
    const view = engine.readView();
    try {
      const found = viewedRange(range, view, operations);
      return new RangeEncoding(found, view, encodedParts(found, chunkBytes, engine, view, operations));
    } catch (error) {
      await view.close();
      throw error;
    }
  }

  async next(): Promise<EncodedPart | undefined> {
    const { value } = await this.#parts.next();
    return value;
  }

  /** Waits for a call of `next` that is under way. */
  async close(): Promise<void> {
    await this.#parts.return(undefined);
    await this.#view.close();
  }
}

/**
 * Bounds, members and label as one view has them (hazards D6, D9): what is in memory may be of another moment.
 * Undefined of a range that was split off and is in no flush yet.
 */
function viewedRange(range: RangeId, view: ReadView, operations: ByteOperations): ViewedRange | undefined {
  const record = <T>(
    name: string,
    decode: (key: Uint8Array, value: Uint8Array, operations: ByteOperations) => T,
  ): T => {
    const key = rangeRecordKey(range, name, operations);
    const value = view.getNow(key);
    assert(value !== undefined, `range ${range} has no ${name} record to make a snapshot from`);
    return decode(key, value, operations);
  };
  if (view.getNow(rangeRecordKey(range, rangeRecordNames.applied, operations)) === undefined) return undefined;
  const { index, term } = record(rangeRecordNames.applied, decodeApplied);
  const configuration = record(rangeRecordNames.configuration, decodeConfiguration);
  const descriptor = record(rangeRecordNames.descriptor, decodeDescriptor);
  return { descriptor, label: { index, term, configuration } };
}

async function* encodedParts(
  found: ViewedRange | undefined,
  chunkBytes: number,
  engine: ReadableEngine,
  view: ReadView,
  operations: ByteOperations,
): AsyncGenerator<EncodedPart, undefined> {
  if (found === undefined) return undefined;
  const { descriptor, label } = found;
  const { rangeId, epoch } = descriptor;
  const encoder = new SnapshotEncoder(operations);
  const part = (bytes: Uint8Array, last = false): EncodedPart => ({ bytes, last });
  const { index, term } = label;
  yield part(encoder.header({ rangeId, index, term, bounds: epoch.bounds, members: epoch.members }));
  const own = { start: rangeRecordKey(rangeId, "", operations), end: rangeRecordsEnd(rangeId, operations) };
  const interval = { start: newestKey(descriptor.start, operations), end: newestKey(descriptor.end, operations) };
  for (const { start, end } of [own, interval]) {
    const iterator = engine.iterate({ start, end, view });
    try {
      for (;;) {
        const page = await iterator.next(recordsPerRead, chunkBytes);
        if (page.length === 0) break;
        for (const records of inChunks(page, chunkBytes)) yield part(encoder.chunk(records));
      }
    } finally {
      await iterator.close();
    }
  }
  yield part(encoder.trailer(), true);
  return undefined;
}

/** Pages of the engine cut to about `bytes` each, at least one record. */
function inChunks(page: readonly EngineRecord[], bytes: number): EngineRecord[][] {
  const chunks: EngineRecord[][] = [];
  let chunk: EngineRecord[] = [];
  let size = 0;
  for (const record of page) {
    const more = record.key.length + record.value.length;
    if (chunk.length > 0 && size + more > bytes) {
      chunks.push(chunk);
      chunk = [];
      size = 0;
    }
    chunk.push(record);
    size += more;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}
