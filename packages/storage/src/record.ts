/**
 * The record of a key: what stands under `03 logicalKey` in the engine, and inside an entry's effects. The leader builds
 * each record once, straight into the entry; the same bytes go to the log, to followers and to the engine.
 *
 *      0  format number, 1                                              1 byte
 *      1  kind: 1 value, 2 delete, 3 intent (reserved)                  1 byte
 *      2  flags: bit 0 lease id, bit 1 fence token present (reserved)   1 byte
 *      3  version, 53 bits                                              8 bytes
 *     11  value; empty for delete
 *     -4  CRC-32 over the logical key, then every byte of the record before the CRC
 *
 * The length is not in the record: the entry and the engine both know it. Unknown format numbers, kinds and flags are
 * refused. The CRC covers the key, so that a record that turns up under another key is noticed; the engine's own block
 * checksums cannot be switched on (hazard F16). It stands last so that a writer who puts the key's bytes directly in front
 * of the record has one contiguous span to sum: one call into the platform instead of two. Rejected: the CRC behind the
 * format number (two spans always), a length field (redundant, and one more thing that can disagree).
 */
import type { ByteOperations, Key, Version } from "@flotilla/base";
import { crc32OfBinaryString } from "./key-checksum.ts";

export type RecordKind = "value" | "delete";

const formatNumber = 1;
const kindValue = 1;
const kindDelete = 2;
const versionOffset = 3;
const valueOffset = 11;
const crcBytes = 4;

/** Every byte of a record that is not value. */
export const recordOverheadBytes: number = valueOffset + crcBytes;

export const recordBytes = (valueLength: number): number => recordOverheadBytes + valueLength;

/**
 * Writes the record at `offset` and returns the offset behind it. The logical key's bytes must already stand in `target` at
 * `keyOffset`; directly in front of the record is the cheapest place. `value` is empty for `delete`. The target has room
 * for `recordBytes(value.length)`.
 */
export function writeRecord(
  target: Uint8Array,
  offset: number,
  keyOffset: number,
  keyLength: number,
  kind: RecordKind,
  version: Version,
  value: Uint8Array,
  operations: ByteOperations,
): number {
  target[offset] = formatNumber;
  target[offset + 1] = kind === "value" ? kindValue : kindDelete;
  target[offset + 2] = 0;
  writeVersion(target, offset + versionOffset, version);
  target.set(value, offset + valueOffset);
  const crcOffset = offset + valueOffset + value.length;
  const keyEnd = keyOffset + keyLength;
  const crc =
    keyEnd === offset
      ? operations.crc32(target, keyOffset, crcOffset, 0)
      : operations.crc32(target, offset, crcOffset, operations.crc32(target, keyOffset, keyEnd, 0));
  target[crcOffset] = crc >>> 24;
  target[crcOffset + 1] = crc >>> 16;
  target[crcOffset + 2] = crc >>> 8;
  target[crcOffset + 3] = crc;
  return crcOffset + crcBytes;
}

/** The record on its own, for callers that are not in a hurry. */
export function encodeRecord(
  key: Key,
  kind: RecordKind,
  version: Version,
  value: Uint8Array,
  operations: ByteOperations,
): Uint8Array {
  const target = operations.allocate(key.length + recordBytes(value.length));
  operations.writeBinaryString(target, key, 0);
  writeRecord(target, key.length, 0, key.length, kind, version, value, operations);
  return target.subarray(key.length);
}

/**
 * Whether `bytes[offset, offset + length)` is a whole record of this key that this program understands. False is corruption
 * (or a newer format) and is reported as such by the caller. The readers below are only for verified records.
 */
export function verifyRecord(
  key: Key,
  bytes: Uint8Array,
  offset: number,
  length: number,
  operations: ByteOperations,
): boolean {
  return wellFormed(bytes, offset, length) && crcHolds(bytes, offset, length, crc32OfBinaryString(key, 0), operations);
}

/** The same for a key at hand as bytes: `keys[keyStart, keyEnd)` is the logical key, without the engine's prefix. */
export function verifyRecordOf(
  keys: Uint8Array,
  keyStart: number,
  keyEnd: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  operations: ByteOperations,
): boolean {
  return (
    wellFormed(bytes, offset, length) &&
    crcHolds(bytes, offset, length, operations.crc32(keys, keyStart, keyEnd, 0), operations)
  );
}

/** Of a verified record that begins at `offset`. */
export function recordKind(bytes: Uint8Array, offset: number): RecordKind {
  return bytes[offset + 1] === kindValue ? "value" : "delete";
}

/** Of a verified record that begins at `offset`. */
export function recordVersion(bytes: Uint8Array, offset: number): Version {
  return readVersion(bytes, offset + versionOffset) as Version;
}

/** Of a verified record: a view, not a copy. Empty for `delete`. */
export function recordValue(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): Uint8Array {
  return bytes.subarray(offset + valueOffset, offset + length - crcBytes);
}

export const recordValueLength = (length: number): number => length - recordOverheadBytes;

function wellFormed(bytes: Uint8Array, offset: number, length: number): boolean {
  if (length < recordOverheadBytes || offset + length > bytes.length) return false;
  if (bytes[offset] !== formatNumber || bytes[offset + 2] !== 0) return false;
  const kind = bytes[offset + 1];
  if (kind !== kindValue && (kind !== kindDelete || length !== recordOverheadBytes)) return false;
  // Versions have 53 bits: the first byte is 0, the second below 32.
  return bytes[offset + versionOffset] === 0 && bytes[offset + versionOffset + 1]! < 32;
}

function crcHolds(
  bytes: Uint8Array,
  offset: number,
  length: number,
  keyCrc: number,
  operations: ByteOperations,
): boolean {
  const crcOffset = offset + length - crcBytes;
  return operations.crc32(bytes, offset, crcOffset, keyCrc) === readUint32(bytes, crcOffset);
}

// Byte by byte: a DataView for each record would be an allocation.

function writeVersion(target: Uint8Array, offset: number, version: number): void {
  const high = Math.floor(version / 4294967296);
  const low = version >>> 0;
  target[offset] = high >>> 24;
  target[offset + 1] = high >>> 16;
  target[offset + 2] = high >>> 8;
  target[offset + 3] = high;
  target[offset + 4] = low >>> 24;
  target[offset + 5] = low >>> 16;
  target[offset + 6] = low >>> 8;
  target[offset + 7] = low;
}

function readVersion(bytes: Uint8Array, offset: number): number {
  return readUint32(bytes, offset) * 4294967296 + readUint32(bytes, offset + 4);
}

function readUint32(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!) >>> 0;
}
