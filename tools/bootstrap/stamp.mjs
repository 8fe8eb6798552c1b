/**
 * A stamp is a file with one hash: what a step was last done for. The step is skipped while the hash of its inputs is
 * the same.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root, stampDirectory } from "./workspace.mjs";

/**
 * @param {string} name
 * @param {string} hash
 */
export function isStamped(name, hash) {
  try {
    return readFileSync(join(stampDirectory, name), "utf8") === hash;
  } catch {
    return false;
  }
}

/**
 * @param {string} name
 * @param {string} hash
 */
export function writeStamp(name, hash) {
  mkdirSync(stampDirectory, { recursive: true });
  writeFileSync(join(stampDirectory, name), hash);
}

/** @param {string} name */
export function removeStamp(name) {
  rmSync(join(stampDirectory, name), { force: true });
}

/**
 * Hash of what the files hold; a missing file counts as such.
 *
 * @param {string[]} paths from the root
 * @param {string} extra what else the step depends on
 */
export function hashContents(paths, extra) {
  const hash = createHash("sha256").update(extra);
  for (const path of paths) hash.update(`\n${path}\n`).update(contentOrMissing(path));
  return hash.digest("hex");
}

/** @param {string} path */
function contentOrMissing(path) {
  try {
    return readFileSync(join(root, path));
  } catch {
    return "missing";
  }
}

/**
 * Hash of path, size and modification time: reads no file, a thousand take about 10 ms.
 *
 * @param {string[]} paths from the root
 * @param {string} extra what else the step depends on
 */
export function hashTimes(paths, extra) {
  const hash = createHash("sha256").update(extra);
  for (const path of paths) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`\n${path} ${size} ${mtimeMs}`);
  }
  return hash.digest("hex");
}

/**
 * All files below the folders, dependencies and output left out, in a fixed order.
 *
 * @param {string[]} folders from the root; one that does not exist is empty
 * @param {(name: string) => boolean} takes asked for each file name
 * @returns {string[]} paths from the root
 */
export function listFiles(folders, takes) {
  /** @type {string[]} */
  const found = [];
  for (const folder of folders) addFiles(found, folder, takes);
  return found;
}

/**
 * @param {string[]} found
 * @param {string} folder
 * @param {(name: string) => boolean} takes
 */
function addFiles(found, folder, takes) {
  for (const entry of entriesOrNone(folder)) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (entry.name !== "node_modules" && entry.name !== "dist") addFiles(found, path, takes);
    } else if (takes(entry.name)) found.push(path);
  }
}

/** @param {string} folder */
function entriesOrNone(folder) {
  try {
    return readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch {
    return [];
  }
}
