/**
 * The records that a store keeps about itself, under `01 name` in the engine. Sealed values (`sealed-value.ts`) of format
 * number 1. A store record is durable only once a checkpoint covers it; what must be synced before the first message is
 * written with `settle` and a look at `unsettledFiles`.
 *
 *     incarnation     8: rises by one at each start
 */
import { incarnation } from "@flotilla/base";
import type { ByteOperations, Incarnation } from "@flotilla/base";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** The names, for `storeRecordKey`. */
export const storeRecordNames = {
  incarnation: "incarnation",
} as const;

const incarnationFormat = 1;

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
