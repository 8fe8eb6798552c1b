/** A store's snapshot thread beside the same jobs in place, on one LevelDB. Uses the build. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { logIndex, rangeId, replicaId, storeId, term, version } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import { NodeFiles, nodeByteOperations as operations } from "@flotilla/platform";
import { SnapshotPool } from "@flotilla/server/snapshots";
import {
  encodeApplied,
  encodeConfiguration,
  encodeDescriptor,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
} from "@flotilla/storage";
import { LevelEngine, acquireDirectoryLock } from "@flotilla/storage/leveldb";
import type { DirectoryLock } from "@flotilla/storage/leveldb";
import { InlineSnapshotJobs } from "@flotilla/store";
import type { RangeSource } from "@flotilla/store";
import { afterEach, expect, test } from "vitest";

const range = rangeId(7);
const chunkBytes = 4096;
const descriptor: RangeDescriptor = {
  rangeId: range,
  start: "\x01b" as Key,
  end: "\x01m" as Key,
  epoch: { bounds: 3, members: 2 },
  replicas: [{ replicaId: replicaId(9), storeId: storeId(1), role: "voter" }],
};

const record = (key: string): Uint8Array => newestKey(`\x01${key}` as Key, operations);
const value = new Uint8Array(300).fill(7);

async function write(engine: LevelEngine, keys: readonly string[]): Promise<void> {
  const batch = engine.batch();
  for (const key of keys) batch.put(record(key), value);
  await batch.write();
}

async function writeOwn(engine: LevelEngine): Promise<void> {
  const key = (name: string): Uint8Array => rangeRecordKey(range, name, operations);
  const members = { voters: [replicaId(9)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const state = { index: logIndex(40), term: term(3), lastVersion: version(9) };
  const { applied, configuration, descriptor: name } = rangeRecordNames;
  const batch = engine.batch();
  batch.put(key(applied), encodeApplied(key(applied), state, operations));
  batch.put(key(configuration), encodeConfiguration(key(configuration), members, operations));
  batch.put(key(name), encodeDescriptor(key(name), descriptor, operations));
  await batch.write();
}

/** What the snapshot thread runs. */
const task = new URL(
  "./snapshot-task.js",
  pathToFileURL(createRequire(import.meta.url).resolve("@flotilla/server/snapshots")),
);

interface Opened {
  readonly dataDir: string;
  readonly lock: DirectoryLock;
  readonly engine: LevelEngine;
  readonly pool: SnapshotPool;
  readonly inline: InlineSnapshotJobs;
}

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function open(taskOf: (dataDir: string) => URL = () => task): Promise<Opened> {
  const dataDir = mkdtempSync(join(tmpdir(), "flotilla-snapshot-pool-"));
  ends.push(async () => rmSync(dataDir, { recursive: true }));
  mkdirSync(join(dataDir, "staging"));
  const lock = await acquireDirectoryLock(dataDir);
  ends.push(() => lock.release());
  const engine = await LevelEngine.open(join(dataDir, "data"), { lock });
  ends.push(() => engine.close());
  const pool = new SnapshotPool({ dataDir, engineDirectory: engine.directory, task: taskOf(dataDir) });
  ends.push(() => pool.close());
  return { dataDir, lock, engine, pool, inline: new InlineSnapshotJobs(engine, new NodeFiles(dataDir), operations) };
}

async function whole(source: RangeSource): Promise<{ bytes: Buffer; parts: number }> {
  const parts: Uint8Array[] = [];
  for (let part = await source.next(); part !== undefined; part = await source.next()) {
    parts.push(part.bytes);
    if (part.last) break;
  }
  await source.close();
  return { bytes: Buffer.concat(parts), parts: parts.length };
}

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `d${String(i).padStart(5, "0")}`);

test("D9 the snapshot thread gives out what the store's own view would, whatever is written meanwhile, and verifies it", async () => {
  const { dataDir, engine, pool, inline } = await open();
  await writeOwn(engine);
  // The first and the last are other ranges'.
  await write(engine, ["a", ...names(500), "z"]);
  const here = await inline.encode(range, chunkBytes);
  const there = await pool.encode(range, chunkBytes);
  expect(there.found).toEqual(here.found);
  expect(there.found).toEqual({ descriptor, label: { index: 40, term: 3, configuration: expect.anything() } });
  const first = await there.next();
  await write(engine, ["c", "e", "f"]);
  const rest = await whole(there);
  const expected = await whole(here);
  expect(rest.parts).toBeGreaterThan(30);
  const bytes = Buffer.concat([first!.bytes, rest.bytes]);
  expect(bytes.equals(expected.bytes)).toBe(true);
  writeFileSync(join(dataDir, "staging/whole"), bytes);
  const verified = await pool.verify("staging/whole", range);
  expect(verified).toEqual(await inline.verify("staging/whole", range));
  expect(verified).toEqual(there.found);
  bytes[bytes.length >> 1]! ^= 1;
  writeFileSync(join(dataDir, "staging/damaged"), bytes);
  expect(await pool.verify("staging/damaged", range)).toBeUndefined();
});

test("several ranges and files at once are served by turns, and one that is not there has nothing", async () => {
  const { engine, pool, inline } = await open();
  await writeOwn(engine);
  await write(engine, names(200));
  const expected = await whole(await inline.encode(range, chunkBytes));
  const sources = await Promise.all([1, 2, 3, 4].map(() => pool.encode(range, chunkBytes)));
  const all = await Promise.all(sources.map(whole));
  expect(all.every(({ bytes }) => bytes.equals(expected.bytes))).toBe(true);
  const other = await pool.encode(rangeId(8), chunkBytes);
  expect([other.found, await other.next()]).toEqual([undefined, undefined]);
  await other.close();
  await expect(pool.verify("staging/missing", range)).rejects.toThrow("ENOENT");
});

test("closing lets go of the engine, whoever is in the middle of a range", async () => {
  const { dataDir, lock, engine, pool } = await open();
  await writeOwn(engine);
  await write(engine, names(500));
  const source = await pool.encode(range, chunkBytes);
  await source.next();
  await pool.close();
  // One part was asked for ahead; then it is over.
  await source.next().catch(() => undefined);
  expect(await source.next().catch((error: { code: string }) => error.code)).toSatisfy(
    (end: unknown) => end === undefined || end === "Closed",
  );
  await expect(pool.encode(range, chunkBytes)).rejects.toMatchObject({ code: "Closed" });
  await expect(pool.verify("staging/any", range)).rejects.toMatchObject({ code: "Closed" });
  await engine.close();
  await lock.release();
  // Nobody has LevelDB open any more: it opens by the engine's rules again, without what was never settled.
  const next = await acquireDirectoryLock(dataDir);
  const again = await LevelEngine.open(join(dataDir, "data"), { lock: next });
  expect(again.getNow(record("d00001"))).toBeUndefined();
  await again.close();
  await next.release();
});

test("a snapshot thread that cannot begin fails its own jobs with its reason, and the next job gets a new thread", async () => {
  const { dataDir, engine, pool, inline } = await open((directory) => pathToFileURL(join(directory, "task.mjs")));
  await writeOwn(engine);
  await write(engine, names(20));
  const runsInThread = (code: string): void => writeFileSync(join(dataDir, "task.mjs"), code);
  const fails = async (why: string): Promise<void> => {
    const jobs = [pool.encode(range, chunkBytes), pool.verify("staging/any", range), pool.encode(range, chunkBytes)];
    for (const each of await Promise.allSettled<unknown>(jobs)) {
      expect(each).toMatchObject({ status: "rejected", reason: { message: expect.stringContaining(why) as string } });
    }
  };
  await fails("task.mjs");
  runsInThread("throw new Error('no room');");
  await fails("no room");
  runsInThread("export default () => process.exit(3);");
  await fails("code: 3");
  runsInThread(`export { default } from ${JSON.stringify(task.href)};`);
  const there = await whole(await pool.encode(range, chunkBytes));
  const here = await whole(await inline.encode(range, chunkBytes));
  expect(there.bytes.equals(here.bytes)).toBe(true);
});
