/** What we do to LevelDB's files behind its back, and when. */
import { access, constants, mkdir, open, readdir, realpath, unlink } from "node:fs/promises";
import { join } from "node:path";
import { Failure } from "@flotilla/base";
import { directoryFailure } from "./level-failure.ts";

const logName = /^\d+\.log$/;
const tableName = /^\d+\.(ldb|sst)$/;

/** Makes the directory where it is missing, and returns its one true path: LevelDB's own tables of names compare paths. */
export async function prepareDirectory(directory: string): Promise<string> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    return await realpath(directory);
  } catch (error) {
    throw directoryFailure(directory, error);
  }
}

/** Names of LevelDB's `*.log` files, sorted: batches in them are not durable. */
export async function logFiles(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => logName.test(name)).sort();
}

/**
 * Rule: LevelDB always opens as an exact prefix of what we wrote. After power loss its `*.log` files may have holes, over
 * which it opens without a word (hazards F13, F15); its tables have none. So its `*.log` files go before every
 * open, and the shared log replays what was in them. Only for a directory that no process has open.
 */
export async function deleteLogFiles(directory: string): Promise<void> {
  try {
    for (const name of await logFiles(directory)) await unlink(join(directory, name));
  } catch (error) {
    throw directoryFailure(directory, error);
  }
}

/**
 * Without `CURRENT` LevelDB would begin anew and delete the tables it finds. A directory in which the very first open was
 * cut short has no tables yet.
 */
export async function refuseLostCurrent(directory: string): Promise<void> {
  const names = await readdir(directory);
  if (names.includes("CURRENT") || !names.some((name) => tableName.test(name))) return;
  throw new Failure("Corruption", `${join(directory, "CURRENT")} is missing, but there are tables beside it`, {
    hint:
      "a file of the store was removed. Restore the whole directory as it was, or start the node with an empty one as a " +
      "new store and remove the old store from the cluster",
    details: { directory, file: join(directory, "CURRENT") },
  });
}

/** Makes names in the directory durable: LevelDB renames `CURRENT` and does not sync it (hazard F14). */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
