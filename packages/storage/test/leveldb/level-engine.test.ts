import {
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { Failure, key, version } from "@flotilla/base";
import { nodeByteOperations as operations } from "@flotilla/platform";
import { encodeRecord, newestKey, verifyRecord } from "../../src/index.ts";
import { LevelEngine, acquireDirectoryLock } from "../../src/leveldb/index.ts";
import type { DirectoryLock } from "../../src/leveldb/index.ts";
import { describe, expect, test } from "vitest";
import { temporaryDirectories } from "../directories.ts";
import { seededRandom } from "../seeded-random.ts";
import { appliedOf, bytesOf, contentOf, expectedContent, fillBatch } from "./numbered-batches.ts";

const newDirectory = temporaryDirectories();

interface Opened {
  readonly directory: string;
  readonly data: string;
  readonly lock: DirectoryLock;
  readonly engine: LevelEngine;
}

async function openNew(): Promise<Opened> {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  const data = join(directory, "data");
  return { directory, data, lock, engine: await LevelEngine.open(data, { lock, writeBufferBytes: 65536 }) };
}

async function writeNumbered(engine: LevelEngine, from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) {
    const batch = engine.batch();
    fillBatch(batch, n);
    await batch.write();
  }
}

const tables = (data: string): string[] => readdirSync(data).filter((name) => name.endsWith(".ldb"));

/** The next files of this kind that LevelDB makes will have no room: their names lead to /dev/full. */
function fillDisk(data: string, suffix: "log" | "ldb"): void {
  const highest = Math.max(...readdirSync(data).map((name) => Number(/\d+/.exec(name)?.[0] ?? 0)));
  for (let number = highest + 1; number < highest + 40; number++) {
    symlinkSync("/dev/full", join(data, `${String(number).padStart(6, "0")}.${suffix}`));
  }
}

describe("a disk that fails", () => {
  test("F17 a failed write rejects, and from then on every call ends with the same error", async () => {
    const { data, lock, engine } = await openNew();
    await writeNumbered(engine, 1, 20);
    await engine.settle();
    fillDisk(data, "log");
    let failure: unknown;
    let written = 20;
    const view = engine.readView();
    const iterator = engine.iterate({ start: bytesOf(" "), end: bytesOf("~") });
    while (failure === undefined) {
      expect(written).toBeLessThan(2000);
      await writeNumbered(engine, written + 1, written + 1).then(
        () => written++,
        (error: unknown) => (failure = error),
      );
    }
    expect(failure).toBeInstanceOf(Failure);
    expect((failure as Failure).code).toBe("Internal");
    for (const call of [
      () => writeNumbered(engine, 1, 1),
      () => engine.getNow(bytesOf("applied")),
      () => engine.getMany([bytesOf("applied")]),
      () => engine.readView(),
      () => engine.settle(),
      () => engine.unsettledFiles(),
      () => engine.batch(),
      () => view.getNow(bytesOf("applied")),
      () => iterator.next(1, 1),
    ]) {
      expect(await rejection(call)).toBe(failure);
    }
    await engine.close();

    const reopened = await LevelEngine.open(data, { lock });
    const applied = appliedOf(reopened);
    expect(applied).toBeGreaterThanOrEqual(20);
    expect(applied).toBeLessThanOrEqual(written);
    expect(await contentOf(reopened)).toEqual(expectedContent(applied));
    await reopened.close();
  });

  test("F17 F20 nothing is written behind a failed batch", async () => {
    const { data, engine } = await openNew();
    await writeNumbered(engine, 1, 20);
    fillDisk(data, "log");
    await engine.settle().catch(() => {});
    const writes = Array.from({ length: 200 }, (_, i) => writeNumbered(engine, 21 + i, 21 + i));
    const results = (await Promise.allSettled(writes)).map((result) => result.status);
    const firstFailed = results.indexOf("rejected");
    expect(firstFailed).toBeGreaterThanOrEqual(0);
    expect(new Set(results.slice(firstFailed))).toEqual(new Set(["rejected"]));
    await engine.close();
  });

  test("F18 settle resolves though the table could not be written; the names of the files say so", async () => {
    const { data, lock, engine } = await openNew();
    await writeNumbered(engine, 1, 20);
    const before = await engine.unsettledFiles();
    fillDisk(data, "ldb");
    await engine.settle();
    expect(await engine.unsettledFiles()).toEqual(expect.arrayContaining([...before]));
    await engine.close();
    for (const name of readdirSync(data)) if (name.endsWith(".ldb")) unlinkSync(join(data, name));
    const reopened = await LevelEngine.open(data, { lock });
    expect(appliedOf(reopened)).toBe(0);
    await reopened.close();
  });
});

test("settle covers every batch whose write was called before it", async () => {
  const { data, lock, engine } = await openNew();
  const writes = Array.from({ length: 50 }, (_, i) => {
    const batch = engine.batch();
    fillBatch(batch, i + 1);
    return batch.write();
  });
  await engine.settle();
  await Promise.all(writes);
  await engine.close();
  const reopened = await LevelEngine.open(data, { lock });
  expect(await contentOf(reopened)).toEqual(expectedContent(50));
  await reopened.close();
});

describe("a damaged directory", () => {
  async function settledAndClosed(): Promise<Opened> {
    const opened = await openNew();
    await writeNumbered(opened.engine, 1, 300);
    await opened.engine.settle();
    await opened.engine.close();
    expect(tables(opened.data).length).toBeGreaterThan(0);
    return opened;
  }

  async function refusal({ data, lock }: Opened): Promise<Failure> {
    const error = await rejection(() => LevelEngine.open(data, { lock }));
    expect(error).toBeInstanceOf(Failure);
    expect((error as Failure).hint).not.toBe("");
    return error as Failure;
  }

  test("a missing table is corruption, with its name", async () => {
    const opened = await settledAndClosed();
    const lost = tables(opened.data)[0]!;
    rmSync(join(opened.data, lost));
    expect(await refusal(opened)).toMatchObject({ code: "Corruption", details: { file: join(opened.data, lost) } });
    expect(tables(opened.data)).not.toContain(lost);
  });

  test("a cut manifest is corruption", async () => {
    const opened = await settledAndClosed();
    const manifest = readdirSync(opened.data).find((name) => name.startsWith("MANIFEST"))!;
    truncateSync(join(opened.data, manifest), 10);
    expect(await refusal(opened)).toMatchObject({ code: "Corruption" });
  });

  test("F14 without CURRENT nothing is opened, let alone begun anew over the tables", async () => {
    const opened = await settledAndClosed();
    const before = tables(opened.data);
    unlinkSync(join(opened.data, "CURRENT"));
    expect(await refusal(opened)).toMatchObject({
      code: "Corruption",
      details: { file: join(opened.data, "CURRENT") },
    });
    expect(tables(opened.data)).toEqual(before);
  });

  test("F14 a first open that was cut short is begun anew", async () => {
    const directory = newDirectory();
    const lock = await acquireDirectoryLock(directory);
    const data = join(directory, "data");
    mkdirSync(data);
    writeFileSync(join(data, "MANIFEST-000001"), "");
    const engine = await LevelEngine.open(data, { lock });
    await writeNumbered(engine, 1, 1);
    await engine.close();
  });

  test("F16 LevelDB gives a flipped bit away without a word; the record's own checksum notices", async () => {
    const { data, lock, engine } = await openNew();
    const logical = key("\x01key");
    // Random bytes, so that LevelDB does not compress the block they are in.
    const value = seededRandom(1).bytes(2000);
    const record = encodeRecord(logical, "value", version(7), value, operations);
    const batch = engine.batch();
    batch.put(newestKey(logical, operations), record);
    await batch.write();
    await engine.settle();
    await engine.close();
    const table = join(data, tables(data)[0]!);
    const content = readFileSync(table);
    const at = content.indexOf(record);
    expect(at).toBeGreaterThan(0);
    content[at + 1000]! ^= 4;
    writeFileSync(table, content);

    const reopened = await LevelEngine.open(data, { lock });
    const found = reopened.getNow(newestKey(logical, operations))!;
    expect(found.length).toBe(record.length);
    expect(verifyRecord(logical, found, 0, found.length, operations)).toBe(false);
    await reopened.close();
  });
});

async function rejection(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error("must fail");
}
