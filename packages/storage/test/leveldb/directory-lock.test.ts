import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { Worker } from "node:worker_threads";
import { Failure } from "@flotilla/base";
import { LevelEngine, acquireDirectoryLock } from "../../src/leveldb/index.ts";
import { beforeAll, expect, test } from "vitest";
import { temporaryDirectories } from "../directories.ts";
import { bundledScript } from "./bundled-script.ts";

const newDirectory = temporaryDirectories();
let script = "";
beforeAll(async () => {
  script = await bundledScript("lock-attempt", newDirectory());
});

async function fromProcess(directory: string): Promise<string> {
  return (await promisify(execFile)(process.execPath, [script, directory])).stdout.trim();
}

function fromThread(directory: string): Promise<unknown> {
  const worker = new Worker(script, { workerData: directory });
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

test("F24 a locked directory excludes this thread, other threads and other processes, however often they try", async () => {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  // A refusal inside the process must not give the lock away to another process.
  await expect(acquireDirectoryLock(directory)).rejects.toMatchObject({ code: "InUse", details: { directory } });
  expect(await fromProcess(directory)).toBe("InUse");
  expect(await fromThread(directory)).toBe("InUse");
  expect(await fromProcess(directory)).toBe("InUse");
  await lock.release();
  expect(await fromThread(directory)).toBe("acquired");
  expect(await fromProcess(directory)).toBe("acquired");
  const again = await acquireDirectoryLock(directory);
  await again.release();
});

test("F24 another path to the same directory is the same directory", async () => {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  const link = newDirectory();
  symlinkSync(directory, link);
  await expect(acquireDirectoryLock(link)).rejects.toMatchObject({ code: "InUse" });
  await expect(acquireDirectoryLock(`${directory}/../${directory.split("/").at(-1)}/`)).rejects.toMatchObject({
    code: "InUse",
  });
  await lock.release();
});

test("the refusal names the directory and says what to do", async () => {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  const error: unknown = await acquireDirectoryLock(directory).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(Failure);
  expect((error as Failure).message).toContain(directory);
  expect((error as Failure).hint).not.toBe("");
  await lock.release();
});

test("a damaged lock is made anew, for it holds nothing", async () => {
  const directory = newDirectory();
  await (await acquireDirectoryLock(directory)).release();
  const gate = join(directory, "lock", "process");
  for (const name of readdirSync(gate)) if (name.startsWith("MANIFEST")) truncateSync(join(gate, name), 3);
  const lock = await acquireDirectoryLock(directory);
  expect(await fromProcess(directory)).toBe("InUse");
  await lock.release();
});

test("a path that is a file, or below one, is InvalidArgument", async () => {
  const directory = newDirectory();
  mkdirSync(directory);
  writeFileSync(join(directory, "file"), "");
  await expect(acquireDirectoryLock(join(directory, "file"))).rejects.toMatchObject({ code: "InvalidArgument" });
  await expect(acquireDirectoryLock(join(directory, "file", "below"))).rejects.toMatchObject({
    code: "InvalidArgument",
  });
  writeFileSync(join(directory, "lock"), "");
  await expect(acquireDirectoryLock(directory)).rejects.toMatchObject({ code: "InvalidArgument" });
});

test("an engine opens only below a lock that is held, and only once", async () => {
  const directory = newDirectory();
  const lock = await acquireDirectoryLock(directory);
  const data = join(directory, "data");
  await expect(LevelEngine.open(newDirectory(), { lock })).rejects.toThrow(/not below/);
  const engine = await LevelEngine.open(data, { lock });
  await expect(LevelEngine.open(data, { lock })).rejects.toThrow(/already open/);
  await expect(lock.release()).rejects.toThrow(/still open/);
  await engine.close();
  await (await LevelEngine.open(data, { lock })).close();
  await lock.release();
  await expect(LevelEngine.open(data, { lock })).rejects.toThrow(/released/);
});
