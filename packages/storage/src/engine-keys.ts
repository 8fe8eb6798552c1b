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
import { keyBytesMax, writeUint53 } from "@flotilla/base";
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

/** Newest keys one after the other, in memory that each takes from the one before: for who hands them on at once. */
export class NewestKeys {
  readonly #operations: ByteOperations;
  #bytes: Uint8Array;
  /** By length of the logical key. */
  #views: (Uint8Array | undefined)[] = [];

  constructor(operations: ByteOperations) {
    this.#operations = operations;
    this.#bytes = operations.allocate(2 + keyBytesMax);
    this.#bytes[0] = 3;
  }

  /** `source[start, start + length)` is the logical key. Valid until the next call. */
  of(source: Uint8Array, start: number, length: number): Uint8Array {
    const view = (this.#views[length] ??= this.#view(length));
    for (let i = 0; i < length; i++) view[1 + i] = source[start + i]!;
    return view;
  }

  #view(length: number): Uint8Array {
    // System keys may be longer than any user's.
    if (length >= this.#bytes.length) {
      this.#bytes = this.#operations.allocate(2 * length);
      this.#bytes[0] = 3;
      this.#views = [];
    }
    return this.#bytes.subarray(0, 1 + length);
  }
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
