/** Whether a staged range snapshot is whole and of the range that it is said to be, down to each record's place. */
import { MalformedError, compareBytes, equalBytes } from "@flotilla/base";
import type { ByteOperations, Files, RangeDescriptor, RangeId } from "@flotilla/base";
import type { Configuration, SnapshotLabel } from "@flotilla/raft";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
} from "@flotilla/storage";
import { SnapshotDecoder } from "./snapshot-stream.ts";

/** Plain data: it crosses threads. */
export interface VerifiedSnapshot {
  readonly label: SnapshotLabel;
  readonly descriptor: RangeDescriptor;
}

/** Reads the whole file; undefined when anything in it does not hold. */
export async function verifySnapshot(
  path: string,
  range: RangeId,
  files: Files,
  operations: ByteOperations,
): Promise<VerifiedSnapshot | undefined> {
  const file = await files.open(path, "read");
  const decoder = new SnapshotDecoder((offset, length) => file.read(offset, length), operations);
  try {
    const header = await decoder.header();
    if (header.rangeId !== range) return undefined;
    const keys = {
      descriptor: rangeRecordKey(range, rangeRecordNames.descriptor, operations),
      configuration: rangeRecordKey(range, rangeRecordNames.configuration, operations),
      applied: rangeRecordKey(range, rangeRecordNames.applied, operations),
    };
    const ownEnd = rangeRecordsEnd(range, operations);
    let descriptor: RangeDescriptor | undefined;
    let configuration: Configuration | undefined;
    let appliedHolds = false;
    let interval: { readonly start: Uint8Array; readonly end: Uint8Array } | undefined;
    for (;;) {
      const records = await decoder.records();
      if (records === undefined) break;
      for (const { key, value } of records) {
        if (interval === undefined && key[0] === 2) {
          if (!within(key, rangeRecordKey(range, "", operations), ownEnd)) return undefined;
          if (equalBytes(key, keys.descriptor)) descriptor = decodeDescriptor(key, value, operations);
          else if (equalBytes(key, keys.configuration)) configuration = decodeConfiguration(key, value, operations);
          else if (equalBytes(key, keys.applied)) {
            const applied = decodeApplied(key, value, operations);
            appliedHolds = applied.index === header.index && applied.term === header.term;
          }
          continue;
        }
        // The range's own records are through, so its bounds are known: whatever else comes lies between them.
        if (descriptor === undefined) return undefined;
        interval ??= { start: newestKey(descriptor.start, operations), end: newestKey(descriptor.end, operations) };
        if (!within(key, interval.start, interval.end)) return undefined;
      }
    }
    if (descriptor?.rangeId !== range || configuration === undefined || !appliedHolds) return undefined;
    return { label: { index: header.index, term: header.term, configuration }, descriptor };
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

const within = (key: Uint8Array, start: Uint8Array, end: Uint8Array): boolean =>
  compareBytes(key, start) >= 0 && compareBytes(key, end) < 0;
