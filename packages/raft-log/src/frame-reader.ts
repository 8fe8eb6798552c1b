/**
 * Reads the frames of one segment one behind the other, through a window of a few MiB, and decides what a place that
 * holds no valid frame means: the end of the log, or corruption.
 */
import type { ByteOperations, OpenFile } from "@flotilla/base";
import { BinaryReader, CorruptionError, MalformedError } from "@flotilla/base";
import type { FrameHeader, SegmentHeader } from "./log-format.ts";
import {
  blockBytes,
  corruptionHint,
  frameBytesMax,
  frameHeaderBytes,
  padded,
  readFrameHeader,
  refuseFormat,
} from "./log-format.ts";
import type { RecordVisitor } from "./log-records.ts";
import { readRecords } from "./log-records.ts";

const windowBytes: number = 1024 * 1024;

/** A valid frame in memory; `bytes` has it with its zeros. */
export interface Frame {
  readonly header: FrameHeader;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class FrameReader {
  readonly path: string;
  readonly #file: OpenFile;
  readonly #segment: SegmentHeader;
  readonly #operations: ByteOperations;
  #window: Uint8Array = new Uint8Array(0);
  #view: DataView = viewOf(this.#window);
  #windowStart = 0;

  constructor(path: string, file: OpenFile, segment: SegmentHeader, operations: ByteOperations) {
    this.path = path;
    this.#file = file;
    this.#segment = segment;
    this.#operations = operations;
  }

  /** The valid frame at `offset`, or undefined. */
  async frameAt(offset: number): Promise<Frame | undefined> {
    await this.#load(offset, frameHeaderBytes);
    const header = this.#headerAt(offset);
    if (header === undefined) return undefined;
    refuseFormat(header.format, this.path);
    if (header.length > frameBytesMax || frameHeaderBytes + header.recordsBytes > header.length) return undefined;
    const length = padded(header.length);
    await this.#load(offset, length);
    const start = offset - this.#windowStart;
    if (start + length > this.#window.length) return undefined;
    const bytes = this.#window.subarray(start, start + length);
    return this.#isWhole(bytes, header) ? { header, offset, bytes } : undefined;
  }

  #isWhole(bytes: Uint8Array, header: FrameHeader): boolean {
    for (let i = header.length; i < bytes.length; i++) {
      if (bytes[i] !== 0) return false;
    }
    const recordsEnd = frameHeaderBytes + header.recordsBytes;
    if (this.#operations.crc32(bytes, frameHeaderBytes, recordsEnd, 0) !== header.recordsChecksum) return false;
    const check = new DataCheck(bytes, recordsEnd, header.length, this.#operations);
    try {
      visitFrame({ header, offset: 0, bytes }, check);
    } catch (error) {
      if (error instanceof MalformedError) return false;
      throw error;
    }
    return check.whole;
  }

  /**
   * No valid frame of sequence `expected` stands at `offset`. Returns when that is the end of the log. It is corruption
   * when the frame is known to be durable: the segment's header says so, or anything of this segment was written behind
   * it, for that happens only after its fdatasync returned. (A torn frame's own header says nothing of the kind.)
   */
  async checkEnd(offset: number, expected: number): Promise<void> {
    if (expected <= this.#segment.durableSequence) {
      throw this.corrupt(offset, `the frame of sequence ${expected} is bad, and it is known to be durable`);
    }
    let at = offset + blockBytes;
    while (at < this.#segment.fileBytes) {
      await this.#load(at, frameHeaderBytes);
      const windowEnd = this.#windowStart + this.#window.length;
      if (at + frameHeaderBytes > windowEnd) return;
      for (; at + frameHeaderBytes <= windowEnd; at += blockBytes) {
        const behind = this.#headerAt(at);
        if (behind === undefined) continue;
        throw this.corrupt(
          offset,
          `no valid frame of sequence ${expected} is here, but one of sequence ${behind.sequence} stands behind it, at byte ${at}`,
        );
      }
    }
  }

  /** Within the window. */
  #headerAt(offset: number): FrameHeader | undefined {
    return readFrameHeader(this.#window, this.#view, offset - this.#windowStart, this.#segment.salt, this.#operations);
  }

  corrupt(offset: number, what: string): CorruptionError {
    return new CorruptionError(this.path, offset, what, corruptionHint);
  }

  /** Makes the window hold `length` bytes from `offset` on, unless the file ends before. */
  async #load(offset: number, length: number): Promise<void> {
    if (offset >= this.#windowStart && offset + length <= this.#windowStart + this.#window.length) return;
    const wanted = Math.min(Math.max(length, windowBytes), this.#segment.fileBytes - offset);
    this.#window = wanted > 0 ? await this.#file.read(offset, wanted) : new Uint8Array(0);
    this.#view = viewOf(this.#window);
    this.#windowStart = offset;
  }
}

/** Calls the visitor for each record of the frame. Throws `MalformedError`. */
export function visitFrame(frame: Frame, visitor: RecordVisitor): void {
  const reader = new BinaryReader(frame.bytes, frameHeaderBytes, frameHeaderBytes + frame.header.recordsBytes);
  readRecords(reader, frame.header.records, visitor);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Sums up the data of each entry. */
class DataCheck implements RecordVisitor {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  readonly #operations: ByteOperations;
  #at: number;
  #good = true;

  constructor(bytes: Uint8Array, start: number, end: number, operations: ByteOperations) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#operations = operations;
  }

  get whole(): boolean {
    return this.#good && this.#at === this.#end;
  }

  entry(_term: number, _configuration: boolean, length: number, checksum: number): void {
    const at = this.#at;
    if (!this.#good || at + length > this.#end || this.#operations.crc32(this.#bytes, at, at + length, 0) !== checksum)
      this.#good = false;
    this.#at = at + length;
  }

  entries(): void {}
  hardState(): void {}
  commit(): void {}
  truncation(): void {}
  install(): void {}
  tombstone(): void {}
}
