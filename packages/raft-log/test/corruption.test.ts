import { CorruptionError, randomBelow } from "@flotilla/base";
import { beforeAll, expect, test } from "vitest";
import { CrashingFiles } from "./crashing-files.ts";
import { cut, flipBit, segmentsOf, zeroFrom } from "./damage.ts";
import {
  entries,
  entry,
  hardState,
  index,
  openLog,
  range,
  replica,
  seededRandom,
  smallLog,
  stateOf,
  term,
} from "./harness.ts";
import { nodeByteOperations } from "@flotilla/platform";
import type { TableGroup } from "../src/log-format.ts";
import { encodeSegmentHeader, frameHeaderBytes } from "../src/log-format.ts";

let disk: CrashingFiles;
let sound: object[];

beforeAll(async () => {
  disk = new CrashingFiles();
  const log = await openLog(disk);
  for (let id = 1; id <= 4; id++) log.createGroup(range(id), replica(id), index(1), term(1));
  for (let i = 2; i <= 24; i++) {
    for (let id = 1; id <= 4; id++) log.append(range(id), replica(id), [entry(i, 1 + (i >> 2), (i * id * 37) % 700)]);
    log.setHardState(range(1), replica(1), hardState(i, 1, i - 1));
    await log.flush();
  }
  log.tombstone(range(4), replica(9));
  await log.flush();
  sound = stateOf(log);
  await log.close();
});

async function refusal(copy: CrashingFiles): Promise<CorruptionError> {
  const before = copy.names();
  const error: unknown = await openLog(copy).then(
    () => "opened",
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(CorruptionError);
  expect((error as CorruptionError).hint).toContain("start a new store in an empty directory");
  expect(copy.names(), "the files are as they were").toEqual(before);
  return error as CorruptionError;
}

test("the undamaged files open", async () => {
  expect(stateOf(await openLog(disk.copy()))).toEqual(sound);
});

test("F3 one flipped bit anywhere in what is known to be durable is corruption, with file and offset, 500 of 500 times", async () => {
  const segments = segmentsOf(disk);
  expect(segments.length).toBeGreaterThan(3);
  const random = seededRandom(500);
  for (let i = 0; i < 500; i++) {
    const segment = segments[randomBelow(random, segments.length)]!;
    const frames = segment.frames.filter(({ header }) => !header.closing);
    const place = randomBelow(random, frames.at(-1)!.end);
    const copy = disk.copy();
    flipBit(copy, segment.path, place, randomBelow(random, 8));
    const error = await refusal(copy);
    const frame = frames.find(({ offset, end }) => offset <= place && place < end);
    expect(error.file, `byte ${place}`).toBe(segment.path);
    if (frame !== undefined) expect(error.offset, `byte ${place}`).toBe(frame.offset);
    else expect(error.offset).toBeLessThan(segment.dataStart);
  }
});

test("F3 a flipped bit in the last whole frame is found when its closing frame stands", async () => {
  const last = segmentsOf(disk).at(-1)!;
  const frame = last.frames.at(-2)!;
  expect(last.frames.at(-1)!.header.closing).toBe(true);
  const copy = disk.copy();
  flipBit(copy, last.path, frame.offset + 70, 3);
  expect((await refusal(copy)).message).toContain("stands behind it");
});

test("F3 a flipped bit is found when only the header of a torn frame stands behind it", async () => {
  const copy = disk.copy();
  const { path, frames } = segmentsOf(disk)[1]!;
  // As if the log ended in this segment, its last frame torn behind the first 512 bytes.
  for (const { path: later } of segmentsOf(disk).slice(2)) copy.delete(later);
  const torn = frames.findLast((frame) => frame.end - frame.offset > 1024)!;
  zeroFrom(copy, path, torn.offset + 512);
  const whole = await openLog(copy.copy());
  expect(whole.group(range(1))!.lastIndex).toBeGreaterThan(2);
  flipBit(copy, path, frames[frames.indexOf(torn) - 1]!.offset + 70, 3);
  expect((await refusal(copy)).message).toContain(`one of sequence ${torn.header.sequence} stands behind it`);
});

test("a segment missing in the middle is corruption", async () => {
  const copy = disk.copy();
  copy.delete(segmentsOf(disk)[1]!.path);
  expect((await refusal(copy)).message).toContain("is missing, but older ones are here");
});

test("an oldest segment that is missing, though its entries are needed, is corruption", async () => {
  const copy = disk.copy();
  copy.delete(segmentsOf(disk)[0]!.path);
  expect((await refusal(copy)).message).toMatch(/entries 2 to \d+ of range 1 are missing: an older segment is gone/);
});

test("a bad header, of whichever segment, is corruption", async () => {
  for (const { path } of segmentsOf(disk)) {
    for (const damage of [
      (copy: CrashingFiles) => zeroFrom(copy, path, 0),
      (copy: CrashingFiles) => cut(copy, path, 40),
      (copy: CrashingFiles) => cut(copy, path, 0),
    ]) {
      const copy = disk.copy();
      damage(copy);
      expect((await refusal(copy)).file).toBe(path);
    }
  }
});

test("an older segment that lost its end is corruption", async () => {
  const [first, second] = segmentsOf(disk);
  for (let at = first!.dataStart; at < second!.header.previousEnd; at += 97) {
    const copy = disk.copy();
    cut(copy, first!.path, at);
    expect((await refusal(copy)).file).toBe(first!.path);
  }
});

test("two segments that changed their names are corruption", async () => {
  const [first, second] = segmentsOf(disk);
  const copy = disk.copy();
  copy.setContent(first!.path, disk.content(second!.path));
  copy.setContent(second!.path, disk.content(first!.path));
  expect((await refusal(copy)).message).toContain("the header says that this is segment 2");
});

test("a group table that does not say what the segments before it say is corruption", async () => {
  const segment = segmentsOf(disk)[2]!;
  const forgeries: ((table: TableGroup[]) => TableGroup[])[] = [
    (table) => table.map((group) => (group.rangeId === 3 ? { ...group, lastIndex: group.lastIndex - 1 } : group)),
    (table) => table.map((group) => (group.rangeId === 1 ? { ...group, vote: 2 } : group)),
    (table) => table.slice(1),
    (table) => table.map((group) => (group.rangeId === 2 ? { ...group, rangeId: 8 } : group)),
  ];
  for (const forge of forgeries) {
    const copy = disk.copy();
    const content = copy.content(segment.path);
    const header = { ...segment.header, table: forge([...segment.header.table]) };
    content.set(encodeSegmentHeader(header, nodeByteOperations));
    const error = await refusal(copy);
    expect(error.file).toBe(segment.path);
    expect(error.message).toContain("group table");
  }
});

test("an entry that is damaged after the log was opened is found when it is read", async () => {
  const copy = disk.copy();
  const log = await openLog(copy);
  const segment = segmentsOf(copy)[0]!;
  const frame = segment.frames[3]!;
  const dataStart = frame.offset + frameHeaderBytes + frame.header.recordsBytes;
  copy.content(segment.path).fill(0xa5, dataStart, frame.offset + frame.header.length);
  const reader = log.reader(range(3));
  expect(() => reader.entries(reader.firstIndex(), reader.lastIndex(), 1e9)).toThrow(CorruptionError);
});

test("an unknown format is refused by name, not taken for corruption", async () => {
  const copy = disk.copy();
  const { path } = segmentsOf(disk)[0]!;
  const { crc32 } = await import("node:zlib");
  const content = Buffer.from(copy.content(path));
  content.writeUInt16BE(2, 4);
  content.writeUInt32BE(crc32(content.subarray(16, content.readUInt32BE(8)), crc32(content.subarray(0, 12))), 12);
  copy.setContent(path, content);
  await expect(openLog(copy)).rejects.toMatchObject({ code: "FormatTooNew" });
});

test("I3 entry data that its owner changed between staging and writing is not read back as if it were sound", async () => {
  const own = new CrashingFiles();
  const log = await openLog(own, smallLog);
  log.createGroup(range(1), replica(1), index(0), term(0));
  const batch = entries(1, 1, 1, 5000);
  log.append(range(1), replica(1), batch);
  batch[0]!.data.fill(0xdd);
  await log.flush();
  expect(() => log.reader(range(1)).entries(index(1), index(2), 1e9)).toThrow(CorruptionError);
});
