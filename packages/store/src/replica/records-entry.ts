/**
 * The data of a `normal` Raft entry that holds records of the meta range, written by the placement driver. It has no
 * clients and no sessions: who proposed it waits for the entry itself.
 *
 *     format number (1)                1        kind (3 = records)              1
 *     epoch bounds                     8        version, the same for all       8
 *     number of effects                4
 *     per effect: key length 2, record length 4, key, record (packages/storage, record.ts: the key stands in front)
 *
 * Protected as commands are (entry-format.ts). Rejected: commands of a client with a session of its own, which would make
 * the driver's single term of office a matter of retries.
 */
import { BinaryReader, MalformedError, assert, writeUint53 } from "@flotilla/base";
import type { ByteOperations, Key, Version } from "@flotilla/base";
import { recordBytes, writeRecord } from "@flotilla/storage";
import { entryFormat, entryKinds } from "./entry-format.ts";

const headerBytes = 22;
const effectHeaderBytes = 6;
const noValue = new Uint8Array(0);

/** A record as it shall be; `value` undefined deletes it. */
export interface RecordChange {
  readonly key: Key;
  readonly value: Uint8Array | undefined;
}

/** Where a key and its record stand in the entry. */
export interface RecordEffect {
  readonly keyAt: number;
  readonly keyLength: number;
  readonly recordAt: number;
  readonly recordLength: number;
}

export interface RecordsEntry {
  readonly bounds: number;
  readonly version: number;
  readonly effects: readonly RecordEffect[];
}

export function encodeRecordsEntry(
  changes: readonly RecordChange[],
  bounds: number,
  version: Version,
  operations: ByteOperations,
): Uint8Array {
  let length = headerBytes;
  for (const { key, value } of changes)
    length += effectHeaderBytes + key.length + recordBytes(value === undefined ? 0 : value.length);
  const bytes = operations.allocate(length);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  bytes[0] = entryFormat;
  bytes[1] = entryKinds.records;
  writeUint53(view, 2, bounds);
  writeUint53(view, 10, version);
  view.setUint32(18, changes.length);
  let at = headerBytes;
  for (const { key, value = noValue, value: given } of changes) {
    view.setUint16(at, key.length);
    view.setUint32(at + 2, recordBytes(value.length));
    const keyAt = at + effectHeaderBytes;
    const recordAt = keyAt + operations.writeBinaryString(bytes, key, keyAt);
    const kind = given === undefined ? "delete" : "value";
    at = writeRecord(bytes, recordAt, keyAt, key.length, kind, version, value, operations);
  }
  assert(at === length, () => `an entry of records ends at ${at}, ${length} bytes were meant`);
  return bytes;
}

/** Throws `MalformedError`, before anything of the entry is applied. */
export function decodeRecordsEntry(bytes: Uint8Array): RecordsEntry {
  const reader = new BinaryReader(bytes);
  const format = reader.uint8();
  const kind = reader.uint8();
  if (format !== entryFormat || kind !== entryKinds.records)
    throw new MalformedError(`not an entry of records of format ${entryFormat}: first ${format}, ${kind}`);
  const bounds = reader.uint53();
  const version = reader.uint53();
  const count = reader.uint32();
  const effects: RecordEffect[] = [];
  for (let i = 0; i < count; i++) {
    const keyLength = reader.uint16();
    const recordLength = reader.uint32();
    const keyAt = reader.take(keyLength);
    effects.push({ keyAt, keyLength, recordAt: reader.take(recordLength), recordLength });
  }
  if (reader.remaining > 0) throw new MalformedError(`${reader.remaining} bytes behind the last effect`);
  return { bounds, version, effects };
}

/** An entry without records: it changes nothing, and is a moment that all replicas agree on. */
export function isBarrier(data: Uint8Array): boolean {
  return data.length === headerBytes && data[1] === entryKinds.records;
}
