/**
 * The data of a `normal` Raft entry, for the most part: the commands of one turn for one range, with the effects that the leader computed.
 * Encoded once: the same bytes go to the log, to the followers and, record by record, to the engine.
 *
 *     format number (1)                1        kind (1 = commands)             1
 *     epoch bounds                     8        version of the first command    8
 *     number of groups                 4
 *     per group, one client's commands:
 *       client id                      8        floor                           8
 *       number of commands             4
 *       per command:
 *         number                       8        first-sent version              8
 *         status                       1        existed (0, 1)                  1
 *         found version                8        number of effects               2
 *         per effect: key length 2, record length 4, key, record (packages/storage, record.ts: the key stands in front)
 *
 * The n-th command of the entry has the version `first + n`. An entry of zero length is the no-op of a new leader. What
 * protects it: the log frame's CRC and the message's transport on the way, and each record's own CRC for good.
 * Rejected: one entry a command (per-entry cost decides throughput); effects without the commands' columns (then a
 * retry after a change of leader cannot be recognized).
 */
import { MalformedError, writeUint53 } from "@flotilla/base";
import type { ByteOperations, Key, Version } from "@flotilla/base";

export const entryFormat = 1;

/** Second byte of the data of every `normal` entry but the no-op, which has none. Numbers are never used again. */
export const entryKinds = {
  commands: 1,
  /** split-entry.ts */
  split: 2,
  /** records-entry.ts */
  records: 3,
  /** merge-entry.ts */
  seal: 4,
  unseal: 5,
  merge: 6,
  cancel: 7,
} as const;

export type EntryKind = keyof typeof entryKinds;

/** Of an entry that is not empty. Throws `MalformedError`. */
export function entryKindOf(data: Uint8Array): EntryKind {
  if (data[0] !== entryFormat) throw new MalformedError(`an entry of format ${data[0]}, only ${entryFormat} is known`);
  switch (data[1]) {
    case entryKinds.commands:
      return "commands";
    case entryKinds.split:
      return "split";
    case entryKinds.records:
      return "records";
    case entryKinds.seal:
      return "seal";
    case entryKinds.unseal:
      return "unseal";
    case entryKinds.merge:
      return "merge";
    case entryKinds.cancel:
      return "cancel";
    default:
      throw new MalformedError(`an entry of unknown kind ${data[1]}`);
  }
}

/** Applied: effects are in. Condition failed: found version tells. Repeated: the session table has the outcome. */
export const statusApplied = 1;
export const statusConditionFailed = 2;
export const statusRepeated = 3;

const entryHeaderBytes = 22;
const groupHeaderBytes = 20;
const commandHeaderBytes = 28;
const effectHeaderBytes = 6;

/** An upper bound of what one command adds to an entry, its group's header included. */
export function commandBytesMax(keyLength: number, recordLength: number): number {
  return groupHeaderBytes + commandHeaderBytes + effectHeaderBytes + keyLength + recordLength;
}

/** Fills one entry front to back. The caller reserves enough: `bytesMax` is checked by every write of the platform. */
export class EntryWriter {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Where the next byte goes. */
  length: number = entryHeaderBytes;
  commands = 0;
  #groups = 0;
  /** Offset of the open group's number of commands; 0 = none is open. */
  #groupCountAt = 0;
  #groupCommands = 0;
  #groupClient = -1;
  #effectsAt = 0;
  readonly #operations: ByteOperations;

  constructor(bytesMax: number, bounds: number, operations: ByteOperations) {
    this.bytes = operations.allocate(entryHeaderBytes + bytesMax);
    this.view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength);
    this.#operations = operations;
    this.bytes[0] = entryFormat;
    this.bytes[1] = entryKinds.commands;
    writeUint53(this.view, 2, bounds);
  }

  beginGroup(clientId: number, floor: number): void {
    if (this.#groupClient === clientId) return;
    this.#closeGroup();
    writeUint53(this.view, this.length, clientId);
    writeUint53(this.view, this.length + 8, floor);
    this.#groupCountAt = this.length + 16;
    this.#groupCommands = 0;
    this.#groupClient = clientId;
    this.length += groupHeaderBytes;
    this.#groups++;
  }

  command(number: number, firstSent: number, status: number, existed: boolean, found: number): void {
    const at = this.length;
    writeUint53(this.view, at, number);
    writeUint53(this.view, at + 8, firstSent);
    this.bytes[at + 16] = status;
    this.bytes[at + 17] = existed ? 1 : 0;
    writeUint53(this.view, at + 18, found);
    this.#effectsAt = at + 26;
    this.view.setUint16(this.#effectsAt, 0);
    this.length = at + commandHeaderBytes;
    this.#groupCommands++;
    this.commands++;
  }

  /** Writes the key and leaves `recordLength` bytes, whose offset it returns, right behind it for the record. */
  effect(key: Key, recordLength: number): number {
    this.view.setUint16(this.#effectsAt, this.view.getUint16(this.#effectsAt) + 1);
    const at = this.length;
    this.view.setUint16(at, key.length);
    this.view.setUint32(at + 2, recordLength);
    this.#operations.writeBinaryString(this.bytes, key, at + effectHeaderBytes);
    const recordAt = at + effectHeaderBytes + key.length;
    this.length = recordAt + recordLength;
    return recordAt;
  }

  #closeGroup(): void {
    if (this.#groupCountAt > 0) this.view.setUint32(this.#groupCountAt, this.#groupCommands);
  }

  /** The finished entry: a view of the memory it was written into. */
  finish(firstVersion: Version): Uint8Array {
    this.#closeGroup();
    writeUint53(this.view, 10, firstVersion);
    this.view.setUint32(18, this.#groups);
    return this.bytes.subarray(0, this.length);
  }
}

/** Walks an entry front to back; every step checks what is left. Call in the order of the layout. */
export class EntryReader {
  readonly bytes: Uint8Array;
  readonly bounds: number;
  readonly firstVersion: number;
  readonly groups: number;

  // The current group …
  clientId = 0;
  floor = 0;
  commands = 0;
  // … the current command …
  number = 0;
  firstSent = 0;
  status = 0;
  existed = false;
  found = 0;
  effects = 0;
  // … and the current effect: the key is bytes[keyAt, keyAt + keyLength), the record bytes[recordAt, recordAt + recordLength).
  keyAt = 0;
  keyLength = 0;
  recordAt = 0;
  recordLength = 0;

  readonly #view: DataView;
  #offset: number = entryHeaderBytes;

  constructor(bytes: Uint8Array) {
    if (bytes.length < entryHeaderBytes || bytes[0] !== entryFormat || bytes[1] !== entryKinds.commands) {
      throw new MalformedError(
        `not a commands entry of format ${entryFormat}: ${bytes.length} bytes, first ${bytes[0]}, ${bytes[1]}`,
      );
    }
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.bounds = this.#uint53(2);
    this.firstVersion = this.#uint53(10);
    this.groups = this.#view.getUint32(18);
  }

  #uint53(at: number): number {
    return this.#view.getUint32(at) * 4294967296 + this.#view.getUint32(at + 4);
  }

  #take(length: number): number {
    const at = this.#offset;
    if (at + length > this.bytes.length) {
      throw new MalformedError(`entry ends at byte ${this.bytes.length}, needs ${length} more at ${at}`);
    }
    this.#offset = at + length;
    return at;
  }

  nextGroup(): void {
    const at = this.#take(groupHeaderBytes);
    this.clientId = this.#uint53(at);
    this.floor = this.#uint53(at + 8);
    this.commands = this.#view.getUint32(at + 16);
  }

  nextCommand(): void {
    const at = this.#take(commandHeaderBytes);
    this.number = this.#uint53(at);
    this.firstSent = this.#uint53(at + 8);
    this.status = this.bytes[at + 16]!;
    this.existed = this.bytes[at + 17] === 1;
    this.found = this.#uint53(at + 18);
    this.effects = this.#view.getUint16(at + 26);
  }

  nextEffect(): void {
    const at = this.#take(effectHeaderBytes);
    this.keyLength = this.#view.getUint16(at);
    this.recordLength = this.#view.getUint32(at + 2);
    this.keyAt = this.#take(this.keyLength);
    this.recordAt = this.#take(this.recordLength);
  }
}
