/**
 * Values of range records and store records: small bodies that no other checksum protects.
 *
 *      0  format number of the body    1 byte
 *      1  body
 *     -4  CRC-32 over the engine key, then every byte of the value before the CRC
 *
 * The CRC covers the engine key, so that a record that turns up under another range or name is noticed.
 */
import { BinaryReader, BinaryWriter, MalformedError } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";

/** A writer that already holds the format number; hand it to `seal`. */
export function beginSealed(formatNumber: number, operations: ByteOperations, capacity = 64): BinaryWriter {
  const writer = new BinaryWriter(operations, capacity);
  writer.uint8(formatNumber);
  return writer;
}

export function seal(engineKey: Uint8Array, writer: BinaryWriter, operations: ByteOperations): Uint8Array {
  const keyCrc = operations.crc32(engineKey, 0, engineKey.length, 0);
  writer.uint32(operations.crc32(writer.bytes, 0, writer.length, keyCrc));
  return writer.finish();
}

/** A reader of the body. Throws `MalformedError` when the CRC does not hold or the format number is another one. */
export function openSealed(
  engineKey: Uint8Array,
  value: Uint8Array,
  formatNumber: number,
  operations: ByteOperations,
): BinaryReader {
  if (value.length < 5) throw new MalformedError(`${value.length} bytes are too few for a sealed value`);
  const crcOffset = value.length - 4;
  const reader = new BinaryReader(value, 0, crcOffset);
  const keyCrc = operations.crc32(engineKey, 0, engineKey.length, 0);
  const expected = reader.view.getUint32(crcOffset);
  const actual = operations.crc32(value, 0, crcOffset, keyCrc);
  if (actual !== expected)
    throw new MalformedError(`checksum ${actual.toString(16)} instead of ${expected.toString(16)}`);
  const found = reader.uint8();
  if (found !== formatNumber) throw new MalformedError(`format number ${found}, only ${formatNumber} is known`);
  return reader;
}

/** Every decoder ends with this: bytes behind the body are as malformed as missing ones. */
export function expectEnd(reader: BinaryReader): void {
  if (reader.remaining !== 0) throw new MalformedError(`${reader.remaining} bytes behind the body`);
}
