/**
 * The records that a store keeps about itself, under `01 name` in the engine. Sealed values (`sealed-value.ts`) of format
 * number 1. A store record is durable only once a checkpoint covers it; what must be synced before the first message is
 * written with `settle` and a look at `unsettledFiles`.
 *
 *     incarnation     8: rises by one at each start
 *     directory       revision 8, length 4, JSON: the stores of the cluster (packages/store, store-directory.ts)
 */
import { MalformedError, incarnation } from "@flotilla/base";
import type { ByteOperations, Incarnation } from "@flotilla/base";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** The names, for `storeRecordKey`. */
export const storeRecordNames = {
  incarnation: "incarnation",
  directory: "directory",
} as const;

const incarnationFormat = 1;
const directoryFormat = 1;

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
