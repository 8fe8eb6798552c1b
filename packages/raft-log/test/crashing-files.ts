/**
 * `Files` in memory that can crash. A crash keeps what was synced, and of everything else a random part: directory entries
 * that were not synced, and of unsynced writes any of their 512-byte blocks, one of them cut inside.
 */
import type { Files, OpenFile, RandomSource } from "@flotilla/base";
import { randomBelow } from "@flotilla/base";

const blockBytes = 512;

interface UnsyncedWrite {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

class Inode {
  durable: Uint8Array = new Uint8Array(0);
  content: Uint8Array = new Uint8Array(0);
  unsynced: UnsyncedWrite[] = [];
}

type DirectoryChange = (durable: Map<string, Inode>) => void;

export class PlatformError extends Error {
  readonly code: string;
  constructor(code: string, what: string) {
    super(`${code}: ${what}`);
    this.code = code;
  }
}

/** What an operation is, for faults and for counting: "write log/segment-000000000001". */
export type OperationName = "open" | "write" | "sync" | "rename" | "remove" | "syncDirectory" | "makeDirectory";

export class CrashingFiles {
  #durable = new Map<string, Inode>();
  #entries = new Map<string, Inode>();
  #unsyncedEntries: DirectoryChange[] = [];
  /** Those that are not durable map to false. */
  #directories = new Map<string, boolean>([["", true]]);
  #generation = 0;
  /** Operations that change something, since the start. */
  operations = 0;
  readonly counts: Record<string, number> = {};
  /** Crashes (everything fails from then on) before this operation. */
  crashAt = Number.POSITIVE_INFINITY;
  crashed = false;
  /** Called before each operation; may throw. */
  fault: ((name: OperationName, path: string) => void) | undefined;
  /** Called before each operation, which waits for what it returns. */
  gate: ((name: OperationName | undefined, path: string) => Promise<void> | undefined) | undefined;
  bytesMax = Number.POSITIVE_INFINITY;

  /** The files as a process that starts now has them: dead after the next crash or kill. */
  process(): Files {
    const generation = this.#generation;
    const step = <T>(name: OperationName | undefined, path: string, run: () => T): Promise<T> =>
      this.#step(generation, name, path, run);
    return {
      list: (directory) => step(undefined, directory, () => this.#list(directory)),
      makeDirectory: (directory) => step("makeDirectory", directory, () => this.#makeDirectory(directory)),
      syncDirectory: (directory) => step("syncDirectory", directory, () => this.#syncDirectory(directory)),
      open: (path, mode) =>
        step(mode === "create" ? "open" : undefined, path, () =>
          this.#openFile(generation, path, this.#inode(path, mode), mode !== "read"),
        ),
      exists: (path) => step(undefined, path, () => this.#entries.has(path) || this.#directories.has(path)),
      rename: (from, to) => step("rename", from, () => this.#rename(from, to)),
      remove: (path) => step("remove", path, () => this.#remove(path)),
      freeBytes: () => Promise.resolve(Math.max(0, Math.min(this.bytesMax, 2 ** 40) - this.#usedBytes())),
    };
  }

  #list(directory: string): string[] {
    const prefix = directory === "" ? "" : `${directory}/`;
    const names = new Set<string>();
    for (const path of [...this.#entries.keys(), ...this.#directories.keys()]) {
      if (path !== "" && path.startsWith(prefix)) names.add(path.slice(prefix.length).split("/")[0]!);
    }
    return [...names].sort();
  }

  #makeDirectory(directory: string): void {
    for (let path = directory; path !== ""; path = parentOf(path)) {
      if (!this.#directories.has(path)) this.#directories.set(path, false);
    }
  }

  /** Its entries are durable: files, and directories in it. (Files of other directories, too; nothing here depends on less.) */
  #syncDirectory(directory: string): void {
    if (!this.#directories.has(directory)) throw new PlatformError("ENOENT", directory);
    for (const path of this.#directories.keys()) {
      if (path !== "" && parentOf(path) === directory) this.#directories.set(path, true);
    }
    if (directory === "") return;
    for (const change of this.#unsyncedEntries) change(this.#durable);
    this.#unsyncedEntries = [];
  }

  #inode(path: string, mode: "read" | "write" | "create"): Inode {
    const inode = this.#entries.get(path);
    if (mode !== "create") {
      if (inode === undefined) throw new PlatformError("ENOENT", path);
      return inode;
    }
    if (inode !== undefined) throw new PlatformError("EEXIST", path);
    if (!this.#directories.has(parentOf(path))) throw new PlatformError("ENOENT", path);
    const made = new Inode();
    this.#change((entries) => void entries.set(path, made));
    return made;
  }

  #rename(from: string, to: string): void {
    const inode = this.#entries.get(from);
    if (inode === undefined) throw new PlatformError("ENOENT", from);
    this.#change((entries) => {
      if (entries.get(from) === inode) entries.delete(from);
      entries.set(to, inode);
    });
  }

  #remove(path: string): void {
    if (this.#directories.delete(path)) {
      for (const other of this.#list(path)) this.#remove(`${path}/${other}`);
      return;
    }
    const inode = this.#entries.get(path);
    if (inode === undefined) throw new PlatformError("ENOENT", path);
    this.#change((entries) => {
      if (entries.get(path) === inode) entries.delete(path);
    });
  }

  #change(change: DirectoryChange): void {
    change(this.#entries);
    this.#unsyncedEntries.push(change);
  }

  #usedBytes(): number {
    let used = 0;
    for (const inode of this.#entries.values()) used += inode.content.length;
    return used;
  }

  /** One operation: a microtask later, unless the disk crashed, or crashes now. */
  async #step<T>(generation: number, name: OperationName | undefined, path: string, run: () => T): Promise<T> {
    await this.gate?.(name, path);
    this.#assertAlive(generation, path);
    if (name === undefined) return run();
    if (this.operations++ === this.crashAt) {
      this.crashed = true;
      throw new PlatformError("ECRASHED", path);
    }
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    this.fault?.(name, path);
    return run();
  }

  #assertAlive(generation: number, path: string): void {
    if (this.crashed || generation !== this.#generation) throw new PlatformError("ECRASHED", path);
  }

  #openFile(generation: number, path: string, inode: Inode, writable: boolean): OpenFile {
    let closed = false;
    const step = <T>(name: OperationName | undefined, run: () => T): Promise<T> =>
      this.#step(generation, name, path, () => {
        if (closed || (name === "write" && !writable)) throw new PlatformError("EBADF", path);
        return run();
      });
    return {
      path,
      size: () => step(undefined, () => inode.content.length),
      read: (offset, length) => step(undefined, () => inode.content.slice(offset, offset + length)),
      readNow: (offset, length) => {
        this.#assertAlive(generation, path);
        if (closed) throw new PlatformError("EBADF", path);
        return inode.content.slice(offset, offset + length);
      },
      write: (offset, chunks) => step("write", () => this.#write(path, inode, offset, Buffer.concat(chunks))),
      sync: () =>
        step("sync", () => {
          inode.durable = inode.content.slice();
          inode.unsynced = [];
        }),
      close: () => {
        closed = true;
        return Promise.resolve();
      },
    };
  }

  #write(path: string, inode: Inode, offset: number, bytes: Uint8Array): void {
    const grows = Math.max(0, offset + bytes.length - inode.content.length);
    if (grows > 0 && this.#usedBytes() + grows > this.bytesMax) throw new PlatformError("ENOSPC", path);
    inode.content = written(inode.content, offset, bytes);
    inode.unsynced.push({ offset, bytes });
  }

  /** Power loss: the same disk afterwards; every open file is dead. */
  crash(random: RandomSource): void {
    const durable = this.#durable;
    for (const change of this.#unsyncedEntries) {
      if (randomBelow(random, 2) === 0) change(durable);
    }
    for (const [directory, synced] of this.#directories) {
      if (synced || randomBelow(random, 2) === 0) continue;
      this.#directories.delete(directory);
      for (const path of durable.keys()) if (path.startsWith(`${directory}/`)) durable.delete(path);
    }
    for (const inode of new Set([...durable.values(), ...this.#entries.values()])) {
      for (const write of inode.unsynced) keepSome(inode, write, random);
      inode.content = inode.durable.slice();
      inode.unsynced = [];
    }
    this.#durable = new Map(durable);
    this.#entries = new Map(durable);
    this.#unsyncedEntries = [];
    this.kill();
  }

  /** The process ends; the operating system still has what was written, synced or not, and may lose it later. */
  kill(): void {
    this.#generation++;
    this.crashed = false;
    this.crashAt = Number.POSITIVE_INFINITY;
    this.fault = undefined;
  }

  // For tests that damage files by hand.

  names(): string[] {
    return [...this.#entries.keys()].sort();
  }

  content(path: string): Uint8Array {
    return this.#entries.get(path)!.content;
  }

  setContent(path: string, content: Uint8Array): void {
    const inode = new Inode();
    inode.content = content;
    inode.durable = content.slice();
    this.#entries.set(path, inode);
    this.#durable.set(path, inode);
  }

  delete(path: string): void {
    this.#entries.delete(path);
    this.#durable.delete(path);
  }

  /** An independent copy of what the files hold now. */
  copy(): CrashingFiles {
    const copy = new CrashingFiles();
    copy.#directories = new Map(this.#directories);
    for (const [path, inode] of this.#entries) copy.setContent(path, inode.content.slice());
    return copy;
  }
}

const parentOf = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

function written(content: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array {
  const end = offset + bytes.length;
  const target = end > content.length ? new Uint8Array(end) : content;
  if (target !== content) target.set(content);
  target.set(bytes, offset);
  return target;
}

function keepSome(inode: Inode, write: UnsyncedWrite, random: RandomSource): void {
  const mode = randomBelow(random, 3);
  if (mode === 0) return;
  let at = 0;
  while (at < write.bytes.length) {
    const position = write.offset + at;
    let end = Math.min(write.bytes.length, at + blockBytes - (position % blockBytes));
    const whole = end;
    const keep = mode === 1 || randomBelow(random, 2) === 0;
    if (keep && mode === 2 && randomBelow(random, 8) === 0) end = at + randomBelow(random, end - at);
    if (keep) inode.durable = written(inode.durable, position, write.bytes.subarray(at, end));
    at = whole;
  }
}
