import { nodeByteOperations } from "@flotilla/platform";
import { MemoryEngineDisk } from "../src/index.ts";
import type { Engine, MemoryEngineOptions } from "../src/index.ts";
import { expect, test } from "vitest";
import { appliedOf, contentOf, expectedContent, fillBatch } from "./leveldb/numbered-batches.ts";
import { microtaskScheduler } from "./microtask-scheduler.ts";
import { seededRandom } from "./seeded-random.ts";

const newDisk = (options: MemoryEngineOptions = {}): MemoryEngineDisk =>
  new MemoryEngineDisk(options, { scheduler: microtaskScheduler, bytes: nodeByteOperations });

async function writeNumbered(engine: Engine, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    const batch = engine.batch();
    fillBatch(batch, n);
    await batch.write();
  }
}

test("F10 after a crash the content is an exact prefix that holds what was settled, and every prefix happens", async () => {
  const found = new Set<number>();
  for (let seed = 1; seed <= 120; seed++) {
    const disk = newDisk();
    const engine = await disk.open();
    await writeNumbered(engine, 1, 10);
    await engine.settle();
    await writeNumbered(engine, 11, 18);
    expect(disk.unsettledBatches).toBe(8);
    disk.crash(seededRandom(seed));
    const reopened = await disk.open();
    const applied = appliedOf(reopened);
    expect(await contentOf(reopened)).toEqual(expectedContent(applied));
    found.add(applied);
    await writeNumbered(reopened, applied + 1, 30);
    expect(await contentOf(reopened)).toEqual(expectedContent(30));
  }
  expect([...found].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18]);
});

test("a clean close without settle opens with what had settled, as LevelDB does without its logs", async () => {
  const disk = newDisk();
  const engine = await disk.open();
  await writeNumbered(engine, 1, 5);
  await engine.settle();
  await writeNumbered(engine, 6, 9);
  await engine.close();
  const reopened = await disk.open();
  expect(appliedOf(reopened)).toBe(5);
  expect(await contentOf(reopened)).toEqual(expectedContent(5));
});

test("settle covers every batch whose write was called before it", async () => {
  const disk = newDisk();
  const engine = await disk.open();
  const writes = Array.from({ length: 50 }, (_, i) => {
    const batch = engine.batch();
    fillBatch(batch, i + 1);
    return batch.write();
  });
  await engine.settle();
  await Promise.all(writes);
  await engine.close();
  expect(await contentOf(await disk.open())).toEqual(expectedContent(50));
});

test("a full file settles by itself, and the names of its moment go", async () => {
  const disk = newDisk({ writeBufferBytes: 4096 });
  const engine = await disk.open();
  await writeNumbered(engine, 1, 4);
  const noted = await engine.unsettledFiles();
  let written = 4;
  while ((await engine.unsettledFiles()).some((name) => noted.includes(name))) {
    expect(written).toBeLessThan(100);
    await writeNumbered(engine, written + 1, ++written);
  }
  expect(disk.unsettledBatches).toBeLessThan(written);
  disk.crash(seededRandom(3));
  expect(appliedOf(await disk.open())).toBeGreaterThanOrEqual(4);
});

test("F17 on a broken disk writes fail with one error for ever, and settle resolves without settling", async () => {
  const disk = newDisk();
  const engine = await disk.open();
  await writeNumbered(engine, 1, 3);
  const noted = await engine.unsettledFiles();
  disk.failure = new Error("the disk is gone");
  await engine.settle();
  expect(await engine.unsettledFiles()).toEqual(expect.arrayContaining([...noted]));
  await expect(writeNumbered(engine, 4, 4)).rejects.toThrow("the disk is gone");
  disk.failure = undefined;
  await expect(writeNumbered(engine, 4, 4)).rejects.toThrow("the disk is gone");
  expect(() => engine.getNow(Uint8Array.of(1))).toThrow("the disk is gone");
  await engine.close();
  expect(appliedOf(await disk.open())).toBe(0);
});

test("F20 every batch of a failed turn is told, and none of them is there", async () => {
  const disk = newDisk();
  const engine = await disk.open();
  disk.failure = new Error("the disk is gone");
  const results = await Promise.allSettled(
    Array.from({ length: 50 }, async (_, i) => {
      const batch = engine.batch();
      fillBatch(batch, i + 1);
      await batch.write();
    }),
  );
  expect(results.filter((result) => result.status === "rejected")).toHaveLength(50);
  expect(disk.unsettledBatches).toBe(0);
});

test("a crashed engine answers nothing any more, and its late timers change nothing", async () => {
  const disk = newDisk({ settleDelayMs: 50 });
  const engine = await disk.open();
  await writeNumbered(engine, 1, 3);
  let answers = 0;
  const answered = (): void => void answers++;
  void engine.settle().then(answered, answered);
  // Now the file is frozen, and its timer runs.
  expect(await engine.unsettledFiles()).toHaveLength(2);
  void writeNumbered(engine, 4, 4).then(answered, answered);
  void engine.unsettledFiles().then(answered, answered);
  const iterator = engine.iterate({ start: Uint8Array.of(0), end: Uint8Array.of(255) });
  void iterator.next(10, 1000).then(answered, answered);
  disk.crash({ uint32: () => 0, bytes: (length) => new Uint8Array(length) });
  const reopened = await disk.open();
  await writeNumbered(reopened, 1, 200);
  expect(answers).toBe(0);
  expect(disk.unsettledBatches).toBe(200);
  expect(() => engine.getNow(Uint8Array.of(1))).toThrow();
  await engine.close();
  expect(appliedOf(reopened)).toBe(200);
});

test("one seed gives one run", async () => {
  const run = async (seed: number): Promise<number> => {
    const disk = newDisk({ writeBufferBytes: 8192 });
    await writeNumbered(await disk.open(), 1, 50);
    disk.crash(seededRandom(seed));
    return appliedOf(await disk.open());
  };
  for (const seed of [1, 2, 3]) expect(await run(seed)).toBe(await run(seed));
});
