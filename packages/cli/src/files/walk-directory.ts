/** The regular files below a directory, in the order of their names' bytes. Links and devices are counted, never followed. */
import { opendir, readdir } from "node:fs/promises";
import type { Dirent } from "node:fs";
import { Failure } from "@flotilla/base";

export interface FoundFile {
  /** From the root, with `/`; names need not be UTF-8. */
  readonly path: Buffer;
}

export interface WalkEvents {
  skip(kind: "links" | "devices" | "empty directories"): void;
  unreadable(path: Buffer, error: Error): void;
}

const slash = Buffer.from("/");

export const joinPath = (root: Buffer, path: Buffer): Buffer =>
  path.length === 0 ? root : Buffer.concat([root, slash, path]);

/** Throws `InvalidArgument` when the root is no directory that can be read. */
export async function* walkDirectory(root: Buffer, events: WalkEvents): AsyncGenerator<FoundFile, void, undefined> {
  try {
    await (await opendir(root)).close();
  } catch (error) {
    throw new Failure(
      "InvalidArgument",
      `cannot read the directory ${root.toString()}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  // Directories still to be listed, the next one last. Bounded by the entries of the directories above the current one.
  const waiting: Buffer[] = [Buffer.alloc(0)];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    let entries: Dirent<Buffer>[];
    try {
      entries = await readdir(joinPath(root, directory), { withFileTypes: true, encoding: "buffer" });
    } catch (error) {
      events.unreadable(directory, error as Error);
      continue;
    }
    if (entries.length === 0 && directory.length > 0) events.skip("empty directories");
    entries.sort((a, b) => Buffer.compare(a.name, b.name));
    const below: Buffer[] = [];
    for (const entry of entries) {
      const path = directory.length === 0 ? entry.name : Buffer.concat([directory, slash, entry.name]);
      if (entry.isFile()) yield { path };
      else if (entry.isDirectory()) below.push(path);
      else events.skip(entry.isSymbolicLink() ? "links" : "devices");
    }
    waiting.push(...below.reverse());
  }
}
