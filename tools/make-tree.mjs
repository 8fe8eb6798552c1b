/**
 * `node tools/make-tree.mjs DIR --files N --seed S`: a directory of files for tests of imports. The same N and S give
 * the same tree, byte for byte, on every machine. It holds what such tests must meet: empty files, files of exactly
 * 1 MiB, names with spaces, names beyond ASCII, names that begin with a dot, and paths twelve levels deep; most files
 * are small (on average some 20 KiB). There are regular files only, and no empty directories.
 */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const mebibyte = 1024 * 1024;
const levelsMax = 12;
const filesMax = 1_000_000;

/** Each file's name is made by one of these, in turn; the number keeps names apart where letter case does not count. */
/** @type {((n: number) => string)[]} */
const names = [
  (n) => `file-${n}.txt`,
  (n) => `report ${n} final.csv`,
  (n) => `.hidden-${n}`,
  (n) => `größe-${n}.json`,
  (n) => `データ-${n}`,
  (n) => `🚢 ${n}.bin`,
  (n) => `..two-dots-${n}`,
  (n) => `%41+${n}&'"#?.url`,
  (n) => `${"long-".repeat(40)}${n}`,
  (n) => `${n}`,
];

/** @type {((n: number) => string)[]} */
const folderNames = [
  (n) => `folder-${n}`,
  (n) => `with space ${n}`,
  (n) => `.config-${n}`,
  (n) => `été-${n}`,
  (n) => `目录-${n}`,
];

/** A 32-bit xorshift generator (Marsaglia, 2003): small, and the same everywhere. */
class Random {
  #state;

  /** @param {number} seed */
  constructor(seed) {
    this.#state = (seed ^ 0x9e3779b9) >>> 0 || 1;
    for (let i = 0; i < 8; i++) this.uint32();
  }

  uint32() {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  /**
   * @param {number} limit
   * @returns {number} 0 to limit - 1
   */
  below(limit) {
    return Math.floor((this.uint32() / 2 ** 32) * limit);
  }
}

/**
 * @param {string} directory must not exist or be empty
 * @param {{ files: number, seed: number }} options
 * @returns {{ files: number, bytes: number }}
 */
export function makeTree(directory, { files, seed }) {
  const random = new Random(seed);
  const folders = planFolders(random, files);
  const made = new Set();
  let bytes = 0;
  for (let n = 0; n < files; n++) {
    // The first files go down the one path that has all twelve levels.
    const folder = n < folders.deepest.length ? folders.deepest[n] : folders.all[random.below(folders.all.length)];
    const path = join(directory, folder ?? "", names[n % names.length]?.(n) ?? "");
    if (!made.has(dirname(path))) mkdirSync(dirname(path), { recursive: true });
    made.add(dirname(path));
    const size = sizeOf(random, n);
    writeFileSync(path, content(random, size));
    bytes += size;
  }
  return { files, bytes };
}

/**
 * @param {Random} random
 * @param {number} files
 */
function planFolders(random, files) {
  const deepest = [""];
  for (let level = 1; level < levelsMax; level++) deepest.push(child(deepest[level - 1] ?? "", level));
  const all = [...deepest];
  const count = Math.max(1, Math.floor(files / 20));
  for (let n = 0; all.length < count; n++) {
    const parent = all[random.below(all.length)] ?? "";
    const depth = parent === "" ? 0 : parent.split("/").length;
    if (depth < levelsMax - 1) all.push(child(parent, levelsMax + n));
  }
  return { deepest, all };
}

/**
 * @param {string} parent
 * @param {number} n
 */
function child(parent, n) {
  const name = folderNames[n % folderNames.length]?.(n) ?? "";
  return parent === "" ? name : `${parent}/${name}`;
}

/**
 * Of 500 files one has exactly 1 MiB, the first of them among the first ten; of 50 one is empty.
 *
 * @param {Random} random
 * @param {number} n
 */
function sizeOf(random, n) {
  if (n % 500 === 5) return mebibyte;
  if (n % 50 === 1) return 0;
  if (n % 500 === 7) return mebibyte - 1;
  const kind = random.below(100);
  if (kind < 70) return random.below(4 * 1024);
  if (kind < 95) return random.below(64 * 1024);
  if (kind < 99) return random.below(256 * 1024);
  return random.below(mebibyte);
}

/**
 * Every other file is words, which compress; the rest is noise, which does not.
 *
 * @param {Random} random
 * @param {number} size
 */
function content(random, size) {
  const bytes = Buffer.alloc(size);
  if (random.below(2) === 0) {
    let offset = 0;
    while (offset < size) offset += bytes.write(`word${random.below(1000)} `, offset, "latin1");
  } else {
    let offset = 0;
    for (; offset + 4 <= size; offset += 4) bytes.writeUInt32LE(random.uint32(), offset);
    for (; offset < size; offset++) bytes[offset] = random.below(256);
  }
  return bytes;
}

/** @param {string[]} args */
function main(args) {
  const options = /** @type {const} */ ({
    files: { type: "string", default: "5000" },
    seed: { type: "string", default: "1" },
  });
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [directory, ...rest] = positionals;
  if (directory === undefined || rest.length > 0) throw new Error("usage: make-tree DIR [--files N] [--seed S]");
  const files = wholeNumber("--files", values.files, filesMax);
  const seed = wholeNumber("--seed", values.seed, 2 ** 32 - 1);
  const path = resolve(directory);
  mkdirSync(path, { recursive: true });
  if (readdirSync(path).length > 0) throw new Error(`${path} is not empty`);
  const made = makeTree(path, { files, seed });
  console.log(`${made.files} files, ${made.bytes} bytes in ${path}`);
}

/**
 * @param {string} name
 * @param {string} text
 * @param {number} max
 */
function wholeNumber(name, text, max) {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > max) throw new Error(`${name} takes a whole number up to ${max}, not ${text}`);
  return value;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  try {
    main(process.argv.slice(2));
  } catch (error) {
    console.error(`make-tree: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 2;
  }
}
