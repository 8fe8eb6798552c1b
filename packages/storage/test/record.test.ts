import { key, version } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { nodeByteOperations as operations } from "@flotilla/platform";
import {
  encodeRecord,
  recordBytes,
  recordKind,
  recordValue,
  recordValueLength,
  recordVersion,
  verifyRecord,
  verifyRecordOf,
  writeRecord,
} from "../src/index.ts";
import fc from "fast-check";
import { expect, test } from "vitest";

const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");
const options = { seed: 20240101, numRuns: 60 };

const anyKey: fc.Arbitrary<Key> = fc
  .uint8Array({ minLength: 1, maxLength: 80 })
  .map((bytes) => key(Buffer.from(bytes).toString("latin1")));
const anyVersion = fc.maxSafeNat().map(version);

test("the bytes of a record are those of the format", () => {
  const record = encodeRecord(key("\x01a"), "value", version(0x12345678_9abcd), bytesOf("hi"), operations);
  expect(Buffer.from(record).toString("hex")).toBe("010100" + "000123456789abcd" + "6869" + "7c2846d7");
  const deleted = encodeRecord(key("\x01a"), "delete", version(1), bytesOf(""), operations);
  expect(Buffer.from(deleted).toString("hex")).toBe("010200" + "0000000000000001" + "d369800b");
});

test("a record gives back what was written", () => {
  fc.assert(
    fc.property(anyKey, anyVersion, fc.uint8Array({ maxLength: 300 }), (k, v, value) => {
      const record = encodeRecord(k, "value", v, value, operations);
      expect(record.length).toBe(recordBytes(value.length));
      expect(verifyRecord(k, record, 0, record.length, operations)).toBe(true);
      expect(recordKind(record, 0)).toBe("value");
      expect(recordVersion(record, 0)).toBe(v);
      expect(Buffer.from(recordValue(record))).toEqual(Buffer.from(value));
      expect(recordValueLength(record.length)).toBe(value.length);
    }),
    options,
  );
});

test("the same record comes out wherever key and record stand in the buffer", () => {
  const k = key("\x01somewhere");
  const value = bytesOf("value");
  const alone = encodeRecord(k, "value", version(77), value, operations);
  const buffer = operations.allocate(200).fill(0xee);
  operations.writeBinaryString(buffer, k, 10);
  for (const offset of [10 + k.length, 10 + k.length + 1, 100]) {
    const end = writeRecord(buffer, offset, 10, k.length, "value", version(77), value, operations);
    expect(end - offset).toBe(alone.length);
    expect(Buffer.from(buffer.subarray(offset, end))).toEqual(Buffer.from(alone));
    expect(buffer[end]).toBe(0xee);
    expect(verifyRecord(k, buffer, offset, end - offset, operations)).toBe(true);
    expect(Buffer.from(recordValue(buffer, offset, end - offset))).toEqual(Buffer.from(value));
  }
});

test("F16 every flipped bit of a record is noticed", () => {
  const k = key("\x01key");
  for (const kind of ["value", "delete"] as const) {
    const value = kind === "value" ? bytesOf("some value") : bytesOf("");
    const record = encodeRecord(k, kind, version(123456789012345), value, operations);
    for (let bit = 0; bit < record.length * 8; bit++) {
      record[bit >> 3]! ^= 1 << (bit & 7);
      expect(verifyRecord(k, record, 0, record.length, operations)).toBe(false);
      record[bit >> 3]! ^= 1 << (bit & 7);
    }
    expect(verifyRecord(k, record, 0, record.length, operations)).toBe(true);
  }
});

test("F16 a record under another key, cut or lengthened, is noticed", () => {
  const record = encodeRecord(key("\x01a"), "value", version(5), bytesOf("value"), operations);
  expect(verifyRecord(key("\x01b"), record, 0, record.length, operations)).toBe(false);
  expect(verifyRecord(key("\x01"), record, 0, record.length, operations)).toBe(false);
  expect(verifyRecord(key("\x01aa"), record, 0, record.length, operations)).toBe(false);
  for (let length = 0; length < record.length; length++) {
    expect(verifyRecord(key("\x01a"), record, 0, length, operations)).toBe(false);
  }
  expect(verifyRecord(key("\x01a"), record, 0, record.length + 1, operations)).toBe(false);
  expect(verifyRecord(key("\x01a"), record, 1, record.length, operations)).toBe(false);
});

test("unknown formats, kinds and flags are refused though their checksum holds", () => {
  const k = key("\x01k");
  const buffer = operations.allocate(2 + recordBytes(1));
  const forge = (change: (record: Uint8Array) => void): boolean => {
    operations.writeBinaryString(buffer, k, 0);
    writeRecord(buffer, 2, 0, 2, "value", version(1), bytesOf("v"), operations);
    change(buffer.subarray(2));
    const crc = operations.crc32(buffer, 0, buffer.length - 4, 0);
    new DataView(buffer.buffer, buffer.byteOffset).setUint32(buffer.length - 4, crc);
    return verifyRecord(k, buffer, 2, buffer.length - 2, operations);
  };
  expect(forge(() => {})).toBe(true);
  expect(forge((record) => (record[0] = 2))).toBe(false);
  for (const kind of [0, 2, 3, 4]) expect(forge((record) => (record[1] = kind))).toBe(false);
  for (const flags of [1, 2, 4, 128]) expect(forge((record) => (record[2] = flags))).toBe(false);
  expect(forge((record) => (record[3] = 1))).toBe(false);
  expect(forge((record) => (record[4] = 32))).toBe(false);
});

test("a key as bytes and a key as string verify alike", () => {
  fc.assert(
    fc.property(anyKey, anyVersion, fc.uint8Array({ maxLength: 50 }), fc.boolean(), (k, v, value, damaged) => {
      const record = encodeRecord(k, "value", v, value, operations);
      if (damaged) record[record.length - 1]! ^= 1;
      const keys = operations.allocate(k.length + 2);
      operations.writeBinaryString(keys, k, 1);
      const byBytes = verifyRecordOf(keys, 1, 1 + k.length, record, 0, record.length, operations);
      expect(byBytes).toBe(!damaged);
      expect(verifyRecord(k, record, 0, record.length, operations)).toBe(byBytes);
    }),
    options,
  );
});
