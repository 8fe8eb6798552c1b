/**
 * What every implementation of `Files` must do, as plain data: a runner gives each case its own empty directory.
 * Durability is not in here (a real directory cannot be cut from power): the simulated disk has tests of its own.
 */
import type { Files } from "@flotilla/base";

export interface FilesCase {
  /** A claim. */
  readonly name: string;
  /** Resolves when the claim holds, else rejects. `make` gives an implementation over an empty directory. */
  run(make: () => Promise<Files>): Promise<void>;
}

const text = (value: string): Uint8Array => Uint8Array.from(value, (c) => c.charCodeAt(0));
const string = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

function equal(actual: unknown, expected: unknown, what: string): void {
  const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

async function rejects(promise: Promise<unknown>, code: string | undefined, what: string): Promise<void> {
  try {
    await promise;
  } catch (error) {
    const found = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== undefined) equal(found, code, `${what}: code`);
    return;
  }
  throw new Error(`${what} must reject${code === undefined ? "" : ` with ${code}`}`);
}

async function writeNew(files: Files, path: string, content: string): Promise<void> {
  const file = await files.open(path, "create");
  await file.write(0, [text(content)]);
  await file.close();
}

async function contentOf(files: Files, path: string): Promise<string> {
  const file = await files.open(path, "read");
  const bytes = await file.read(0, await file.size());
  await file.close();
  return string(bytes);
}

export const filesConformance: readonly FilesCase[] = [
  {
    name: "a directory that does not exist lists as empty, and a made one lists its names sorted",
    async run(make) {
      const files = await make();
      equal(await files.list("log"), [], "missing directory");
      await files.makeDirectory("log");
      for (const name of ["b", "a", "c"]) await writeNew(files, `log/${name}`, name);
      equal(await files.list("log"), ["a", "b", "c"], "names");
      equal(await files.list(""), ["log"], "names of the root");
    },
  },
  {
    name: "directories are made with their parents, and making one again changes nothing",
    async run(make) {
      const files = await make();
      await files.makeDirectory("a/b/c");
      await writeNew(files, "a/b/c/file", "x");
      await files.makeDirectory("a/b/c");
      equal(await files.list("a/b/c"), ["file"], "names");
      equal(await files.exists("a/b"), true, "parent");
    },
  },
  {
    name: "create makes a file and refuses one that exists",
    async run(make) {
      const files = await make();
      await writeNew(files, "file", "first");
      await rejects(files.open("file", "create"), "EEXIST", "create over a file");
      equal(await contentOf(files, "file"), "first", "content");
    },
  },
  {
    name: "read and write refuse a missing file, and create one in a missing directory",
    async run(make) {
      const files = await make();
      await rejects(files.open("file", "read"), "ENOENT", "read");
      await rejects(files.open("file", "write"), "ENOENT", "write");
      await rejects(files.open("missing/file", "create"), "ENOENT", "create");
    },
  },
  {
    name: "chunks of one write stand one behind the other at the offset",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await file.write(0, [text("0123456789")]);
      await file.write(2, [text("ab"), text(""), text("c")]);
      equal(string(await file.read(0, 10)), "01abc56789", "content");
      equal(await file.size(), 10, "size");
      await file.close();
    },
  },
  {
    name: "many chunks and many pages come back as they were written",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      const chunks = Array.from({ length: 300 }, (_, i) => new Uint8Array(97).fill(i % 256));
      await file.write(5, chunks);
      const bytes = await file.read(5, 300 * 97);
      equal(bytes.length, 300 * 97, "length");
      for (let i = 0; i < bytes.length; i++) {
        if (bytes[i] !== Math.floor(i / 97) % 256) throw new Error(`byte ${i} is ${bytes[i]}`);
      }
      await file.close();
    },
  },
  {
    name: "a gap before a write reads as zeros",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await file.write(6000, [text("end")]);
      equal(await file.size(), 6003, "size");
      const bytes = await file.read(0, 6003);
      equal(
        bytes.slice(0, 6000).every((byte) => byte === 0),
        true,
        "zeros",
      );
      equal(string(bytes.slice(6000)), "end", "end");
      await file.close();
    },
  },
  {
    name: "zeros written over content are zeros",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await file.write(0, [new Uint8Array(8192).fill(7)]);
      await file.write(0, [new Uint8Array(8192)]);
      equal(
        (await file.read(0, 8192)).every((byte) => byte === 0),
        true,
        "zeros",
      );
      await file.close();
    },
  },
  {
    name: "reads are short at the end of the file, and empty behind it",
    async run(make) {
      const files = await make();
      await writeNew(files, "file", "12345");
      const file = await files.open("file", "read");
      equal(string(await file.read(3, 10)), "45", "read");
      equal(string(file.readNow(3, 10)), "45", "readNow");
      equal((await file.read(5, 10)).length, 0, "read at the end");
      equal(file.readNow(50, 10).length, 0, "readNow behind the end");
      await file.close();
    },
  },
  {
    name: "what one handle has written, another reads at once",
    async run(make) {
      const files = await make();
      const writer = await files.open("file", "create");
      const reader = await files.open("file", "read");
      await writer.write(0, [text("seen")]);
      equal(string(reader.readNow(0, 4)), "seen", "content");
      await writer.close();
      await reader.close();
    },
  },
  {
    name: "what is read does not change with a later write",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await file.write(0, [text("before")]);
      const bytes = await file.read(0, 6);
      await file.write(0, [text("after!")]);
      equal(string(bytes), "before", "content");
      await file.close();
    },
  },
  {
    name: "a file opened for reading refuses writes",
    async run(make) {
      const files = await make();
      await writeNew(files, "file", "kept");
      const file = await files.open("file", "read");
      await rejects(file.write(0, [text("lost")]), "EBADF", "write");
      await file.close();
      equal(await contentOf(files, "file"), "kept", "content");
    },
  },
  {
    name: "sync of files and directories resolves, and of a missing directory rejects",
    async run(make) {
      const files = await make();
      await files.makeDirectory("log");
      const file = await files.open("log/file", "create");
      await file.write(0, [text("x")]);
      await file.sync();
      await files.syncDirectory("log");
      await files.syncDirectory("");
      await file.close();
      await rejects(files.syncDirectory("missing"), "ENOENT", "syncDirectory");
    },
  },
  {
    name: "a rename replaces its target and keeps content, and open handles go on",
    async run(make) {
      const files = await make();
      await writeNew(files, "old", "old");
      const file = await files.open("new", "create");
      await file.write(0, [text("new")]);
      await files.rename("new", "old");
      await file.write(3, [text("er")]);
      await file.close();
      equal(await contentOf(files, "old"), "newer", "content");
      equal(await files.exists("new"), false, "the old name");
      await rejects(files.rename("new", "other"), "ENOENT", "rename of a missing file");
    },
  },
  {
    name: "a rename may lead into another directory",
    async run(make) {
      const files = await make();
      await files.makeDirectory("a");
      await files.makeDirectory("b");
      await writeNew(files, "a/file", "moved");
      await files.rename("a/file", "b/file");
      equal(await files.list("a"), [], "names left");
      equal(await contentOf(files, "b/file"), "moved", "content");
    },
  },
  {
    name: "remove takes files and whole directories away, and refuses what is missing",
    async run(make) {
      const files = await make();
      await files.makeDirectory("a/b");
      await writeNew(files, "a/b/file", "x");
      await writeNew(files, "other", "x");
      await files.remove("a");
      equal(await files.exists("a/b/file"), false, "file in the directory");
      await files.remove("other");
      equal(await files.list(""), [], "names");
      await rejects(files.remove("other"), "ENOENT", "remove");
    },
  },
  {
    name: "a removed file stays readable through a handle that was open",
    async run(make) {
      const files = await make();
      await writeNew(files, "file", "still");
      const file = await files.open("file", "read");
      await files.remove("file");
      equal(string(await file.read(0, 5)), "still", "content");
      await file.close();
    },
  },
  {
    name: "a closed handle refuses everything",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await file.close();
      await rejects(file.size(), undefined, "size");
      await rejects(file.read(0, 1), undefined, "read");
      await rejects(file.write(0, [text("x")]), undefined, "write");
      await rejects(file.sync(), undefined, "sync");
      equal(await contentOf(files, "file"), "", "content");
    },
  },
  {
    name: "closing twice is no error",
    async run(make) {
      const files = await make();
      const file = await files.open("file", "create");
      await Promise.all([file.close(), file.close()]);
      await file.close();
    },
  },
  {
    name: "free bytes is a number that is not negative",
    async run(make) {
      const files = await make();
      const free = await files.freeBytes();
      if (!(Number.isFinite(free) && free >= 0)) throw new Error(`free bytes is ${free}`);
    },
  },
];
