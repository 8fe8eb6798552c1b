/**
 * What a data directory on this machine shows from outside, without opening it: a node may run on it. Names, sizes and format
 * numbers of its files, room on the disk, settings, the end of the log. Never the content of the log of Raft or of LevelDB,
 * and not the store's key.
 */
import { open, readFile, readdir, stat, statfs } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { readSettingsFile, settingDefinitions } from "@flotilla/server/settings";
import type { BundleContents } from "./bundle-contents.ts";

const filesMax = 10_000;
/** An `identity` holds the plan of up to 20 stores. */
const identityBytesMax = 1024 * 1024;

interface FileRow {
  readonly name: string;
  readonly sizeBytes: number;
  readonly modifiedAt: string;
  /** By its first bytes; `null`: not a format of ours, or too short. */
  readonly formatNumber: number | null;
}

export interface LocalDirectory {
  readonly path: string;
  /** In the bundle. */
  readonly name: string;
}

export async function gatherDirectory(
  contents: BundleContents,
  { path, name }: LocalDirectory,
  logBytesMax: number,
): Promise<void> {
  await contents.json(`${name}/files.json`, async () => {
    const { bavail, blocks, bsize } = await statfs(path);
    const files = await listFiles(path);
    const disk = { sizeBytes: blocks * bsize, freeBytes: bavail * bsize };
    return { path, disk, listedMax: filesMax, files };
  });
  if (await isFile(join(path, "identity"))) {
    await contents.json(`${name}/identity.json`, () => publicIdentity(path));
  }
  if (await isFile(join(path, "flotilla.toml"))) {
    await contents.json(`${name}/settings.json`, () => knownSettings(join(path, "flotilla.toml")));
  }
  if (logBytesMax > 0 && (await isFile(join(path, "log.jsonl")))) {
    await contents.gather(
      `${name}/log.jsonl`,
      () => readEnd(join(path, "log.jsonl"), logBytesMax),
      (end) => end,
    );
  }
}

const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  );

async function listFiles(root: string): Promise<readonly FileRow[]> {
  const rows: FileRow[] = [];
  const waiting = [""];
  while (waiting.length > 0 && rows.length < filesMax) {
    const folder = waiting.pop()!;
    const entries = await readdir(join(root, folder), { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const name = join(folder, entry.name);
      if (entry.isDirectory()) waiting.push(name);
      if (!entry.isFile() || rows.length >= filesMax) continue;
      // A node that runs removes files meanwhile.
      const row = await describeFile(root, name).catch(() => undefined);
      if (row !== undefined) rows.push(row);
    }
  }
  return rows;
}

async function describeFile(root: string, name: string): Promise<FileRow> {
  const path = join(root, name);
  const { size, mtime } = await stat(path);
  const formatNumber = await formatOf(path, name);
  return { name, sizeBytes: size, modifiedAt: mtime.toISOString(), formatNumber };
}

async function formatOf(path: string, name: string): Promise<number | null> {
  if (/^(data|lock)\b/.test(name)) return null;
  const file = await open(path, "r");
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(64), 0, 64, 0);
    return formatNumberOf(buffer.subarray(0, bytesRead));
  } finally {
    await file.close();
  }
}

/** Of small text files (`flotilla-KIND 1`), segments of the log (`FLOG`, u16) and range snapshots (`FLSN`, u8). */
function formatNumberOf(head: Buffer): number | null {
  const text = head.toString("latin1");
  const sealed = /^flotilla-[a-z-]+ (\d{1,9})\n/.exec(text);
  if (sealed !== null) return Number(sealed[1]);
  if (text.startsWith("FLOG") && head.length >= 6) return head.readUInt16BE(4);
  if (text.startsWith("FLSN") && head.length >= 5) return head[4]!;
  return null;
}

/** Ids, and nothing that lets another process pass as this store. */
export async function publicIdentity(path: string): Promise<Record<string, unknown>> {
  const text = await readFile(join(path, "identity"), "utf8");
  if (text.length > identityBytesMax)
    throw new Error(`${join(path, "identity")} is longer than ${identityBytesMax} bytes`);
  const { clusterId, nodeId, storeId } = JSON.parse(text.split("\n")[1] ?? "") as Record<string, unknown>;
  return { clusterId, nodeId, storeId };
}

/** Only settings that this version knows, none of which is a secret: what else stands in the file is named without its value. */
async function knownSettings(path: string): Promise<object> {
  const content = await readSettingsFile(path);
  const known = new Set<string>(settingDefinitions.map(({ name }) => name));
  const names = Object.keys(content);
  return {
    path,
    settings: Object.fromEntries(names.filter((name) => known.has(name)).map((name) => [name, content[name]])),
    unknown: names.filter((name) => !known.has(name)),
  };
}

/** Whole lines, at most `bytesMax` of them. */
async function readEnd(path: string, bytesMax: number): Promise<{ bytes: Uint8Array; truncated: boolean }> {
  const file = await open(path, "r");
  try {
    return await endOf(file, bytesMax);
  } finally {
    await file.close();
  }
}

async function endOf(file: FileHandle, bytesMax: number): Promise<{ bytes: Uint8Array; truncated: boolean }> {
  const { size } = await file.stat();
  const length = Math.min(size, bytesMax);
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
  const bytes = buffer.subarray(0, bytesRead);
  if (length === size) return { bytes, truncated: false };
  return { bytes: bytes.subarray(bytes.indexOf(0x0a) + 1), truncated: true };
}
