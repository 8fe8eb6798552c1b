/** The segments in use, oldest first. Only the last one, the active segment, is written. */
import type { ByteOperations, Files } from "@flotilla/base";
import { assert } from "@flotilla/base";
import type { SegmentHeader } from "./log-format.ts";
import {
  blockBytes,
  encodeSegmentHeader,
  logDirectory,
  padded,
  segmentHeaderLength,
  segmentPath,
} from "./log-format.ts";
import type { Segment } from "./log-recovery.ts";
import type { SegmentReserve } from "./segment-reserve.ts";

/** A header whose file is not chosen yet. */
export type SegmentStart = Omit<SegmentHeader, "fileBytes">;

export class SegmentChain {
  readonly #files: Files;
  readonly #operations: ByteOperations;
  readonly #reserve: SegmentReserve;
  #segments: Segment[] = [];
  readonly #byNumber: Map<number, Segment> = new Map();
  /** Sum of the file sizes. */
  logBytes = 0;

  constructor(files: Files, operations: ByteOperations, reserve: SegmentReserve) {
    this.#files = files;
    this.#operations = operations;
    this.#reserve = reserve;
  }

  get length(): number {
    return this.#segments.length;
  }

  get oldest(): Segment {
    return this.#segments[0]!;
  }

  get active(): Segment {
    return this.#segments.at(-1)!;
  }

  add(segment: Segment): void {
    this.#segments.push(segment);
    this.#byNumber.set(segment.header.number, segment);
    this.logBytes += segment.header.fileBytes;
  }

  /** Blocks the thread. Short when the file is. */
  read(number: number, offset: number, length: number): Uint8Array {
    const segment = this.#byNumber.get(number);
    assert(segment !== undefined, () => `segment ${number} is read, which is not in use`);
    return segment.file.readNow(offset, length);
  }

  /**
   * Makes the next segment the active one. Header, and `firstFrame` right behind it, are durable before the file gets
   * its name, and the name is durable when this resolves. `frameBytes`: room needed for the first frame.
   */
  async begin(
    start: SegmentStart,
    frameBytes: number,
    firstFrame: readonly Uint8Array[],
    short: boolean,
  ): Promise<void> {
    const dataStart = padded(segmentHeaderLength(start.table));
    const prepared = await this.#reserve.take(dataStart + frameBytes + blockBytes, short);
    const header: SegmentHeader = { ...start, fileBytes: prepared.fileBytes };
    const file = await this.#files.open(prepared.path, "write");
    try {
      await file.write(0, [encodeSegmentHeader(header, this.#operations), ...firstFrame]);
      await file.sync();
    } finally {
      await file.close();
    }
    const path = segmentPath(header.number);
    await this.#files.rename(prepared.path, path);
    await this.#files.syncDirectory(logDirectory);
    this.add({ header, path, file: await this.#files.open(path, "write"), dataStart });
  }

  /** No group has entries in the oldest segment any more, and that is durable. */
  async freeOldest(): Promise<void> {
    assert(this.#segments.length > 1, "the active segment cannot be freed");
    const segment = this.#segments.shift()!;
    this.#byNumber.delete(segment.header.number);
    this.logBytes -= segment.header.fileBytes;
    await this.discard(segment);
  }

  async discard(segment: Segment): Promise<void> {
    await segment.file.close();
    await this.#reserve.recycle(segment.path, segment.header.fileBytes);
  }

  async close(): Promise<void> {
    const segments = this.#segments;
    this.#segments = [];
    this.#byNumber.clear();
    for (const segment of segments) await segment.file.close();
  }
}
