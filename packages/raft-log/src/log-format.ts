/**
 * The format of the shared log, number 1. Integers are big-endian; `u53` is a 53-bit integer in 8 bytes.
 *
 *   log/segment-000000000007     in use: header, then frames
 *   log/reserve-000003           full size, fsynced, waits to become a segment (zeros, or a recycled segment)
 *   log/preparing-000004         being zero-filled; removed at open
 *
 * Segment, the chain from the oldest to the one that is written:
 *
 *   0                 512·a          512·b        512·c
 *   ┌────────┬─────┬──┬───────┬─────┬─┬──────────┬─┬─────────────────────────┐
 *   │ header │table│ 0│ frame │ ... │0│ closing  │0│ zeros, or old frames    │
 *   └────────┴─────┴──┴───────┴─────┴─┴──────────┴─┴─────────────────────────┘
 *
 * Segment header (80 bytes, table, zeros up to 512·a):
 *
 *    0 u32 magic "FLOG"          16 u53 number                   56 u53 sequence of its first frame
 *    4 u16 format                24 u53 bytes of the file        64 u53 highest sequence known durable
 *    6 u16 0                     32 u32,u32 salt                 72 u32 groups in the table
 *    8 u32 length without zeros  40 u53 previous segment, 0=none 76 u32 tombstones in the table
 *   12 u32 CRC-32 of the rest    48 u53 where the previous ends
 *
 *   group (72): u53 range, replica, term, vote, commit, truncated index, truncated term, last index, tombstone
 *   tombstone of a range without replica (16): u53 range, lowest replica id still allowed
 *
 * The table is the state of all groups at the end of the previous segment, so that an old segment holds nothing but
 * entries. A segment gets its name only when its header (and the frame that recovery copies into it) is fsynced:
 * a file of this name with a bad header is corruption, never a crash.
 *
 * Frame, one per flush, begins on a 512-byte boundary:
 *
 *   ┌───────────┬───────────────┬────────────────────────┬──────────────┐
 *   │ header 48 │ records       │ data of all entries    │ 0 up to 512  │
 *   └───────────┴───────────────┴────────────────────────┴──────────────┘
 *    0 u16 format                 8 u53 sequence                   32 u32 bytes of records
 *    2 u16 1 = closing, else 0   16 u53 highest known durable      36 u32 records
 *    4 u32 length without zeros  24 u32,u32 salt of the segment    40 u32 CRC-32 of the records
 *                                                                  44 u32 CRC-32 of bytes 0 to 43
 *
 * The CRCs are a chain: the header's covers that of the records, and they hold one per entry over its data. So the
 * whole frame is valid or not, every byte is summed once, an entry can be checked alone when it is read later,
 * and a header that survived a torn write still proves what it says about older frames.
 *
 * Records, applied in this order. The kind is also the record's format: a changed layout gets a new kind.
 *
 *   1 entries      u53 range, u53 replica, u53 first index, u32 count,
 *                  then per entry: u53 term, u32 CRC-32 of its data, u32 length, u8 kind (0 normal, 1 configuration)
 *   2 hard state   u53 range, u53 replica, u53 term, u53 vote, u53 commit
 *   3 commit       u53 range, u53 replica, u53 commit
 *   4 truncation   u53 range, u53 replica, u53 index, u53 term      void up to index, kept behind it
 *   5 install      u53 range, u53 replica, u53 index, u53 term, u8 kept      void up to index; behind it unless kept = 1
 *   6 tombstone    u53 range, u53 lowest replica id still allowed
 *
 * `kept` is written down because a replay that begins at a later segment cannot know the terms of entries that
 * were freed since. A record for a higher replica id voids what the lower one had.
 *
 * A closing frame has no records, the sequence that the next frame will have, and that frame overwrites it: it is not
 * synced, so nothing may stand behind it that could survive it.
 *
 * Rejected: a separate manifest (a second file to keep in step; the names and headers say everything); truncating
 * a torn tail in place (what was read from it may not be durable); one CRC over all bytes (the data would be summed
 * twice, or could not be checked when read); variable-length integers (records are small beside their data).
 */
import type { ByteOperations } from "@flotilla/base";
import { BinaryReader, CorruptionError, Failure, MalformedError, writeUint53 } from "@flotilla/base";

export const logFormat = 1;
export const blockBytes = 512;
export const segmentMagic = 0x464c4f47;
export const segmentHeaderBytes = 80;
export const tableGroupBytes = 72;
export const tableTombstoneBytes = 16;
export const frameHeaderBytes = 48;
/** Offsets and lengths stay far below 2^32, so that 4 bytes hold them on disk and in memory. */
export const frameBytesMax: number = 1024 * 1024 * 1024;
export const segmentBytesMax: number = 2 * frameBytesMax;

export const recordKind = { entries: 1, hardState: 2, commit: 3, truncation: 4, install: 5, tombstone: 6 } as const;

export const corruptionHint: string =
  "The log does not hold what was written to it, and the store refuses to guess. Keep the directory for inspection, " +
  "check the disk, and let the store's replicas be rebuilt from their other members: start a new store in an empty " +
  "directory and remove this one from the cluster.";

export const padded = (length: number): number => Math.ceil(length / blockBytes) * blockBytes;

const digits = (value: number, width: number): string => String(value).padStart(width, "0");
export const logDirectory = "log";
export const segmentPath = (number: number): string => `${logDirectory}/segment-${digits(number, 12)}`;
export const reservePath = (number: number): string => `${logDirectory}/reserve-${digits(number, 6)}`;
export const preparingPath = (number: number): string => `${logDirectory}/preparing-${digits(number, 6)}`;

export interface Salt {
  readonly high: number;
  readonly low: number;
}

/** One row of the group table; with replica 0 only the tombstone counts. */
export interface TableGroup {
  readonly rangeId: number;
  readonly replicaId: number;
  readonly term: number;
  readonly vote: number;
  readonly commit: number;
  readonly truncatedIndex: number;
  readonly truncatedTerm: number;
  readonly lastIndex: number;
  readonly tombstone: number;
}

export interface SegmentHeader {
  readonly number: number;
  readonly fileBytes: number;
  readonly salt: Salt;
  /** 0 = none. */
  readonly previousNumber: number;
  readonly previousEnd: number;
  readonly firstSequence: number;
  readonly durableSequence: number;
  readonly table: readonly TableGroup[];
}

/** Without the zeros behind it. */
export function segmentHeaderLength(table: readonly TableGroup[]): number {
  let length = segmentHeaderBytes;
  for (const group of table) length += group.replicaId === 0 ? tableTombstoneBytes : tableGroupBytes;
  return length;
}

/** The header with its zeros: a multiple of 512 bytes. */
export function encodeSegmentHeader(header: SegmentHeader, operations: ByteOperations): Uint8Array {
  const length = segmentHeaderLength(header.table);
  const bytes = operations.allocate(padded(length));
  bytes.fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(0, segmentMagic);
  view.setUint16(4, logFormat);
  view.setUint32(8, length);
  writeUint53(view, 16, header.number);
  writeUint53(view, 24, header.fileBytes);
  view.setUint32(32, header.salt.high);
  view.setUint32(36, header.salt.low);
  writeUint53(view, 40, header.previousNumber);
  writeUint53(view, 48, header.previousEnd);
  writeUint53(view, 56, header.firstSequence);
  writeUint53(view, 64, header.durableSequence);
  const groups = header.table.filter((group) => group.replicaId !== 0);
  const tombstones = header.table.filter((group) => group.replicaId === 0);
  view.setUint32(72, groups.length);
  view.setUint32(76, tombstones.length);
  let at = segmentHeaderBytes;
  for (const group of groups) at = writeTableGroup(view, at, group);
  for (const group of tombstones) {
    writeUint53(view, at, group.rangeId);
    writeUint53(view, at + 8, group.tombstone);
    at += tableTombstoneBytes;
  }
  view.setUint32(12, segmentHeaderChecksum(bytes, length, operations));
  return bytes;
}

function writeTableGroup(view: DataView, at: number, group: TableGroup): number {
  writeUint53(view, at, group.rangeId);
  writeUint53(view, at + 8, group.replicaId);
  writeUint53(view, at + 16, group.term);
  writeUint53(view, at + 24, group.vote);
  writeUint53(view, at + 32, group.commit);
  writeUint53(view, at + 40, group.truncatedIndex);
  writeUint53(view, at + 48, group.truncatedTerm);
  writeUint53(view, at + 56, group.lastIndex);
  writeUint53(view, at + 64, group.tombstone);
  return at + tableGroupBytes;
}

function segmentHeaderChecksum(bytes: Uint8Array, length: number, operations: ByteOperations): number {
  return operations.crc32(bytes, 16, length, operations.crc32(bytes, 0, 12, 0));
}

/** How many bytes the header takes with its zeros, read from its first 512 bytes; undefined when they are no header. */
export function segmentHeaderBytesNeeded(first: Uint8Array): number | undefined {
  if (first.length < segmentHeaderBytes) return undefined;
  const view = new DataView(first.buffer, first.byteOffset, first.byteLength);
  const length = view.getUint32(8);
  if (view.getUint32(0) !== segmentMagic || length < segmentHeaderBytes || length > segmentBytesMax) return undefined;
  return padded(length);
}

/** `bytes` is what `segmentHeaderBytesNeeded` asked for. Throws `CorruptionError`, or `FormatTooNew`. */
export function decodeSegmentHeader(bytes: Uint8Array, file: string, operations: ByteOperations): SegmentHeader {
  const corrupt = (offset: number, what: string): CorruptionError =>
    new CorruptionError(file, offset, what, corruptionHint);
  const needed = segmentHeaderBytesNeeded(bytes);
  if (needed === undefined || bytes.length < needed) throw corrupt(0, "this is not the header of a log segment");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(8);
  if (segmentHeaderChecksum(bytes, length, operations) !== view.getUint32(12)) {
    throw corrupt(0, "the checksum of the segment header does not match");
  }
  for (let i = length; i < needed; i++) {
    if (bytes[i] !== 0) throw corrupt(i, "the space behind the segment header is not zero");
  }
  refuseFormat(view.getUint16(4), file);
  try {
    return readSegmentHeader(new BinaryReader(bytes, 16, length));
  } catch (error) {
    if (error instanceof MalformedError) throw corrupt(0, `the segment header is malformed: ${error.message}`);
    throw error;
  }
}

function readSegmentHeader(reader: BinaryReader): SegmentHeader {
  const number = reader.uint53();
  const fileBytes = reader.uint53();
  const salt = { high: reader.uint32(), low: reader.uint32() };
  const previousNumber = reader.uint53();
  const previousEnd = reader.uint53();
  const firstSequence = reader.uint53();
  const durableSequence = reader.uint53();
  const groups = reader.uint32();
  const tombstones = reader.uint32();
  if (reader.remaining !== groups * tableGroupBytes + tombstones * tableTombstoneBytes) {
    throw new MalformedError(
      `the group table has ${reader.remaining} bytes for ${groups} groups, ${tombstones} tombstones`,
    );
  }
  const table: TableGroup[] = [];
  for (let i = 0; i < groups; i++) table.push(readTableGroup(reader));
  for (let i = 0; i < tombstones; i++) {
    const range = reader.uint53();
    const empty = { replicaId: 0, term: 0, vote: 0, commit: 0, truncatedIndex: 0, truncatedTerm: 0, lastIndex: 0 };
    table.push({ rangeId: range, ...empty, tombstone: reader.uint53() });
  }
  return { number, fileBytes, salt, previousNumber, previousEnd, firstSequence, durableSequence, table };
}

function readTableGroup(reader: BinaryReader): TableGroup {
  return {
    rangeId: reader.uint53(),
    replicaId: reader.uint53(),
    term: reader.uint53(),
    vote: reader.uint53(),
    commit: reader.uint53(),
    truncatedIndex: reader.uint53(),
    truncatedTerm: reader.uint53(),
    lastIndex: reader.uint53(),
    tombstone: reader.uint53(),
  };
}

export interface FrameHeader {
  readonly format: number;
  readonly closing: boolean;
  /** Without the zeros behind it. */
  readonly length: number;
  readonly sequence: number;
  readonly durableSequence: number;
  readonly recordsBytes: number;
  readonly records: number;
  readonly recordsChecksum: number;
}

/** Writes the 48 bytes at the start of `bytes`; everything else of the frame must stand already. */
export function writeFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  header: FrameHeader,
  salt: Salt,
  operations: ByteOperations,
): void {
  view.setUint16(0, header.format);
  view.setUint16(2, header.closing ? 1 : 0);
  view.setUint32(4, header.length);
  writeUint53(view, 8, header.sequence);
  writeUint53(view, 16, header.durableSequence);
  view.setUint32(24, salt.high);
  view.setUint32(28, salt.low);
  view.setUint32(32, header.recordsBytes);
  view.setUint32(36, header.records);
  view.setUint32(40, header.recordsChecksum);
  view.setUint32(44, operations.crc32(bytes, 0, 44, 0));
}

/** The frame header at `offset`, or undefined when there is none of this salt with a matching checksum. */
export function readFrameHeader(
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  salt: Salt,
  operations: ByteOperations,
): FrameHeader | undefined {
  if (bytes.length - offset < frameHeaderBytes) return undefined;
  if (view.getUint32(offset + 24) !== salt.high || view.getUint32(offset + 28) !== salt.low) return undefined;
  if (operations.crc32(bytes, offset, offset + 44, 0) !== view.getUint32(offset + 44)) return undefined;
  const reader = new BinaryReader(bytes, offset + 8, offset + 24);
  return {
    format: view.getUint16(offset),
    closing: view.getUint16(offset + 2) === 1,
    length: view.getUint32(offset + 4),
    sequence: reader.uint53(),
    durableSequence: reader.uint53(),
    recordsBytes: view.getUint32(offset + 32),
    records: view.getUint32(offset + 36),
    recordsChecksum: view.getUint32(offset + 40),
  };
}

/** A closing frame with its zeros. */
export function encodeClosingFrame(
  sequence: number,
  durableSequence: number,
  salt: Salt,
  operations: ByteOperations,
): Uint8Array {
  const bytes = operations.allocate(blockBytes);
  bytes.fill(0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = {
    format: logFormat,
    closing: true,
    length: frameHeaderBytes,
    sequence,
    durableSequence,
    recordsBytes: 0,
    records: 0,
    recordsChecksum: 0,
  };
  writeFrameHeader(bytes, view, header, salt, operations);
  return bytes;
}

/** Throws `FormatTooNew` when the number, whose checksum was right, is not ours. */
export function refuseFormat(format: number, file: string): void {
  if (format === logFormat) return;
  throw new Failure("FormatTooNew", `${file} has log format ${format}; this program reads format ${logFormat}`, {
    hint: "Start it with the release that wrote it, or a newer one.",
    details: { file, format },
  });
}
