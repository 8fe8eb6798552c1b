/**
 * Opening a log: finds the chain of segments, checks every frame, and replays them. Changes nothing on disk; what has to
 * be made durable before it may be believed is handed back (rule: a recovered tail is made durable before it is believed).
 */
import type { ByteOperations, Files, OpenFile } from "@flotilla/base";
import { CorruptionError } from "@flotilla/base";
import type { Frame } from "./frame-reader.ts";
import { FrameReader } from "./frame-reader.ts";
import type { SegmentHeader } from "./log-format.ts";
import {
  blockBytes,
  corruptionHint,
  decodeSegmentHeader,
  logDirectory,
  padded,
  segmentHeaderBytesNeeded,
  segmentHeaderLength,
  segmentPath,
} from "./log-format.ts";
import type { LogGroups } from "./log-groups.ts";
import { Replay } from "./log-replay.ts";

/** A segment of the chain, open for reading (the newest one of a running log also for writing). */
export interface Segment {
  readonly header: SegmentHeader;
  readonly path: string;
  readonly file: OpenFile;
  readonly dataStart: number;
}

export interface Recovered {
  /** The chain, oldest first, without `replaced`. */
  readonly segments: Segment[];
  /** What the new segment's header has to say. */
  readonly number: number;
  readonly previousNumber: number;
  readonly previousEnd: number;
  /** The last frame: it may not be durable, so the new segment begins with it. Its records are applied, as from there. */
  readonly copied: Frame | undefined;
  /** Of the last frame; the next one has this + 1. */
  readonly sequence: number;
  /** Files that the new segment makes superfluous. */
  readonly superfluous: Segment[];
}

export const dataStartOf = (header: SegmentHeader): number => padded(segmentHeaderLength(header.table));

/**
 * Fills `groups`, whose `written` state then is what the new segment's table must say. The entries of `copied` are placed in
 * segment `Recovered.number`, where the data begins behind that table.
 */
export async function recover(files: Files, operations: ByteOperations, groups: LogGroups): Promise<Recovered> {
  const opened: Segment[] = [];
  try {
    for (const number of await segmentNumbers(files)) opened.push(await openSegment(files, number, operations));
    return await replayAll(opened, operations, groups);
  } catch (error) {
    for (const segment of opened) await segment.file.close();
    throw error;
  }
}

async function segmentNumbers(files: Files): Promise<number[]> {
  const numbers: number[] = [];
  for (const name of await files.list(logDirectory)) {
    const match = /^segment-(\d{12,15})$/.exec(name);
    if (match !== null) numbers.push(Number(match[1]));
  }
  return numbers.sort((a, b) => a - b);
}

async function openSegment(files: Files, number: number, operations: ByteOperations): Promise<Segment> {
  const path = segmentPath(number);
  const file = await files.open(path, "read");
  try {
    const first = await file.read(0, blockBytes);
    const needed = segmentHeaderBytesNeeded(first) ?? 0;
    const header = decodeSegmentHeader(needed > blockBytes ? await file.read(0, needed) : first, path, operations);
    if (header.number !== number) {
      throw new CorruptionError(path, 16, `the header says that this is segment ${header.number}`, corruptionHint);
    }
    return { header, path, file, dataStart: dataStartOf(header) };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function replayAll(opened: Segment[], operations: ByteOperations, groups: LogGroups): Promise<Recovered> {
  const newest = opened.at(-1);
  if (newest === undefined) {
    return {
      segments: [],
      number: 1,
      previousNumber: 0,
      previousEnd: 0,
      copied: undefined,
      sequence: 0,
      superfluous: [],
    };
  }
  const { chain, superfluous } = chainOf(opened);
  const replay = new Replay(groups);
  const oldest = chain[0]!;
  replay.loadTable(oldest.header.table);
  for (let i = 0; i + 1 < chain.length; i++) {
    await replayFinished(chain[i]!, chain[i + 1]!, operations, replay);
    const difference = replay.differenceTo(chain[i + 1]!.header);
    if (difference !== undefined) throw new CorruptionError(chain[i + 1]!.path, 0, difference, corruptionHint);
  }
  const recovered = await replayNewest(chain, superfluous, operations, groups, replay);
  for (const group of groups.byRange.values()) {
    if (group.endReplay()) continue;
    const what = `entries ${group.truncatedIndex + 1} to ${group.columns.first - 1} of range ${group.rangeId} are missing: an older segment is gone`;
    throw new CorruptionError(oldest.path, 0, what, corruptionHint);
  }
  return recovered;
}

/** Follows the names of predecessors from the newest segment back. */
function chainOf(opened: readonly Segment[]): { chain: Segment[]; superfluous: Segment[] } {
  const byNumber = new Map(opened.map((segment) => [segment.header.number, segment]));
  const chain: Segment[] = [];
  for (let at = opened.at(-1); at !== undefined; at = byNumber.get(at.header.previousNumber)) {
    chain.unshift(at);
    byNumber.delete(at.header.number);
  }
  const superfluous = [...byNumber.values()];
  for (const segment of superfluous) {
    // Left over when recovery had just replaced it; its successor then names the same predecessor and end.
    const successor = chain.find((other) => other.header.number > segment.header.number)!;
    const { previousNumber, previousEnd } = segment.header;
    if (successor.header.previousNumber === previousNumber && successor.header.previousEnd === previousEnd) continue;
    const oldest = chain[0]!;
    const what = `segment ${oldest.header.previousNumber}, which was written before this one, is missing, but older ones are here`;
    throw new CorruptionError(oldest.path, 40, what, corruptionHint);
  }
  return { chain, superfluous };
}

/** Every frame up to the end that the successor names must be there. */
async function replayFinished(
  segment: Segment,
  next: Segment,
  operations: ByteOperations,
  replay: Replay,
): Promise<void> {
  const reader = new FrameReader(segment.path, segment.file, segment.header, operations);
  const end = next.header.previousEnd;
  let offset = segment.dataStart;
  let expected = segment.header.firstSequence;
  while (offset < end) {
    const frame = await reader.frameAt(offset);
    if (
      frame === undefined ||
      frame.header.closing ||
      frame.header.sequence !== expected ||
      offset + frame.bytes.length > end
    ) {
      throw reader.corrupt(
        offset,
        `no valid frame of sequence ${expected} is here, but segment ${next.header.number} goes on behind it`,
      );
    }
    replay.apply(frame, segment.header.number, offset, reader);
    offset += frame.bytes.length;
    expected++;
  }
  if (offset !== end || expected !== next.header.firstSequence) {
    const what = `the segment ends here with sequence ${expected - 1}; segment ${next.header.number} says at ${end} before ${next.header.firstSequence}`;
    throw reader.corrupt(offset, what);
  }
}

async function replayNewest(
  chain: Segment[],
  superfluous: Segment[],
  operations: ByteOperations,
  groups: LogGroups,
  replay: Replay,
): Promise<Recovered> {
  const newest = chain.at(-1)!;
  const { header } = newest;
  const reader = new FrameReader(newest.path, newest.file, header, operations);
  let offset = newest.dataStart;
  let sequence = header.firstSequence - 1;
  let last: Frame | undefined;
  let next = await reader.frameAt(offset);
  while (next !== undefined && !next.header.closing) {
    if (next.header.sequence !== sequence + 1) {
      throw reader.corrupt(offset, `a frame of sequence ${next.header.sequence} stands where ${sequence + 1} belongs`);
    }
    if (last !== undefined) replay.apply(last, header.number, last.offset, reader);
    last = next;
    offset += next.bytes.length;
    sequence++;
    next = await reader.frameAt(offset);
  }
  if (next !== undefined && (next.header.sequence !== sequence + 1 || next.header.durableSequence !== sequence)) {
    throw reader.corrupt(
      offset,
      `a closing frame of sequence ${next.header.sequence} stands behind sequence ${sequence}`,
    );
  }
  await reader.checkEnd(offset, sequence + 1);
  for (const group of groups.byRange.values()) group.noteWritten();
  const number = header.number + 1;
  const single = last === undefined || last.offset === newest.dataStart;
  if (single) {
    // The new segment takes the place of this one, so that restarts without writes do not add up.
    chain.pop();
    superfluous.push(newest);
  }
  const durable = last === undefined || next !== undefined;
  const copied = single || !durable ? last : undefined;
  const placed = { number, copied, sequence, segments: chain, superfluous };
  if (last !== undefined && copied === undefined) {
    replay.apply(last, header.number, last.offset, reader);
    for (const group of groups.byRange.values()) group.noteWritten();
  } else if (last !== undefined) {
    const dataStart = padded(segmentHeaderLength(groups.writtenTable()));
    replay.apply(last, number, dataStart, reader);
  }
  if (single) return { ...placed, previousNumber: header.previousNumber, previousEnd: header.previousEnd };
  return { ...placed, previousNumber: header.number, previousEnd: copied === undefined ? offset : copied.offset };
}
