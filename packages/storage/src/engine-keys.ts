/**
 * Keys of the engine (design §14):
 *
 *     01 name                     store records
 *     02 rangeId(8) name          range records: descriptor, configuration, applied, sessions, …
 *     03 logicalKey               newest record of a key
 *     04 escape(logicalKey) …     history; reserved
 *
 * A range is its `02 rangeId` and its interval in `03` (and later `04`), nothing else.
 */
import { writeUint53 } from "@flotilla/base";
import type { ByteOperations, Key, RangeId } from "@flotilla/base";

export function storeRecordKey(name: string, operations: ByteOperations): Uint8Array {
  return prefixed(1, name, operations);
}

/** `name` is a binary string. With an empty name: where the range's own records begin. */
export function rangeRecordKey(range: RangeId, name: string, operations: ByteOperations): Uint8Array {
  const bytes = operations.allocate(9 + name.length);
  bytes[0] = 2;
  writeUint53(new DataView(bytes.buffer, bytes.byteOffset, 9), 1, range);
  operations.writeBinaryString(bytes, name, 9);
  return bytes;
}

/** Where the range's own records end, exclusive. */
export function rangeRecordsEnd(range: RangeId, operations: ByteOperations): Uint8Array {
  return rangeRecordKey((range + 1) as RangeId, "", operations);
}

export function newestKey(logical: Key, operations: ByteOperations): Uint8Array {
  return prefixed(3, logical, operations);
}

export function logicalKeyOf(engineKey: Uint8Array, operations: ByteOperations): Key {
  return operations.binaryString(engineKey, 1, engineKey.length) as Key;
}

function prefixed(first: number, rest: string, operations: ByteOperations): Uint8Array {
  const bytes = operations.allocate(1 + rest.length);
  bytes[0] = first;
  operations.writeBinaryString(bytes, rest, 1);
  return bytes;
}
