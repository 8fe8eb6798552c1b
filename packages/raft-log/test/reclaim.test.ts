import { InvariantError } from "@flotilla/base";
import { expect, test } from "vitest";
import { CrashingFiles } from "./crashing-files.ts";
import { segmentsOf } from "./damage.ts";
import { entries, hardState, index, openLog, range, replica, smallLog, stateOf, term } from "./harness.ts";
import type { FileSharedLog } from "@flotilla/raft-log";

const options = { ...smallLog, preparedSegments: 0, logBytesTarget: 16384, logBytesMax: 32768, rewriteBytesMax: 2000 };

/** Range 1 writes a lot; range 2 wrote a little at the start. */
async function busyAndIdle(disk: CrashingFiles, last: number, idleBytes = 50): Promise<FileSharedLog> {
  const log = await openLog(disk, options);
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.createGroup(range(2), replica(2), index(1), term(1));
  log.append(range(2), replica(2), entries(2, 4, 1, idleBytes));
  for (let i = 2; i <= last; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 1500));
    await log.flush();
  }
  return log;
}

test("nothing is freed while the log is not over its target", async () => {
  const log = await busyAndIdle(new CrashingFiles(), 7);
  log.checkpoint(range(1), index(7));
  expect(await log.reclaim()).toEqual([]);
  expect(log.group(range(1))!.truncatedIndex).toBe(1);
});

test("F18 reclaim frees nothing above a checkpoint, and truncates no further than the freed segments need", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 30);
  expect(await log.reclaim()).toEqual([]);
  log.checkpoint(range(1), index(12));
  expect(await log.reclaim()).toEqual([range(1)]);
  const { truncatedIndex } = log.group(range(1))!;
  expect(truncatedIndex).toBeGreaterThan(1);
  expect(truncatedIndex).toBeLessThanOrEqual(12);
  expect(log.reader(range(1)).entries(index(truncatedIndex + 1), index(31), 1e9).length).toBe(30 - truncatedIndex);
  expect(await log.reclaim(), "nothing more without a higher checkpoint").toEqual([]);
});

test("an idle group's whole tail is appended again, as one record, and its old segment goes", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 30);
  log.checkpoint(range(1), index(30));
  log.checkpoint(range(2), index(2));
  expect((await log.reclaim(true)).sort()).toEqual([range(1), range(2)]);
  const records = segmentsOf(disk).flatMap(({ frames }) => frames.flatMap((frame) => frame.records));
  expect(records).toContain("entries range=2 replica=2 from=3 count=2 terms=1:50 1:50");
  expect(segmentsOf(disk).length).toBeLessThanOrEqual(2);
  const before = stateOf(log);
  disk.kill();
  expect(stateOf(await openLog(disk, options, 2))).toEqual(before);
});

test("a tail that reaches over several segments is appended again from its first entry to its last, not only what the freed segment held", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 12);
  log.append(range(2), replica(2), entries(5, 6, 2, 50));
  for (let i = 13; i <= 30; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 1500));
    await log.flush();
  }
  log.checkpoint(range(1), index(8));
  await log.reclaim();
  const segments = segmentsOf(disk);
  const records = segments.flatMap(({ frames }) => frames.flatMap((frame) => frame.records));
  expect(records).toContain("entries range=2 replica=2 from=2 count=5 terms=1:50 1:50 1:50 2:50 2:50");
  expect(records, "the second part stands in its old place, too").toContain(
    "entries range=2 replica=2 from=5 count=2 terms=2:50 2:50",
  );
  const before = stateOf(log);
  disk.kill();
  expect(stateOf(await openLog(disk, options, 2))).toEqual(before);
});

test("new entries go on behind a tail that was appended again, and both survive", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 30);
  log.checkpoint(range(1), index(30));
  const reclaim = log.reclaim(true);
  log.append(range(2), replica(2), entries(5, 6, 2));
  await reclaim;
  expect(log.hasStaged(), "what the reclaim flushed along is still owed to the owner").toBe(true);
  await log.flush();
  expect(log.hasStaged()).toBe(false);
  const before = stateOf(log);
  disk.kill();
  const again = await openLog(disk, options, 2);
  expect(stateOf(again)).toEqual(before);
  expect(again.reader(range(2)).lastIndex()).toBe(6);
});

test("a tail too large to be appended again holds its segment back, is named when the log nears its limit, and lets go with its checkpoint", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 8, 800);
  expect(log.heldBackBy()).toEqual([]);
  for (let i = 9; i <= 40; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 1500));
    await log.flush();
  }
  log.checkpoint(range(1), index(40));
  expect(await log.reclaim(true)).toEqual([]);
  expect(log.heldBackBy()).toEqual([{ rangeId: 2, index: 4 }]);
  log.checkpoint(range(2), index(4));
  expect(log.heldBackBy()).toEqual([]);
  expect((await log.reclaim(true)).sort()).toEqual([1, 2]);
  expect(log.statistics().logBytes).toBeLessThanOrEqual(options.logBytesTarget);
});

test("a checkpoint of a replica that is gone is ignored", async () => {
  const log = await openLog(new CrashingFiles(), options);
  log.createGroup(range(1), replica(5), index(0), term(0));
  log.append(range(1), replica(5), entries(1, 3, 1));
  log.tombstone(range(1), replica(6));
  log.createGroup(range(1), replica(6), index(0), term(0));
  log.append(range(1), replica(6), entries(1, 30, 1, 1000));
  log.checkpoint(range(1), index(3), replica(5));
  await log.flush();
  log.append(range(1), replica(6), entries(31, 32, 1, 5000));
  await log.flush();
  expect(await log.reclaim(true)).toEqual([]);
  expect(log.reader(range(1)).firstIndex()).toBe(1);
});

test("E23 a range that was destroyed and came back has only the entries of its new replica after a crash", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, options);
  log.createGroup(range(1), replica(5), index(1), term(1));
  log.append(range(1), replica(5), entries(2, 9, 3));
  log.setHardState(range(1), replica(5), hardState(7, 5, 9));
  await log.flush();
  log.tombstone(range(1), replica(6));
  await log.flush();
  expect(log.group(range(1))).toMatchObject({
    replicaId: 0,
    lastIndex: 0,
    tombstone: 6,
    hardState: hardState(0, 0, 0),
  });
  log.createGroup(range(1), replica(8), index(0), term(0));
  log.append(range(1), replica(8), entries(1, 2, 1));
  await log.flush();
  const before = stateOf(log);
  disk.kill();
  const again = await openLog(disk, options, 2);
  expect(stateOf(again)).toEqual(before);
  expect(again.group(range(1))).toMatchObject({
    replicaId: 8,
    lastIndex: 2,
    tombstone: 6,
    hardState: hardState(0, 0, 0),
  });
});

test("a tombstone outlives the segment it was written in, and refuses lower replica ids in all calls", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, options);
  log.tombstone(range(9), replica(40));
  log.createGroup(range(1), replica(1), index(1), term(1));
  for (let i = 2; i <= 30; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 1500));
    await log.flush();
  }
  log.checkpoint(range(1), index(30));
  await log.reclaim(true);
  disk.kill();
  const again = await openLog(disk, options, 2);
  expect(again.group(range(9))).toMatchObject({ tombstone: 40, replicaId: 0 });
  expect(() => again.createGroup(range(9), replica(39), index(1), term(1))).toThrow(InvariantError);
  expect(() => again.append(range(9), replica(39), entries(1, 1, 1))).toThrow(InvariantError);
  expect(() => again.setHardState(range(9), replica(39), hardState(1, 0, 0))).toThrow(InvariantError);
  expect(() => again.install(range(9), replica(39), index(1), term(1))).toThrow(InvariantError);
  again.createGroup(range(9), replica(40), index(1), term(1));
  again.tombstone(range(9), replica(40));
  expect(again.group(range(9)), "a replica that is still allowed stays").toMatchObject({ replicaId: 40 });
});

test("a replica that was superseded is refused", async () => {
  const log = await openLog(new CrashingFiles(), options);
  log.createGroup(range(1), replica(5), index(1), term(1));
  log.append(range(1), replica(7), entries(1, 1, 1));
  expect(log.group(range(1))).toMatchObject({ replicaId: 7, truncatedIndex: 0, lastIndex: 1 });
  expect(() => log.append(range(1), replica(5), entries(2, 2, 1))).toThrow(InvariantError);
});

test("D11 after an install no older entry comes back, and what the label's entry proves is kept", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, options);
  for (const id of [1, 2]) {
    log.createGroup(range(id), replica(id), index(1), term(1));
    log.append(range(id), replica(id), entries(2, 10, 3));
  }
  await log.flush();
  log.install(range(1), replica(1), index(6), term(3));
  log.install(range(2), replica(2), index(6), term(4));
  await log.flush();
  disk.kill();
  const again = await openLog(disk, options, 2);
  expect(again.group(range(1))).toMatchObject({
    truncatedIndex: 6,
    truncatedTerm: 3,
    lastIndex: 10,
    hardState: { commit: 6 },
  });
  expect(again.group(range(2))).toMatchObject({
    truncatedIndex: 6,
    truncatedTerm: 4,
    lastIndex: 6,
    hardState: { term: 4, commit: 6 },
  });
  const reader = again.reader(range(2));
  expect([reader.firstIndex(), reader.lastIndex(), reader.term(index(6)), reader.term(index(5))]).toEqual([
    7,
    6,
    4,
    undefined,
  ]);
});

test("D11 an install outlives the segments with the entries that it voided, also where a replay begins behind them", async () => {
  const disk = new CrashingFiles();
  const log = await busyAndIdle(disk, 12);
  log.install(range(2), replica(2), index(3), term(1));
  await log.flush();
  for (let i = 13; i <= 30; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 1500));
    await log.flush();
  }
  log.checkpoint(range(1), index(12));
  await log.reclaim();
  expect(log.group(range(2))).toMatchObject({ truncatedIndex: 3, lastIndex: 4 });
  const before = stateOf(log);
  disk.kill();
  expect(stateOf(await openLog(disk, options, 2))).toEqual(before);
});

test("A2 F21 hard state and entries of one batch come back together or not at all", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, options);
  log.createGroup(range(1), replica(1), index(1), term(1));
  await log.flush();
  log.append(range(1), replica(1), entries(2, 4, 5, 300));
  log.setHardState(range(1), replica(1), hardState(5, 1, 1));
  await log.flush();
  const [segment] = segmentsOf(disk);
  for (let block = segment!.frames[1]!.offset; block < segment!.frames[1]!.end; block += 512) {
    const copy = disk.copy();
    copy.content(segment!.path).fill(0, block, block + 512);
    expect((await openLog(copy, options, 2)).group(range(1))).toMatchObject({
      lastIndex: 1,
      hardState: hardState(1, 0, 1),
    });
  }
  expect((await openLog(disk.copy(), options, 2)).group(range(1))).toMatchObject({
    lastIndex: 4,
    hardState: hardState(5, 1, 1),
  });
});

test("a term that falls, and a vote that changes within its term, are refused", async () => {
  const log = await openLog(new CrashingFiles(), options);
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.setHardState(range(1), replica(1), hardState(3, 2, 1));
  expect(() => log.setHardState(range(1), replica(1), hardState(2, 2, 1))).toThrow(InvariantError);
  expect(() => log.setHardState(range(1), replica(1), hardState(3, 1, 1))).toThrow(InvariantError);
  expect(() => log.setHardState(range(1), replica(1), hardState(3, 0, 1))).toThrow(InvariantError);
});

test("entries with a gap, a falling term, or over what is in the state machine are refused", async () => {
  const attempts: ((log: FileSharedLog) => void)[] = [
    (log) => log.append(range(1), replica(1), entries(8, 8, 9)),
    (log) => log.append(range(1), replica(1), entries(7, 7, 1)),
    (log) => log.append(range(1), replica(1), entries(3, 3, 9)),
    (log) => log.append(range(1), replica(1), [...entries(7, 7, 9), ...entries(9, 9, 9)]),
    (log) => log.checkpoint(range(1), index(7)),
  ];
  for (const attempt of attempts) {
    const log = await openLog(new CrashingFiles(), options);
    log.createGroup(range(1), replica(1), index(1), term(1));
    log.append(range(1), replica(1), entries(2, 6, 2));
    await log.flush();
    log.checkpoint(range(1), index(3));
    expect(() => attempt(log)).toThrow(InvariantError);
  }
});
