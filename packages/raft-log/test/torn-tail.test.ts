import { expect, test } from "vitest";
import { CrashingFiles } from "./crashing-files.ts";
import { cut, segmentsOf, zeroFrom } from "./damage.ts";
import {
  entries,
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

/** Six flushes in one segment, and what the log said after each: states[n] is complete with n frames. */
async function sixFrames(): Promise<{ disk: CrashingFiles; states: object[][] }> {
  const disk = new CrashingFiles();
  const log = await openLog(disk);
  const states = [stateOf(log)];
  for (let i = 1; i <= 6; i++) {
    if (i === 1) for (let id = 1; id <= 3; id++) log.createGroup(range(id), replica(id), index(1), term(1));
    for (let id = 1; id <= 3; id++) log.append(range(id), replica(id), entries(i + 1, i + 1, i, id * 20));
    log.setHardState(range(2), replica(2), hardState(i, 2, i));
    await log.flush();
    states.push(stateOf(log));
  }
  return { disk, states };
}

for (const [what, damage] of [
  ["cut off", cut],
  ["zero from there on", zeroFrom],
] as const) {
  test(`F2 F3 a newest segment that is ${what} at any byte of its last three frames gives exactly the complete prefix`, async () => {
    const { disk, states } = await sixFrames();
    const [segment] = segmentsOf(disk);
    const { path, frames } = segment!;
    expect(frames.length).toBe(6);
    for (let at = frames[3]!.offset; at <= frames[5]!.end; at++) {
      const copy = disk.copy();
      damage(copy, path, at);
      const complete = frames.filter(
        (frame) => (damage === cut ? frame.end : frame.offset + frame.header.length) <= at,
      ).length;
      const log = await openLog(copy, { ...smallLog, preparedSegments: 0 });
      expect(stateOf(log), `byte ${at}`).toEqual(states[complete]);
    }
  });
}

test("F2 a frame of which any blocks were lost, while it was not yet synced, is gone as a whole", async () => {
  const { disk, states } = await sixFrames();
  const [segment] = segmentsOf(disk);
  const last = segment!.frames[5]!;
  for (let block = last.offset; block < last.end; block += 512) {
    const copy = disk.copy();
    const content = copy.content(segment!.path).slice();
    content.fill(0xee, block, block + 512);
    copy.setContent(segment!.path, content);
    expect(stateOf(await openLog(copy))).toEqual(states[5]);
  }
});

test("a recovered tail is made durable before it is believed: power loss after a kill takes nothing back", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk);
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 3, 1));
  await log.flush();
  log.append(range(1), replica(1), entries(4, 5, 1));
  disk.fault = (name) => {
    if (name === "sync") throw new Error("killed before the sync");
  };
  await expect(log.flush()).rejects.toThrow("killed");
  disk.kill();
  const again = await openLog(disk);
  expect(again.group(range(1))!.lastIndex).toBe(5);
  const believed = stateOf(again);
  disk.crash({ uint32: () => 0xffffffff, bytes: () => new Uint8Array(0) });
  expect(stateOf(await openLog(disk))).toEqual(believed);
});

test("a recovered segment is never written again", async () => {
  const { disk } = await sixFrames();
  const [segment] = segmentsOf(disk);
  disk.kill();
  const before = disk.content(segment!.path).slice();
  const log = await openLog(disk, smallLog, 2);
  for (let i = 8; i < 12; i++) {
    log.append(range(1), replica(1), entries(i, i, 7));
    await log.flush();
  }
  log.noteIdle();
  await log.close();
  expect(disk.content(segment!.path)).toEqual(before);
});

test("restarts without writes do not add up: a segment with one frame is replaced by its copy", async () => {
  const { disk, states } = await sixFrames();
  for (let i = 0; i < 10; i++) {
    const log = await openLog(disk, smallLog, i);
    expect(stateOf(log)).toEqual(states[6]);
    if (i % 3 === 0) await log.close();
    else disk.crash(seededRandom(i));
  }
  expect(segmentsOf(disk).length).toBe(2);
});

test("the copied frame is known to be durable: damage to it is corruption even when nothing stands behind it", async () => {
  const { disk } = await sixFrames();
  await openLog(disk, smallLog, 2);
  disk.kill();
  const copied = segmentsOf(disk).at(-1)!;
  const content = disk.content(copied.path).slice();
  content[copied.frames[0]!.offset + 60]! ^= 4;
  disk.setContent(copied.path, content);
  await expect(openLog(disk, smallLog, 3)).rejects.toThrow("known to be durable");
});

test("F4 random numbers that repeat with each start do not give two segments the same salt", async () => {
  const disk = new CrashingFiles();
  const salts = new Set<string>();
  for (let i = 0; i < 5; i++) {
    const log = await openLog(disk, smallLog, 7);
    for (let at = 1; at <= 4; at++) {
      log.append(range(1), replica(1), entries(i * 4 + at, i * 4 + at, 1, 5000));
      await log.flush();
    }
    for (const { header } of segmentsOf(disk)) salts.add(`${header.number} ${header.salt.high} ${header.salt.low}`);
    disk.kill();
  }
  expect(new Set([...salts].map((text) => text.split(" ").slice(1).join())).size).toBe(salts.size);
});

test("F4 frames of the time before a segment was recycled are not replayed, whatever they are", async () => {
  const disk = new CrashingFiles();
  const options = { ...smallLog, logBytesTarget: 0, preparedSegments: 1 };
  let log = await openLog(disk, options);
  log.createGroup(range(1), replica(1), index(0), term(0));
  for (let i = 1; i <= 60; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 400));
    await log.flush();
    log.checkpoint(range(1), index(i));
    await log.reclaim();
    if (i % 7 !== 0) continue;
    // Stale frames stand behind the last one now; a torn frame in front of them changes nothing.
    log.append(range(1), replica(1), entries(i + 1, i + 1, 1, 3000));
    const before = log.group(range(1))!.lastIndex;
    disk.fault = (name) => {
      if (name === "sync") throw new Error("power loss");
    };
    await log.flush().catch(() => {});
    disk.crash(seededRandom(i));
    log = await openLog(disk, options, i);
    const found = log.group(range(1))!.lastIndex;
    expect(found === before || found === before - 1).toBe(true);
    if (found === before) i++;
  }
});
