/**
 * What a range remembers of one client, so that a retried command is applied once: one row a client, under
 * `02 rangeId "session" clientId(8)`, written by the flush, copied by a split, carried by snapshots. A sealed value
 * (`sealed-value.ts`) of format number 1:
 *
 *     floor 8, lastUsed 8, count 4, then by rising number:
 *     number 8, status 1 (1 applied, 2 condition-failed; + 128 when the key existed), version 8, firstSent 8
 */
import { MalformedError, assert, version } from "@flotilla/base";
import type { ByteOperations, RangeId, Version } from "@flotilla/base";
import { rangeRecordKey } from "./engine-keys.ts";
import { rangeRecordNames } from "./range-records.ts";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** Refused and unknown attempts leave no trace in the log, so only these are remembered. */
export type SessionStatus = "applied" | "condition-failed";

export interface SessionEntry {
  readonly status: SessionStatus;
  /** Of the record written; for `condition-failed` of the record found, 0 = none. */
  readonly version: Version;
  /** Delete: whether there was a record. */
  readonly existed: boolean;
  /** The version at which the client sent the command first. */
  readonly firstSent: Version;
}

export interface SessionRow {
  /** Every command with a number below is settled, and refused from now on. */
  readonly floor: number;
  /** Version of the last command of this client that was applied. */
  readonly lastUsed: Version;
  /** By command number; every number is at or above the floor. */
  readonly entries: ReadonlyMap<number, SessionEntry>;
}

/** A client has at most that many commands under way in a range; more in a row is corruption. */
export const sessionEntriesMax = 65536;

const sessionFormat = 1;
const entryBytes = 25;
const existedBit = 128;

/** `clientId` has 53 bits. */
export function sessionRecordKey(range: RangeId, clientId: number, operations: ByteOperations): Uint8Array {
  return rangeRecordKey(range, rangeRecordNames.session + binaryUint53(clientId), operations);
}

/** Where the session rows of a range end, exclusive; they begin at `rangeRecordKey(range, "session")`. */
export function sessionRecordsEnd(range: RangeId, operations: ByteOperations): Uint8Array {
  return rangeRecordKey(range, `${rangeRecordNames.session}\xff`, operations);
}

/** The client id in a session row's engine key. */
export function sessionClientId(engineKey: Uint8Array): number {
  const offset = 9 + rangeRecordNames.session.length;
  if (engineKey.length !== offset + 8) throw new MalformedError(`a session key of ${engineKey.length} bytes`);
  const view = new DataView(engineKey.buffer, engineKey.byteOffset + offset, 8);
  const high = view.getUint32(0);
  if (high > 0x1fffff) throw new MalformedError("a client id above 2^53-1");
  return high * 4294967296 + view.getUint32(4);
}

export function encodeSession(engineKey: Uint8Array, row: SessionRow, operations: ByteOperations): Uint8Array {
  const size = row.entries.size;
  assert(size <= sessionEntriesMax, () => `${size} remembered commands of one client, at most ${sessionEntriesMax}`);
  const writer = beginSealed(sessionFormat, operations, 25 + size * entryBytes);
  writer.uint53(row.floor);
  writer.uint53(row.lastUsed);
  writer.uint32(size);
  const numbers = [...row.entries.keys()].sort((a, b) => a - b);
  for (const number of numbers) {
    const entry = row.entries.get(number)!;
    writer.uint53(number);
    writer.uint8(statuses.indexOf(entry.status) + 1 + (entry.existed ? existedBit : 0));
    writer.uint53(entry.version);
    writer.uint53(entry.firstSent);
  }
  return seal(engineKey, writer, operations);
}

export function decodeSession(
  engineKey: Uint8Array,
  value: Uint8Array,
  operations: ByteOperations,
): { floor: number; lastUsed: Version; entries: Map<number, SessionEntry> } {
  const reader = openSealed(engineKey, value, sessionFormat, operations);
  const floor = reader.uint53();
  const lastUsed = version(reader.uint53());
  const count = reader.uint32();
  if (count > sessionEntriesMax) throw new MalformedError(`${count} remembered commands, at most ${sessionEntriesMax}`);
  if (count * entryBytes !== reader.remaining) {
    throw new MalformedError(`${count} remembered commands in ${reader.remaining} bytes`);
  }
  const entries = new Map<number, SessionEntry>();
  let previous = floor - 1;
  for (let i = 0; i < count; i++) {
    const number = reader.uint53();
    if (number <= previous) throw new MalformedError(`command number ${number} after ${previous}`);
    previous = number;
    const statusByte = reader.uint8();
    const status = statuses[(statusByte & ~existedBit) - 1];
    if (status === undefined) throw new MalformedError(`unknown status ${statusByte} of a remembered command`);
    const existed = (statusByte & existedBit) !== 0;
    entries.set(number, { status, version: version(reader.uint53()), existed, firstSent: version(reader.uint53()) });
  }
  expectEnd(reader);
  return { floor, lastUsed, entries };
}

/** Their place in the list, plus one, is their number on disk. */
const statuses: readonly SessionStatus[] = ["applied", "condition-failed"];

function binaryUint53(value: number): string {
  const high = Math.floor(value / 4294967296);
  const low = value >>> 0;
  return String.fromCharCode(
    high >>> 24,
    (high >>> 16) & 255,
    (high >>> 8) & 255,
    high & 255,
    low >>> 24,
    (low >>> 16) & 255,
    (low >>> 8) & 255,
    low & 255,
  );
}
