/**
 * The records that a store keeps about itself, under `01 name` in the engine. Sealed values (`sealed-value.ts`) of format
 * number 1. A store record is durable only once a checkpoint covers it; what must be synced before the first message is
 * written with `settle` and a look at `unsettledFiles`.
 *
 *     incarnation     8: rises by one at each start
 *     clearing/ + range id 8 + start
 *                     range id 8, start (length 2, bytes), end (length 2, bytes): of a replica that is gone
 *     directory       revision 8, length 4, JSON: the stores of the cluster (packages/store, store-directory.ts)
 */
import { MalformedError, incarnation, rangeId } from "@flotilla/base";
import type { ByteOperations, Incarnation, Key, RangeId } from "@flotilla/base";
import { storeRecordKey } from "./engine-keys.ts";
import { readBound, writeBound } from "./range-records.ts";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** The names, for `storeRecordKey`. */
export const storeRecordNames = {
  incarnation: "incarnation",
  directory: "directory",
  /** A prefix (`clearingRecordKey`). */
  clearing: "clearing/",
} as const;

const incarnationFormat = 1;
const directoryFormat = 1;
const clearingFormat = 1;

/** What is left of a replica that is gone: the range's own records, and these keys. */
export interface ClearedInterval {
  readonly rangeId: RangeId;
  readonly start: Key;
  readonly end: Key;
}

export function encodeIncarnation(engineKey: Uint8Array, value: Incarnation, operations: ByteOperations): Uint8Array {
  const writer = beginSealed(incarnationFormat, operations, 16);
  writer.uint53(value);
  return seal(engineKey, writer, operations);
}

export function decodeIncarnation(engineKey: Uint8Array, bytes: Uint8Array, operations: ByteOperations): Incarnation {
  const reader = openSealed(engineKey, bytes, incarnationFormat, operations);
  const value = incarnation(reader.uint53());
  expectEnd(reader);
  return value;
}

/** `stores` is plain data; whoever reads it back checks its shape. */
export function encodeDirectory(
  engineKey: Uint8Array,
  directory: { readonly revision: number; readonly stores: unknown },
  operations: ByteOperations,
): Uint8Array {
  const writer = beginSealed(directoryFormat, operations, 1024);
  const json = operations.encodeUtf8(JSON.stringify(directory.stores));
  writer.uint53(directory.revision);
  writer.uint32(json.length);
  writer.raw(json);
  return seal(engineKey, writer, operations);
}

export function decodeDirectory(
  engineKey: Uint8Array,
  bytes: Uint8Array,
  operations: ByteOperations,
): { readonly revision: number; readonly stores: unknown } {
  const reader = openSealed(engineKey, bytes, directoryFormat, operations);
  const revision = reader.uint53();
  const json = operations.decodeUtf8(reader.subarray(reader.uint32()));
  expectEnd(reader);
  try {
    return { revision, stores: JSON.parse(json) as unknown };
  } catch (error) {
    throw new MalformedError(`the directory of stores is not JSON: ${String(error)}`);
  }
}

/** Undefined: where these records begin. */
export function clearingRecordKey(interval: ClearedInterval | undefined, operations: ByteOperations): Uint8Array {
  if (interval === undefined) return storeRecordKey(storeRecordNames.clearing, operations);
  const id = new Uint8Array(8);
  const view = new DataView(id.buffer);
  view.setUint32(0, Math.floor(interval.rangeId / 4294967296));
  view.setUint32(4, interval.rangeId % 4294967296);
  return storeRecordKey(storeRecordNames.clearing + operations.binaryString(id, 0, 8) + interval.start, operations);
}

/** Exclusive: the name with its last character raised by one. */
export function clearingRecordsEnd(operations: ByteOperations): Uint8Array {
  return storeRecordKey("clearing0", operations);
}

export function encodeClearing(
  engineKey: Uint8Array,
  interval: ClearedInterval,
  operations: ByteOperations,
): Uint8Array {
  const writer = beginSealed(clearingFormat, operations, 64);
  writer.uint53(interval.rangeId);
  writeBound(writer, interval.start);
  writeBound(writer, interval.end);
  return seal(engineKey, writer, operations);
}

export function decodeClearing(engineKey: Uint8Array, bytes: Uint8Array, operations: ByteOperations): ClearedInterval {
  const reader = openSealed(engineKey, bytes, clearingFormat, operations);
  const interval = {
    rangeId: rangeId(reader.uint53()),
    start: readBound(reader, operations),
    end: readBound(reader, operations),
  };
  expectEnd(reader);
  return interval;
}
