/** What stands in the files of a disk in memory, and ways to damage it. */
import { nodeByteOperations } from "@flotilla/platform";
import { BinaryReader } from "@flotilla/base";
import type { CrashingFiles } from "./crashing-files.ts";
import type { FrameHeader, SegmentHeader } from "../src/log-format.ts";
import {
  decodeSegmentHeader,
  frameHeaderBytes,
  padded,
  readFrameHeader,
  segmentHeaderLength,
} from "../src/log-format.ts";
import { readRecords } from "../src/log-records.ts";

export interface FoundFrame {
  readonly header: FrameHeader;
  readonly offset: number;
  /** Behind its zeros. */
  readonly end: number;
  readonly records: string[];
}

export interface FoundSegment {
  readonly path: string;
  readonly header: SegmentHeader;
  readonly dataStart: number;
  readonly frames: FoundFrame[];
}

/** Frames in order, up to the first place that has none. */
export function segmentsOf(disk: Pick<CrashingFiles, "names" | "content">): FoundSegment[] {
  return disk
    .names()
    .filter((path) => path.startsWith("log/segment-"))
    .map((path) => {
      const content = disk.content(path);
      const header = decodeSegmentHeader(content, path, nodeByteOperations);
      const dataStart = padded(segmentHeaderLength(header.table));
      return { path, header, dataStart, frames: framesOf(content, header, dataStart) };
    });
}

function framesOf(content: Uint8Array, segment: SegmentHeader, dataStart: number): FoundFrame[] {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const frames: FoundFrame[] = [];
  for (let offset = dataStart; ;) {
    const header = readFrameHeader(content, view, offset, segment.salt, nodeByteOperations);
    if (header === undefined) return frames;
    const end = offset + padded(header.length);
    frames.push({ header, offset, end, records: recordsOf(content, offset, header) });
    offset = end;
  }
}

function recordsOf(content: Uint8Array, offset: number, header: FrameHeader): string[] {
  const texts: string[] = [];
  const start = offset + frameHeaderBytes;
  readRecords(new BinaryReader(content, start, start + header.recordsBytes), header.records, {
    entries: (range, replica, first, count) =>
      texts.push(`entries range=${range} replica=${replica} from=${first} count=${count} terms=`),
    entry: (term, configuration, length) =>
      (texts[texts.length - 1] += `${term}${configuration ? "c" : ""}:${length} `),
    hardState: (range, replica, term, vote, commit) =>
      texts.push(`hard-state range=${range} replica=${replica} term=${term} vote=${vote} commit=${commit}`),
    commit: (range, replica, commit) => texts.push(`commit range=${range} replica=${replica} commit=${commit}`),
    truncation: (range, replica, index, term) =>
      texts.push(`truncation range=${range} replica=${replica} index=${index} term=${term}`),
    install: (range, replica, index, term, kept) =>
      texts.push(`install range=${range} replica=${replica} index=${index} term=${term} kept=${kept}`),
    tombstone: (range, lowest) => texts.push(`tombstone range=${range} lowest=${lowest}`),
  });
  return texts.map((text) => text.trimEnd());
}

export function flipBit(disk: CrashingFiles, path: string, offset: number, bit: number): void {
  const content = disk.content(path).slice();
  content[offset] = content[offset]! ^ (1 << bit);
  disk.setContent(path, content);
}

export function cut(disk: CrashingFiles, path: string, at: number): void {
  disk.setContent(path, disk.content(path).slice(0, at));
}

export function zeroFrom(disk: CrashingFiles, path: string, at: number): void {
  disk.setContent(path, disk.content(path).slice().fill(0, at));
}
