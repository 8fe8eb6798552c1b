import { expect, test } from "vitest";
import { CrashingFiles, PlatformError } from "./crashing-files.ts";
import { entries, index, openLog, range, replica, seededRandom, settle, smallLog, stateOf, term } from "./harness.ts";
import type { FileSharedLog } from "@flotilla/raft-log";

async function logWithOneGroup(disk: CrashingFiles, options = smallLog): Promise<FileSharedLog> {
  const log = await openLog(disk, options);
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 2, 1));
  await log.flush();
  await settle();
  return log;
}

for (const failing of ["write", "sync"] as const) {
  test(`F1 F20 a ${failing} that fails once rejects that flush and every later call with the same error, and nothing is written again`, async () => {
    const disk = new CrashingFiles();
    const log = await logWithOneGroup(disk);
    log.append(range(1), replica(1), entries(3, 4, 1, 5000));
    await log.flush();
    log.checkpoint(range(1), index(4));
    await settle();
    const failure = new PlatformError("EIO", "the disk");
    let once = true;
    disk.fault = (name, path) => {
      if (name !== failing || !path.includes("segment") || !once) return;
      once = false;
      throw failure;
    };
    log.append(range(1), replica(1), entries(5, 5, 1));
    const first = log.flush();
    const reclaim = log.reclaim(true);
    await expect(first).rejects.toBe(failure);
    await expect(reclaim).rejects.toBe(failure);
    const operations = disk.operations;
    await expect(log.flush()).rejects.toBe(failure);
    await expect(log.reclaim()).rejects.toBe(failure);
    expect(() => log.append(range(1), replica(1), entries(6, 6, 1))).toThrow(failure);
    expect(() => log.setHardState(range(1), replica(1), { term: term(9), vote: replica(0), commit: index(0) })).toThrow(
      failure,
    );
    log.noteIdle();
    await expect(log.close()).rejects.toBe(failure);
    await settle();
    expect(disk.operations).toBe(operations);
  });
}

test("F1 a closing frame that cannot be written poisons the log", async () => {
  const disk = new CrashingFiles();
  const log = await logWithOneGroup(disk);
  const failure = new PlatformError("EIO", "the disk");
  disk.fault = (name) => {
    if (name === "write") throw failure;
  };
  log.noteIdle();
  await settle();
  disk.fault = undefined;
  await expect(log.flush()).rejects.toBe(failure);
});

test("F1 a failure while a segment is prepared, other than a full disk, poisons the log", async () => {
  const disk = new CrashingFiles();
  const failure = new PlatformError("EIO", "the disk");
  disk.fault = (name, path) => {
    if (name === "sync" && path === "log/preparing-000002") throw failure;
  };
  const log = await openLog(disk);
  await settle();
  await expect(log.flush()).rejects.toBe(failure);
});

test("a flush that is under way when something else fails is not acknowledged", async () => {
  const disk = new CrashingFiles();
  const failure = new PlatformError("EIO", "the disk");
  const log = await openLog(disk);
  log.createGroup(range(1), replica(1), index(1), term(1));
  disk.fault = (_, path) => {
    if (path.includes("preparing")) throw failure;
  };
  let written = false;
  disk.gate = (name, path) => {
    if (name !== "sync" || !path.includes("segment")) return undefined;
    written = true;
    return settle();
  };
  await expect(log.flush()).rejects.toBe(failure);
  expect(written, "the frame was on its way").toBe(true);
});

test("F7 F8 a full disk while segments are prepared is told, and writing goes on in the reserve", async () => {
  const disk = new CrashingFiles();
  const told: boolean[] = [];
  const options = { ...smallLog, onSpace: (full: boolean) => void told.push(full) };
  const log = await logWithOneGroup(disk, options);
  expect(log.statistics()).toMatchObject({ reserveSegments: 2, diskFull: false });
  disk.bytesMax = 0;
  for (let i = 3; i <= 5; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 5000));
    await log.flush();
    await settle();
    expect(disk.names().filter((name) => name.includes("preparing"))).toEqual([]);
    if (i === 4) expect(log.statistics()).toMatchObject({ reserveSegments: 1, diskFull: true });
    if (i === 5) expect(log.statistics()).toMatchObject({ reserveSegments: 0, diskFull: true });
  }
  expect(told).toEqual([true]);
  disk.bytesMax = Number.POSITIVE_INFINITY;
  log.prepare();
  await settle();
  await settle();
  expect(log.statistics()).toMatchObject({ reserveSegments: 2, diskFull: false });
  expect(told).toEqual([true, false]);
  await log.close();
});

test("F8 on a full disk, reclaim gives old segments back to the reserve", async () => {
  const disk = new CrashingFiles();
  const log = await logWithOneGroup(disk);
  disk.bytesMax = 0;
  for (let i = 3; i <= 30; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 5000));
    await log.flush();
    log.checkpoint(range(1), index(i));
    await log.reclaim(true);
  }
  expect(log.statistics().reserveSegments).toBeGreaterThan(0);
  await log.close();
});

test("F7 when even the reserve is used up, the flush fails before anything of it is written, and a restart with room is clean", async () => {
  const disk = new CrashingFiles();
  const log = await logWithOneGroup(disk);
  disk.bytesMax = 0;
  for (let i = 3; i <= 5; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 5000));
    await log.flush();
    await settle();
  }
  const before = stateOf(log);
  log.append(range(1), replica(1), entries(6, 6, 1, 5000));
  await expect(log.flush()).rejects.toMatchObject({ code: "ENOSPC" });
  await expect(log.close()).rejects.toMatchObject({ code: "ENOSPC" });
  disk.crash(seededRandom(1));
  disk.bytesMax = Number.POSITIVE_INFINITY;
  const again = await openLog(disk, smallLog, 2);
  expect(stateOf(again)).toEqual(before);
  again.append(range(1), replica(1), entries(6, 6, 1, 5000));
  await again.flush();
  expect(again.group(range(1))!.lastIndex).toBe(6);
  await again.close();
});

test("opening on a full disk fails, leaves the log as it was, and works when there is room", async () => {
  const disk = new CrashingFiles();
  const log = await logWithOneGroup(disk);
  const before = stateOf(log);
  await log.close();
  const files = disk.names();
  disk.bytesMax = 0;
  await expect(openLog(disk, smallLog, 2)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(disk.names()).toEqual(files);
  disk.bytesMax = Number.POSITIVE_INFINITY;
  expect(stateOf(await openLog(disk, smallLog, 3))).toEqual(before);
});
