/** Two commands started in one checkout at the same time install and build one after the other. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { cacheDirectory } from "./workspace.mjs";

const lockFile = join(cacheDirectory, "bootstrap.lock");

/**
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function withLock(work) {
  mkdirSync(cacheDirectory, { recursive: true });
  for (let told = false; !tryLock(); told = true) {
    const holder = readHolder();
    if (holder !== undefined && !isAlive(holder)) rmSync(lockFile, { force: true });
    else if (!told) console.error(`waiting for process ${holder ?? "?"}, which is installing or building here`);
    await wait(100);
  }
  try {
    return await work();
  } finally {
    rmSync(lockFile, { force: true });
  }
}

function tryLock() {
  try {
    writeFileSync(lockFile, String(process.pid), { flag: "wx" });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** @returns {number | undefined} undefined between the creation of the file and the writing of the number */
function readHolder() {
  try {
    const pid = Number(readFileSync(lockFile, "utf8"));
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
