import { expect, test } from "vitest";
import type { Entry } from "@flotilla/raft";
import { CrashingFiles } from "./crashing-files.ts";
import { entries, entry, hardState, index, openLog, range, replica, settle, smallLog, term } from "./harness.ts";
import type { FileSharedLog } from "@flotilla/raft-log";

async function withEntries(options = {}, disk = new CrashingFiles()): Promise<FileSharedLog> {
  const log = await openLog(disk, { ...smallLog, ...options });
  log.createGroup(range(1), replica(1), index(1), term(1));
  for (let i = 2; i <= 20; i += 3) {
    log.append(range(1), replica(1), entries(i, i + 2, 1 + i, 300));
    await log.flush();
  }
  return log;
}

const indexes = (list: readonly Entry[]): number[] => list.map((e) => e.index);

test("what is staged can be read at once, before any flush", async () => {
  const log = await openLog(new CrashingFiles());
  log.createGroup(range(1), replica(1), index(5), term(2));
  const batch = entries(6, 8, 3);
  log.append(range(1), replica(1), batch);
  const reader = log.reader(range(1));
  expect([reader.firstIndex(), reader.lastIndex()]).toEqual([6, 8]);
  expect([4, 5, 6, 8, 9].map((at) => reader.term(index(at)))).toEqual([undefined, 2, 3, 3, undefined]);
  expect(reader.entries(index(6), index(9), 1e9)).toEqual(batch);
});

for (const cacheBytes of [0, 1500, 1e6]) {
  test(`entries come back the same, from memory or from the segment, with ${cacheBytes} bytes of memory`, async () => {
    const log = await withEntries({ cacheBytes });
    const reader = log.reader(range(1));
    for (let low = 2; low <= 22; low++) {
      for (let high = low; high <= 23; high++) {
        const got = reader.entries(index(low), index(high), 1e9);
        expect(got).toEqual(
          Array.from({ length: high - low }, (_, i) => entry(low + i, 3 + 3 * Math.floor((low + i - 2) / 3), 300)).map(
            (e) => ({ ...e, data: expect.anything() }),
          ),
        );
        for (const e of got)
          expect(Buffer.from(e.data).toString()).toBe(Buffer.from(entry(e.index, e.term, 300).data).toString());
      }
    }
  });
}

test("a read stops at the byte limit, but gives at least one entry", async () => {
  for (const cacheBytes of [0, 1e6]) {
    const reader = (await withEntries({ cacheBytes })).reader(range(1));
    expect(indexes(reader.entries(index(2), index(20), 0))).toEqual([2]);
    expect(indexes(reader.entries(index(2), index(20), 599))).toEqual([2]);
    expect(indexes(reader.entries(index(2), index(20), 600))).toEqual([2, 3]);
    expect(reader.entries(index(2), index(2), 600)).toEqual([]);
  }
});

test("recent entries in memory stay within their limit over all groups, oldest first out", async () => {
  const log = await openLog(new CrashingFiles(), { ...smallLog, segmentBytes: 65536, cacheBytes: 10_000 });
  for (let id = 1; id <= 4; id++) log.createGroup(range(id), replica(id), index(0), term(0));
  for (let i = 1; i <= 50; i++) {
    for (let id = 1; id <= 4; id++) log.append(range(id), replica(id), entries(i, i, 1, 300));
    await log.flush();
    expect(log.statistics().cacheBytes).toBeLessThanOrEqual(10_000);
  }
  expect(log.statistics().cacheBytes).toBeGreaterThan(7_000);
  for (let id = 1; id <= 4; id++) {
    const got = log.reader(range(id)).entries(index(1), index(51), 1e9);
    expect(got.map((e) => Buffer.from(e.data).toString())).toEqual(
      entries(1, 50, 1, 300).map((e) => Buffer.from(e.data).toString()),
    );
  }
});

test("what is not durable yet is never evicted, and is read from memory while its frame is in flight", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, cacheBytes: 0 });
  log.createGroup(range(1), replica(1), index(0), term(0));
  const batch = entries(1, 6, 1, 900);
  log.append(range(1), replica(1), batch.slice(0, 3));
  const first = log.flush();
  log.append(range(1), replica(1), batch.slice(3));
  const reader = log.reader(range(1));
  expect(reader.entries(index(1), index(7), 1e9)).toEqual(batch);
  await first;
  expect(log.statistics().cacheBytes).toBeGreaterThan(2700);
  expect(log.statistics().cacheBytes).toBeLessThan(3600);
  expect(indexes(reader.entries(index(1), index(7), 1e9))).toEqual([1, 2, 3, 4, 5, 6]);
  await log.flush();
  expect(log.statistics().cacheBytes).toBe(0);
});

test("A5 entries that are replaced while the frame of the old ones is in flight are never read from that frame", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, cacheBytes: 0 });
  log.createGroup(range(1), replica(1), index(0), term(0));
  log.append(range(1), replica(1), entries(1, 4, 1));
  const first = log.flush();
  log.append(range(1), replica(1), entries(2, 3, 2));
  await first;
  const reader = log.reader(range(1));
  const terms = (): number[] => reader.entries(index(1), index(4), 1e9).map((e) => e.term);
  expect(terms()).toEqual([1, 2, 2]);
  await log.flush();
  expect(terms()).toEqual([1, 2, 2]);
  disk.kill();
  expect(
    (await openLog(disk))
      .reader(range(1))
      .entries(index(1), index(4), 1e9)
      .map((e) => e.term),
  ).toEqual([1, 2, 2]);
});

test("entries without data and configuration entries keep their kind", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, cacheBytes: 0 });
  log.createGroup(range(1), replica(1), index(0), term(0));
  const batch: Entry[] = [
    entry(1, 1, 0),
    { ...entry(2, 1, 9), kind: "configuration" },
    entry(3, 1, 0),
    { ...entry(4, 1, 0), kind: "configuration" },
  ];
  log.append(range(1), replica(1), batch);
  await log.flush();
  expect(
    log
      .reader(range(1))
      .entries(index(1), index(5), 1e9)
      .map(({ kind, data }) => [kind, data.length]),
  ).toEqual([
    ["normal", 0],
    ["configuration", 9],
    ["normal", 0],
    ["configuration", 0],
  ]);
});

test("I7 a turn in which 64 callers stage goes out as one write and one sync", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, segmentBytes: 1 << 20, shortSegmentBytes: 1 << 20 });
  await settle();
  const before = { ...disk.counts };
  await Promise.all(
    Array.from({ length: 64 }, async (_, i) => {
      await Promise.resolve();
      log.append(range(i + 1), replica(i + 1), entries(1, 3, 1, 1000 + i * 40));
    }),
  );
  await log.flush();
  expect(disk.counts["write"]! - before["write"]!).toBe(1);
  expect(disk.counts["sync"]! - before["sync"]!).toBe(1);
  disk.kill();
  const again = await openLog(disk, smallLog, 2);
  expect(again.groups().length).toBe(64);
  for (let i = 0; i < 64; i++)
    expect(
      again
        .reader(range(i + 1))
        .entries(index(1), index(4), 1e9)
        .map((e) => e.data.length),
    ).toEqual(Array(3).fill(1000 + i * 40));
});

test("a commit index alone owes no flush, and rides along with the next frame", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk);
  log.createGroup(range(1), replica(1), index(0), term(0));
  log.append(range(1), replica(1), entries(1, 4, 1));
  log.setHardState(range(1), replica(1), hardState(1, 1, 0));
  await log.flush();
  for (let commit = 1; commit <= 3; commit++) log.setHardState(range(1), replica(1), hardState(1, 1, commit));
  expect(log.hasStaged()).toBe(false);
  log.append(range(1), replica(1), entries(5, 5, 1));
  await log.flush();
  disk.kill();
  expect((await openLog(disk)).group(range(1))!.hardState).toEqual(hardState(1, 1, 3));
});

test("a group of 300 000 entries takes little more than 24 bytes for each, and finds every one", async () => {
  const log = await openLog(new CrashingFiles(), { segmentBytes: 1 << 20, cacheBytes: 0, preparedSegments: 0 });
  log.createGroup(range(1), replica(1), index(0), term(0));
  const empty = new Uint8Array(0);
  for (let from = 1; from < 300_000; from += 10_000) {
    const batch: Entry[] = [];
    for (let at = from; at < from + 10_000; at++)
      batch.push({ index: index(at), term: term(Math.ceil(at / 1000)), kind: "normal", data: empty });
    log.append(range(1), replica(1), batch);
    await log.flush();
  }
  const reader = log.reader(range(1));
  expect(reader.lastIndex()).toBe(300_000);
  for (const at of [1, 1000, 1001, 149_999, 300_000]) expect(reader.term(index(at))).toBe(Math.ceil(at / 1000));
  log.append(range(1), replica(1), [{ index: index(5), term: term(400), kind: "normal", data: empty }]);
  expect([reader.lastIndex(), reader.term(index(4)), reader.term(index(5)), reader.term(index(6))]).toEqual([
    5,
    1,
    400,
    undefined,
  ]);
});
