/**
 * A hash table from key to record that holds neither: only where both stand in the entries that brought them. Every write
 * adds to it on every replica and everything in it lives until the next flush, so it is columns of integers, and no
 * object, string or number on the heap for each key.
 *
 *     per key, six places of an Int32Array, in the order in which the keys came:
 *       entry (index into the list of entries)    hash    key at    key length    record at    record length
 *     slots, at least twice as many as keys: 0 = free, else place of the key + 1; probed one after the other
 *
 * A key that is written again keeps its place. An entry's bytes are kept as long as the table: the memtable counts them.
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, Key } from "@flotilla/base";

/** A record where it stands: bytes[offset, offset + length). */
export interface Cell {
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** What a key costs beside its bytes and its record, with room for as many again. */
export const rowBytes = 48;

const rowLength = 6;
const capacityMin = 16;
const noNumbers: Int32Array = new Int32Array(0);

export class RecordTable {
  size = 0;
  readonly #entries: Uint8Array[] = [];
  #rows: Int32Array = noNumbers;
  #slots: Int32Array = noNumbers;
  /** Of the hash: drawn from the first record, whose checksum nobody knows beforehand who chooses the keys. */
  #seed = 0;
  readonly #expected: number;

  /** Memory for about `expected` keys is taken with the first. */
  constructor(expected = 0) {
    this.#expected = expected;
  }

  /** The length of the record that it takes the place of, -1 when the key is new. */
  put(bytes: Uint8Array, keyAt: number, keyLength: number, recordAt: number, recordLength: number): number {
    if (this.#slots.length === 0) this.#begin(bytes, recordAt + recordLength);
    else if (this.size * rowLength === this.#rows.length) this.#grow(2 * this.size);
    if (this.#entries[this.#entries.length - 1] !== bytes) this.#entries.push(bytes);
    const hash = hashOf(bytes, keyAt, keyLength, this.#seed);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = hash & mask;
    let before = -1;
    for (let taken = slots[slot]!; taken !== 0; taken = slots[slot]!) {
      const at = (taken - 1) * rowLength;
      if (this.#rows[at + 1] === hash && this.#holds(at, bytes, keyAt, keyLength)) {
        before = this.#rows[at + 5]!;
        break;
      }
      slot = (slot + 1) & mask;
    }
    if (before < 0) slots[slot] = ++this.size;
    const rows = this.#rows;
    const at = (slots[slot]! - 1) * rowLength;
    rows[at] = this.#entries.length - 1;
    rows[at + 1] = hash;
    rows[at + 2] = keyAt;
    rows[at + 3] = keyLength;
    rows[at + 4] = recordAt;
    rows[at + 5] = recordLength;
    return before;
  }

  find(key: Key): Cell | undefined {
    const slots = this.#slots;
    if (slots.length === 0) return undefined;
    const hash = hashOfKey(key, this.#seed);
    const mask = slots.length - 1;
    let slot = hash & mask;
    for (let taken = slots[slot]!; taken !== 0; taken = slots[slot]!) {
      const row = taken - 1;
      if (this.#rows[row * rowLength + 1] === hash && this.#isKey(row * rowLength, key)) return this.cell(row);
      slot = (slot + 1) & mask;
    }
    return undefined;
  }

  cell(row: number): Cell {
    return { bytes: this.bytes(row), offset: this.recordAt(row), length: this.recordLength(row) };
  }

  /** The entry in which key and record of this row stand. */
  bytes(row: number): Uint8Array {
    assert(row >= 0 && row < this.size, () => `row ${row} of ${this.size}`);
    return this.#entries[this.#rows[row * rowLength]!]!;
  }

  keyAt(row: number): number {
    return this.#rows[row * rowLength + 2]!;
  }

  keyLength(row: number): number {
    return this.#rows[row * rowLength + 3]!;
  }

  recordAt(row: number): number {
    return this.#rows[row * rowLength + 4]!;
  }

  recordLength(row: number): number {
    return this.#rows[row * rowLength + 5]!;
  }

  key(row: number, operations: ByteOperations): Key {
    const at = this.keyAt(row);
    return operations.binaryString(this.bytes(row), at, at + this.keyLength(row)) as Key;
  }

  sortedKeys(operations: ByteOperations): Key[] {
    const keys = new Array<Key>(this.size);
    for (let row = 0; row < this.size; row++) keys[row] = this.key(row, operations);
    return keys.sort();
  }

  #begin(bytes: Uint8Array, recordEnd: number): void {
    for (let at = Math.max(0, recordEnd - 4); at < recordEnd; at++) this.#seed = (this.#seed << 8) | bytes[at]!;
    let capacity = capacityMin;
    while (capacity < this.#expected) capacity *= 2;
    this.#grow(capacity);
  }

  #grow(capacity: number): void {
    const rows = new Int32Array(capacity * rowLength);
    rows.set(this.#rows);
    const slots = new Int32Array(capacity * 2);
    const mask = slots.length - 1;
    for (let row = 0; row < this.size; row++) {
      let slot = rows[row * rowLength + 1]! & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = row + 1;
    }
    this.#rows = rows;
    this.#slots = slots;
  }

  #holds(at: number, bytes: Uint8Array, keyAt: number, keyLength: number): boolean {
    const rows = this.#rows;
    if (rows[at + 3] !== keyLength) return false;
    const other = this.#entries[rows[at]!]!;
    const otherAt = rows[at + 2]!;
    for (let i = 0; i < keyLength; i++) if (other[otherAt + i] !== bytes[keyAt + i]) return false;
    return true;
  }

  #isKey(at: number, key: Key): boolean {
    const rows = this.#rows;
    if (rows[at + 3] !== key.length) return false;
    const other = this.#entries[rows[at]!]!;
    const otherAt = rows[at + 2]!;
    for (let i = 0; i < key.length; i++) if (other[otherAt + i] !== key.charCodeAt(i)) return false;
    return true;
  }
}

/** MurmurHash3 (32 bits) over the bytes, four at a time. */
function hashOf(bytes: Uint8Array, start: number, length: number, seed: number): number {
  let hash = seed;
  const end = start + length;
  let at = start;
  for (; at + 4 <= end; at += 4)
    hash = mixed(hash, bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24));
  let rest = 0;
  for (let shift = 0; at < end; at++, shift += 8) rest |= bytes[at]! << shift;
  return finished(mixed(hash, rest), length);
}

/** The same over a key, which has one character a byte. */
function hashOfKey(key: Key, seed: number): number {
  let hash = seed;
  const { length } = key;
  let at = 0;
  for (; at + 4 <= length; at += 4)
    hash = mixed(
      hash,
      key.charCodeAt(at) |
        (key.charCodeAt(at + 1) << 8) |
        (key.charCodeAt(at + 2) << 16) |
        (key.charCodeAt(at + 3) << 24),
    );
  let rest = 0;
  for (let shift = 0; at < length; at++, shift += 8) rest |= key.charCodeAt(at) << shift;
  return finished(mixed(hash, rest), length);
}

function mixed(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  const h = hash ^ Math.imul(k, 0x1b873593);
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

function finished(hash: number, length: number): number {
  let h = hash ^ length;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
