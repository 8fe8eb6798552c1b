/**
 * Puts a staged range snapshot into the engine: clears the old and the new interval and the range's own records, then
 * writes the file's content, the range's own records last. Runs inside the engine's queue, after the log's install record
 * is durable; a crash at any point repeats it from the start.
 */
import { CorruptionError, MalformedError, equalBytes } from "@flotilla/base";
import type { ByteOperations, Files, RangeDescriptor, RangeId } from "@flotilla/base";
import { decodeDescriptor, newestKey, rangeRecordKey, rangeRecordNames, rangeRecordsEnd } from "@flotilla/storage";
import type { Engine, EngineRecord } from "@flotilla/storage";
import { SnapshotDecoder } from "./snapshot-stream.ts";

const pageBytes = 1024 * 1024;

/** `batchBytes`: about how much is written at once. */
export async function loadSnapshot(
  path: string,
  batchBytes: number,
  dependencies: { readonly engine: Engine; readonly files: Files; readonly operations: ByteOperations },
): Promise<void> {
  const { engine, files, operations } = dependencies;
  const file = await files.open(path, "read");
  try {
    const decoder = new SnapshotDecoder((offset, length) => file.read(offset, length), operations);
    const header = await decoder.header();
    const own: EngineRecord[] = [];
    let cleared = false;
    let batch = engine.batch();
    for (;;) {
      const records = await decoder.records();
      if (records === undefined) break;
      for (const record of records) {
        if (record.key[0] === 2) own.push(record);
        else if (!cleared) {
          await clearFor(header.rangeId, own, engine, operations);
          cleared = true;
          batch.put(record.key, record.value);
        } else batch.put(record.key, record.value);
      }
      if (batch.bytes < batchBytes) continue;
      await batch.write();
      batch = engine.batch();
    }
    if (!cleared) await clearFor(header.rangeId, own, engine, operations);
    for (const { key, value } of own) batch.put(key, value);
    await batch.write();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new CorruptionError(
      path,
      0,
      error.message,
      "the staged range snapshot was whole when it was received: check the disk",
    );
  } finally {
    await file.close();
  }
}

/** The old bounds, where the engine still knows them, and the new ones. The range's own records come first in the file. */
async function clearFor(
  range: RangeId,
  own: readonly EngineRecord[],
  engine: Engine,
  operations: ByteOperations,
): Promise<void> {
  const key = rangeRecordKey(range, rangeRecordNames.descriptor, operations);
  const old = engine.getNow(key);
  const next = own.find((record) => equalBytes(record.key, key))?.value;
  for (const value of [old, next])
    if (value !== undefined) await clearRange(decodeDescriptor(key, value, operations), engine, operations);
}

/**
 * Clears what the engine still knows of the range. At a start, for all that is to be loaded and before any of it: old bounds
 * of one range may hold what another one's file brings.
 */
export async function clearOld(range: RangeId, engine: Engine, operations: ByteOperations): Promise<void> {
  await clearFor(range, [], engine, operations);
}

/** Deletes the range's own records and its interval. */
export async function clearRange(
  descriptor: RangeDescriptor,
  engine: Engine,
  operations: ByteOperations,
): Promise<void> {
  const own = [
    rangeRecordKey(descriptor.rangeId, "", operations),
    rangeRecordsEnd(descriptor.rangeId, operations),
  ] as const;
  const interval = [newestKey(descriptor.start, operations), newestKey(descriptor.end, operations)] as const;
  for (const [start, end] of [own, interval]) {
    const iterator = engine.iterate({ start, end, keysOnly: true });
    try {
      for (;;) {
        const page = await iterator.next(1000, pageBytes);
        if (page.length === 0) break;
        const batch = engine.batch();
        for (const { key } of page) batch.delete(key);
        await batch.write();
      }
    } finally {
      await iterator.close();
    }
  }
}
