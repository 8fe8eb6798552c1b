/**
 * A range snapshot as a stream of bytes; the staged file is the stream.
 *
 *     header    "FLSN", format number (1)                                        5 bytes
 *               range 8, label index 8, label term 8, epoch bounds 8, members 8
 *               CRC-32 over the header before it                                 4
 *     chunk     1, number of records 4, length of the body 4
 *               body: per record key length 2, value length 4, key, value
 *               CRC-32 over the chunk before it                                  4
 *     trailer   2, number of chunks 4, number of records 8
 *               CRC-32 over the whole stream before it                           4
 *
 * Keys and values are the engine's: first the range's own records, then its interval, as one read view holds them. A
 * chunk holds at least one record, so it is as large as the largest record at the most.
 */
import { BinaryReader, BinaryWriter, MalformedError, logIndex, rangeId, term } from "@flotilla/base";
import type { ByteOperations, LogIndex, RangeId, Term } from "@flotilla/base";
import type { EngineRecord } from "@flotilla/storage";

export interface SnapshotHeader {
  readonly rangeId: RangeId;
  readonly index: LogIndex;
  readonly term: Term;
  readonly bounds: number;
  readonly members: number;
}

const magic = 0x464c534e;
const formatNumber = 1;
export const snapshotHeaderBytes = 49;
const chunkKind = 1;
const trailerKind = 2;
const chunkHeaderBytes = 9;
const trailerBytes = 17;
/** A record is at most a key of 4 KiB and a value of 8 MiB; a chunk may hold some more beside it. */
const chunkBodyBytesMax = 12 * 1024 * 1024;

export class SnapshotEncoder {
  readonly #operations: ByteOperations;
  #total = 0;
  #chunks = 0;
  #records = 0;

  constructor(operations: ByteOperations) {
    this.#operations = operations;
  }

  header(header: SnapshotHeader): Uint8Array {
    const writer = new BinaryWriter(this.#operations, snapshotHeaderBytes);
    writer.uint32(magic);
    writer.uint8(formatNumber);
    writer.uint53(header.rangeId);
    writer.uint53(header.index);
    writer.uint53(header.term);
    writer.uint53(header.bounds);
    writer.uint53(header.members);
    return this.#summed(writer);
  }

  chunk(records: readonly EngineRecord[]): Uint8Array {
    let body = 0;
    for (const { key, value } of records) body += 6 + key.length + value.length;
    const writer = new BinaryWriter(this.#operations, chunkHeaderBytes + body + 4);
    writer.uint8(chunkKind);
    writer.uint32(records.length);
    writer.uint32(body);
    for (const { key, value } of records) {
      writer.uint16(key.length);
      writer.uint32(value.length);
      writer.raw(key);
      writer.raw(value);
    }
    this.#chunks++;
    this.#records += records.length;
    return this.#summed(writer);
  }

  trailer(): Uint8Array {
    const writer = new BinaryWriter(this.#operations, trailerBytes);
    writer.uint8(trailerKind);
    writer.uint32(this.#chunks);
    writer.uint53(this.#records);
    writer.uint32(this.#operations.crc32(writer.bytes, 0, writer.length, this.#total));
    return writer.finish();
  }

  #summed(writer: BinaryWriter): Uint8Array {
    writer.uint32(this.#operations.crc32(writer.bytes, 0, writer.length, 0));
    const bytes = writer.finish();
    this.#total = this.#operations.crc32(bytes, 0, bytes.length, this.#total);
    return bytes;
  }
}

/** Reads a stream from `read(offset, length)` in order; throws `MalformedError` where it is not whole. */
export class SnapshotDecoder {
  readonly #read: (offset: number, length: number) => Promise<Uint8Array>;
  readonly #operations: ByteOperations;
  /** Bytes of the stream read and verified so far. */
  offset = 0;
  #total = 0;
  #chunks = 0;
  #records = 0;

  constructor(read: (offset: number, length: number) => Promise<Uint8Array>, operations: ByteOperations) {
    this.#read = read;
    this.#operations = operations;
  }

  async #take(length: number): Promise<Uint8Array> {
    const bytes = await this.#read(this.offset, length);
    if (bytes.length !== length) throw new MalformedError(`range snapshot ends at byte ${this.offset + bytes.length}`);
    return bytes;
  }

  async header(): Promise<SnapshotHeader> {
    const bytes = await this.#take(snapshotHeaderBytes);
    const reader = new BinaryReader(bytes);
    if (reader.uint32() !== magic) throw new MalformedError("not a range snapshot");
    const found = reader.uint8();
    if (found !== formatNumber)
      throw new MalformedError(`range snapshot of format ${found}, only ${formatNumber} is known`);
    const header = {
      rangeId: rangeId(reader.uint53()),
      index: logIndex(reader.uint53()),
      term: term(reader.uint53()),
      bounds: reader.uint53(),
      members: reader.uint53(),
    };
    this.#verify(bytes, reader.uint32(), "header");
    this.#advance(bytes);
    return header;
  }

  /** The next chunk's records (views of what was read), or undefined after a trailer that holds. */
  async records(): Promise<readonly EngineRecord[] | undefined> {
    const head = new BinaryReader(await this.#take(chunkHeaderBytes));
    const kind = head.uint8();
    if (kind === trailerKind) return this.#trailer();
    if (kind !== chunkKind) throw new MalformedError(`unknown part ${kind} of a range snapshot at byte ${this.offset}`);
    const count = head.uint32();
    const bodyLength = head.uint32();
    if (bodyLength > chunkBodyBytesMax || count * 6 > bodyLength) {
      throw new MalformedError(`a chunk of ${count} records in ${bodyLength} bytes at byte ${this.offset}`);
    }
    const bytes = await this.#take(chunkHeaderBytes + bodyLength + 4);
    const reader = new BinaryReader(bytes, chunkHeaderBytes);
    this.#verify(bytes, new BinaryReader(bytes, bytes.length - 4).uint32(), "chunk");
    const records: EngineRecord[] = [];
    for (let i = 0; i < count; i++) {
      const keyLength = reader.uint16();
      const valueLength = reader.uint32();
      records.push({ key: reader.subarray(keyLength), value: reader.subarray(valueLength) });
    }
    if (reader.remaining !== 4)
      throw new MalformedError(`a chunk with ${reader.remaining - 4} bytes too many at byte ${this.offset}`);
    this.#chunks++;
    this.#records += count;
    this.#advance(bytes);
    return records;
  }

  async #trailer(): Promise<undefined> {
    const bytes = await this.#take(trailerBytes);
    const reader = new BinaryReader(bytes, 1);
    const chunks = reader.uint32();
    const records = reader.uint53();
    const expected = reader.uint32();
    const actual = this.#operations.crc32(bytes, 0, bytes.length - 4, this.#total);
    if (actual !== expected) throw new MalformedError("the range snapshot's total checksum does not hold");
    if (chunks !== this.#chunks || records !== this.#records) {
      throw new MalformedError(
        `range snapshot of ${chunks} chunks and ${records} records, found ${this.#chunks} and ${this.#records}`,
      );
    }
    this.offset += trailerBytes;
    return undefined;
  }

  #verify(bytes: Uint8Array, expected: number, what: string): void {
    const actual = this.#operations.crc32(bytes, 0, bytes.length - 4, 0);
    if (actual !== expected)
      throw new MalformedError(`the checksum of a range snapshot's ${what} at byte ${this.offset} does not hold`);
  }

  #advance(bytes: Uint8Array): void {
    this.#total = this.#operations.crc32(bytes, 0, bytes.length, this.#total);
    this.offset += bytes.length;
  }
}
