/**
 * A frame under construction (layout: log-format.ts). Records go into one growing piece of memory, behind room for the
 * header. Entry data stays where it is and is only referred to, except small data, which is copied together:
 * below a few KiB a copy is cheaper than one more piece in the scatter list. Two builders take turns, one is
 * filled while the other is written.
 */
import type { ByteOperations } from "@flotilla/base";
import { assert, entryBytesMax, writeUint53 } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";
import type { GroupLog } from "./group-log.ts";
import type { Salt } from "./log-format.ts";
import { frameBytesMax, frameHeaderBytes, logFormat, padded, recordKind, writeFrameHeader } from "./log-format.ts";

const copiedBytesMax = 2048;
const blockBytes = 65536;
/** A builder that grew beyond it gives its memory back after the flush. */
const keptBytesMax: number = 1024 * 1024;
const zeros: Uint8Array = new Uint8Array(512);

export class FrameBuilder {
  /** Each group with records in this frame, once. */
  readonly groups: GroupLog[] = [];
  /** Something else than commit indexes is in it. */
  owesSync = false;
  #records = 0;
  /** Bytes of data so far: the offset of the next entry's data. */
  #dataBytes = 0;
  #bytes: Uint8Array;
  #view: DataView;
  #length = frameHeaderBytes;
  /** Slot 0 is kept for header and records. */
  #chunks: Uint8Array[] = [zeros];
  /** Memory for small data: [#runStart, #runEnd) is copied and not yet in #chunks. */
  #block: Uint8Array;
  #runStart = 0;
  #runEnd = 0;
  readonly #operations: ByteOperations;

  constructor(operations: ByteOperations) {
    this.#operations = operations;
    this.#bytes = operations.allocate(4096);
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    this.#block = operations.allocate(blockBytes);
  }

  get empty(): boolean {
    return this.#records === 0;
  }

  /** Bytes of the frame with its zeros. */
  get frameBytes(): number {
    return padded(this.#length + this.#dataBytes);
  }

  /** From the start of the frame to the data of its first entry. */
  get dataStart(): number {
    return this.#length;
  }

  /** The next record, `entries`, is for this group; call `entry` for each afterwards. */
  entries(group: GroupLog, firstIndex: number, count: number): void {
    const at = this.#begin(group, recordKind.entries, 29 + count * 17, true);
    writeUint53(this.#view, at + 9, group.replicaId);
    writeUint53(this.#view, at + 17, firstIndex);
    this.#view.setUint32(at + 25, count);
    this.#length = at + 29;
  }

  /** Returns the checksum of the data; the offset of the data is `dataOffset` before the call. */
  entry(entry: Entry): number {
    const { data } = entry;
    const length = data.length;
    assert(
      length <= entryBytesMax,
      () => `entry ${entry.index} has ${length} bytes, at most ${entryBytesMax} are allowed`,
    );
    const checksum = this.#operations.crc32(data, 0, length, 0);
    const at = this.#length;
    writeUint53(this.#view, at, entry.term);
    this.#view.setUint32(at + 8, checksum);
    this.#view.setUint32(at + 12, length);
    this.#bytes[at + 16] = entry.kind === "configuration" ? 1 : 0;
    this.#length = at + 17;
    this.#addData(data, length);
    return checksum;
  }

  get dataOffset(): number {
    return this.#dataBytes;
  }

  hardState(group: GroupLog): void {
    const at = this.#begin(group, recordKind.hardState, 41, true);
    writeUint53(this.#view, at + 9, group.replicaId);
    writeUint53(this.#view, at + 17, group.hardTerm);
    writeUint53(this.#view, at + 25, group.vote);
    writeUint53(this.#view, at + 33, group.commit);
  }

  commit(group: GroupLog): void {
    const at = this.#begin(group, recordKind.commit, 25, false);
    writeUint53(this.#view, at + 9, group.replicaId);
    writeUint53(this.#view, at + 17, group.commit);
  }

  truncation(group: GroupLog, index: number, term: number): void {
    const at = this.#begin(group, recordKind.truncation, 33, true);
    writeUint53(this.#view, at + 9, group.replicaId);
    writeUint53(this.#view, at + 17, index);
    writeUint53(this.#view, at + 25, term);
  }

  install(group: GroupLog, index: number, term: number, kept: boolean): void {
    const at = this.#begin(group, recordKind.install, 34, true);
    writeUint53(this.#view, at + 9, group.replicaId);
    writeUint53(this.#view, at + 17, index);
    writeUint53(this.#view, at + 25, term);
    this.#bytes[at + 33] = kept ? 1 : 0;
  }

  tombstone(group: GroupLog, lowestAllowed: number): void {
    const at = this.#begin(group, recordKind.tombstone, 17, true);
    writeUint53(this.#view, at + 9, lowestAllowed);
  }

  /** Sums up and gives the scatter list of the whole frame, zeros included. Valid until `reset`. */
  finish(sequence: number, durableSequence: number, salt: Salt): readonly Uint8Array[] {
    this.#closeRun();
    const length = this.#length + this.#dataBytes;
    const recordsBytes = this.#length - frameHeaderBytes;
    const recordsChecksum = this.#operations.crc32(this.#bytes, frameHeaderBytes, this.#length, 0);
    const header = {
      format: logFormat,
      closing: false,
      length,
      sequence,
      durableSequence,
      recordsBytes,
      records: this.#records,
      recordsChecksum,
    };
    writeFrameHeader(this.#bytes, this.#view, header, salt, this.#operations);
    this.#chunks[0] = this.#bytes.subarray(0, this.#length);
    const rest = padded(length) - length;
    if (rest > 0) this.#chunks.push(zeros.subarray(0, rest));
    return this.#chunks;
  }

  reset(): void {
    this.groups.length = 0;
    this.owesSync = false;
    this.#records = 0;
    this.#dataBytes = 0;
    this.#length = frameHeaderBytes;
    this.#chunks = [zeros];
    this.#runStart = 0;
    this.#runEnd = 0;
    if (this.#bytes.length > keptBytesMax) this.#resize(4096, 0);
  }

  /** Makes room for a record of this length and writes its kind and range; returns where it begins. */
  #begin(group: GroupLog, kind: number, length: number, owesSync: boolean): number {
    const at = this.#length;
    const needed = at + length;
    assert(needed + this.#dataBytes <= frameBytesMax, () => `a frame of more than ${frameBytesMax} bytes is staged`);
    if (needed > this.#bytes.length) this.#resize(Math.max(needed, this.#bytes.length * 2), at);
    this.#bytes[at] = kind;
    writeUint53(this.#view, at + 1, group.rangeId);
    this.#length = needed;
    this.#records++;
    if (owesSync) this.owesSync = true;
    if (!group.staged) {
      group.staged = true;
      this.groups.push(group);
    }
    return at;
  }

  #addData(data: Uint8Array, length: number): void {
    this.#dataBytes += length;
    assert(
      this.#length + this.#dataBytes <= frameBytesMax,
      () => `a frame of more than ${frameBytesMax} bytes is staged`,
    );
    if (length > copiedBytesMax) {
      this.#closeRun();
      this.#chunks.push(data);
    } else if (length > 0) {
      if (this.#runEnd + length > this.#block.length) this.#nextBlock();
      this.#block.set(data, this.#runEnd);
      this.#runEnd += length;
    }
  }

  #closeRun(): void {
    if (this.#runEnd > this.#runStart) this.#chunks.push(this.#block.subarray(this.#runStart, this.#runEnd));
    this.#runStart = this.#runEnd;
  }

  /** The full block lives on in #chunks. */
  #nextBlock(): void {
    this.#closeRun();
    this.#block = this.#operations.allocate(blockBytes);
    this.#runStart = 0;
    this.#runEnd = 0;
  }

  #resize(capacity: number, keep: number): void {
    const grown = this.#operations.allocate(capacity);
    grown.set(this.#bytes.subarray(0, keep));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.byteLength);
  }
}
