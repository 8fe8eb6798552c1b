/** Opening logs on a disk in memory, and short ways to say what happens to groups. */
import type { Clock, Files, LogIndex, RandomSource, RangeId, ReplicaId, Term } from "@flotilla/base";
import type { Entry, HardState } from "@flotilla/raft";
import { CrashingFiles } from "./crashing-files.ts";
import { nodeByteOperations, silentLogger } from "@flotilla/platform";
import { FileSharedLog } from "@flotilla/raft-log";
import type { FileSharedLogOptions } from "@flotilla/raft-log";

/** mulberry32 */
export function seededRandom(seed: number): RandomSource {
  let state = seed >>> 0;
  const uint32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (t ^ (t >>> 14)) >>> 0;
  };
  return { uint32, bytes: (length) => Uint8Array.from({ length }, () => uint32() & 0xff) };
}

export const stillClock: Clock = { monotonicMs: () => 0, wallMs: () => 0 };

export const smallLog: FileSharedLogOptions = {
  segmentBytes: 8192,
  shortSegmentBytes: 8192,
  logBytesTarget: 16384,
  cacheBytes: 0,
};

/** Opens as a process that starts now. */
export function openLog(
  disk: Files | CrashingFiles,
  options: FileSharedLogOptions = smallLog,
  seed = 1,
): Promise<FileSharedLog> {
  return FileSharedLog.open(options, {
    files: disk instanceof CrashingFiles ? disk.process() : disk,
    bytes: nodeByteOperations,
    clock: stillClock,
    random: seededRandom(seed),
    logger: silentLogger,
  });
}

export const range = (id: number): RangeId => id as RangeId;
export const replica = (id: number): ReplicaId => id as ReplicaId;
export const index = (value: number): LogIndex => value as LogIndex;
export const term = (value: number): Term => value as Term;
export const hardState = (t: number, vote: number, commit: number): HardState => ({
  term: term(t),
  vote: replica(vote),
  commit: index(commit),
});

/** Content that tells range, index and term. */
export function data(text: string, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = text.charCodeAt(i % text.length);
  return bytes;
}

export function entry(at: number, t: number, length = 40, text = `${at}/${t} `): Entry {
  return { index: index(at), term: term(t), kind: "normal", data: data(text, length) };
}

export function entries(from: number, to: number, t: number, length = 40): Entry[] {
  const result: Entry[] = [];
  for (let at = from; at <= to; at++) result.push(entry(at, t, length));
  return result;
}

/** Everything a log says, as plain values that compare. */
export function stateOf(log: FileSharedLog): object[] {
  return log
    .groups()
    .sort((a, b) => a.rangeId - b.rangeId)
    .map((group) => {
      const reader = log.reader(group.rangeId);
      const all = reader.entries(reader.firstIndex(), index(reader.lastIndex() + 1), Number.POSITIVE_INFINITY);
      return { ...group, entries: all.map((e) => [e.index, e.term, e.kind, Buffer.from(e.data).toString("latin1")]) };
    });
}

/** Until the background work of every log on this disk rests. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 200; i++) await Promise.resolve();
}
