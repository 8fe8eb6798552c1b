/**
 * `Files` on a simulated disk of one node. Operations take virtual time; several at once finish in any order, as those
 * of a thread pool do. A power loss leaves of what was not synced as much as `Remains` says; the end of a process
 * alone loses nothing that was written. Faults are switched on `VirtualDisk.faults` while the node runs.
 */
import { assert } from "@flotilla/base";
import type { Files, OpenFile } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { NodeTime } from "../time/node-time.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import { DirectoryNode, FileNode } from "./disk-tree.ts";
import type { DiskNode, Remains } from "./disk-tree.ts";

export interface DiskFaults {
  /** Writes and syncs take this many times as long. */
  slowness: number;
  /** Writes and syncs wait until this is false again (`VirtualDisk.release`). */
  stuck: boolean;
  /** The next so many syncs fail with EIO, and what they covered never becomes durable (pages marked clean). */
  failingSyncs: number;
  /** The next so many writes fail with EIO after half of their bytes. */
  failingWrites: number;
  /** A disk that lies: syncs succeed and make nothing durable. */
  lies: boolean;
  /** Bytes that all files together may have; a write beyond it fails with ENOSPC after what still fitted. */
  capacityBytes: number;
}

export interface DiskTiming {
  readonly writeMicrosMin: number;
  readonly writeMicrosMax: number;
  readonly syncMicrosMin: number;
  readonly syncMicrosMax: number;
}

/** A good local disk: see the figures of write + fdatasync of the machines that this is developed on. */
export const diskTimingDefault: DiskTiming = {
  writeMicrosMin: 10,
  writeMicrosMax: 60,
  syncMicrosMin: 60,
  syncMicrosMax: 600,
};

/** What the operating system reports, with its `code`. */
class DiskError extends Error {
  readonly code: string;
  constructor(code: string, operation: string, path: string) {
    super(`${code}: ${operation} '${path}'`);
    this.code = code;
  }
}

export class VirtualDisk implements Files {
  readonly faults: DiskFaults = {
    slowness: 1,
    stuck: false,
    failingSyncs: 0,
    failingWrites: 0,
    lies: false,
    capacityBytes: 1e12,
  };
  #root = new DirectoryNode();
  readonly #node: NodeTime;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #timing: DiskTiming;
  /** Writes and syncs that a stuck disk holds back. */
  #stuck: (() => void)[] = [];
  /** Writes that were asked for and have not happened: a crash may catch them half done. */
  readonly #underWay = new Set<{ readonly file: FileNode; readonly offset: number; readonly bytes: Uint8Array }>();
  /** Operations of an earlier machine life never happen. */
  #life = 1;
  #syncs = 0;

  constructor(node: NodeTime, time: VirtualTime, random: SeededRandom, timing: DiskTiming = diskTimingDefault) {
    this.#node = node;
    this.#time = time;
    this.#random = random;
    this.#timing = timing;
  }

  /** File syncs that were finished, whatever came of them. */
  get syncs(): number {
    return this.#syncs;
  }

  // Faults of the whole disk.

  /** What a stuck disk held back goes on. */
  release(): void {
    this.faults.stuck = false;
    const held = this.#stuck;
    this.#stuck = [];
    for (const run of held) run();
  }

  /** The process ended, the machine did not: what was written stays; a write under way may have been done in part. */
  processEnded(): void {
    this.#life++;
    this.#stuck = [];
    for (const { file, offset, bytes } of this.#underWay) {
      file.write(offset, bytes.subarray(0, this.#random.between(0, bytes.length)));
    }
    this.#underWay.clear();
  }

  losePower(remains: Remains): void {
    this.processEnded();
    this.#root.losePower(remains, this.#random);
  }

  /** Somebody emptied the directory while the node was down. */
  wipe(): void {
    this.#root = new DirectoryNode();
  }

  /** Flips one bit, on the platter and in the cache. False when the file is shorter than that. */
  flipBit(path: string, offset: number, bit: number): boolean {
    const file = this.#file(path, "flip");
    if (offset >= file.visible.size) return false;
    for (const content of [file.visible, file.durable]) {
      const byte = content.read(offset, 1);
      if (byte.length === 1) content.write(offset, Uint8Array.of(byte[0]! ^ (1 << bit)));
    }
    return true;
  }

  /** Paths of all files below a directory, sorted: to choose where to hurt. */
  filePaths(directory = ""): string[] {
    const paths: string[] = [];
    const visit = (node: DiskNode, path: string): void => {
      if (node instanceof FileNode) paths.push(path);
      else for (const [name, child] of node.visible) visit(child, path === "" ? name : `${path}/${name}`);
    };
    const start = this.#find(directory);
    if (start !== undefined) visit(start, parts(directory).join("/"));
    return paths.sort();
  }

  usedBytes(): number {
    let total = 0;
    const visit = (node: DiskNode): void => {
      if (node instanceof FileNode) total += node.visible.size;
      else for (const child of node.visible.values()) visit(child);
    };
    visit(this.#root);
    return total;
  }

  // Files.

  list(directory: string): Promise<string[]> {
    return this.#quick(() => {
      const node = this.#find(directory);
      if (node === undefined) return [];
      if (node instanceof FileNode) throw new DiskError("ENOTDIR", "scandir", directory);
      return [...node.visible.keys()].sort();
    });
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#quick(() => {
      let at = this.#root;
      for (const name of parts(directory)) {
        let next = at.visible.get(name);
        if (next instanceof FileNode) throw new DiskError("EEXIST", "mkdir", directory);
        if (next === undefined) {
          next = new DirectoryNode();
          at.change([[name, next]]);
        }
        at = next;
      }
    });
  }

  syncDirectory(directory: string): Promise<void> {
    const node = this.#find(directory);
    const changes = node instanceof DirectoryNode ? node.changes : 0;
    return this.#slow(this.#syncMicros(), () => {
      if (node === undefined) throw new DiskError("ENOENT", "open", directory);
      if (node instanceof FileNode) throw new DiskError("ENOTDIR", "fsync", directory);
      if (this.#takeFailure("failingSyncs")) throw new DiskError("EIO", "fsync", directory);
      if (!this.faults.lies) node.sync(changes);
    });
  }

  open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile> {
    return this.#quick(() => {
      if (mode !== "create") return new VirtualFile(this, path, this.#file(path, "open"), mode === "write");
      const { directory, name } = this.#place(path, "open");
      if (directory.visible.has(name)) throw new DiskError("EEXIST", "open", path);
      const file = new FileNode();
      directory.change([[name, file]]);
      return new VirtualFile(this, path, file, true);
    });
  }

  exists(path: string): Promise<boolean> {
    return this.#quick(() => this.#find(path) !== undefined);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#quick(() => {
      const source = this.#place(from, "rename");
      const target = this.#place(to, "rename");
      const node = source.directory.visible.get(source.name);
      if (node === undefined) throw new DiskError("ENOENT", "rename", from);
      if (source.directory === target.directory) {
        source.directory.change([
          [source.name, undefined],
          [target.name, node],
        ]);
      } else {
        target.directory.change([[target.name, node]]);
        source.directory.change([[source.name, undefined]]);
      }
    });
  }

  remove(path: string): Promise<void> {
    return this.#quick(() => {
      const { directory, name } = this.#place(path, "rm");
      if (!directory.visible.has(name)) throw new DiskError("ENOENT", "rm", path);
      directory.change([[name, undefined]]);
    });
  }

  freeBytes(): Promise<number> {
    return this.#quick(() => Math.max(0, this.faults.capacityBytes - this.usedBytes()));
  }

  // For its files.

  /** The bytes are taken at the end, and must be what they were at the beginning. */
  writeFile(path: string, file: FileNode, offset: number, chunks: readonly Uint8Array[]): Promise<void> {
    const bytes = joined(chunks);
    const before = checksum(bytes);
    const write = { file, offset, bytes };
    this.#underWay.add(write);
    const micros = this.#random.between(this.#timing.writeMicrosMin, this.#timing.writeMicrosMax);
    return this.#slow(micros, () => {
      this.#underWay.delete(write);
      assert(checksum(joined(chunks)) === before, `the chunks of a write to ${path} changed while it was under way`);
      if (this.#takeFailure("failingWrites")) {
        file.write(offset, bytes.subarray(0, bytes.length >> 1));
        throw new DiskError("EIO", "write", path);
      }
      const grows = Math.max(0, offset + bytes.length - file.visible.size);
      const missing = grows === 0 ? 0 : grows - Math.max(0, this.faults.capacityBytes - this.usedBytes());
      if (missing > 0) {
        file.write(offset, bytes.subarray(0, Math.max(0, bytes.length - missing)));
        throw new DiskError("ENOSPC", "write", path);
      }
      file.write(offset, bytes);
      this.#time.trace.fold(before);
    });
  }

  syncFile(path: string, file: FileNode): Promise<void> {
    // An fsync covers what was written before it began; what is written meanwhile may or may not be covered.
    const covered = file.writes;
    return this.#slow(this.#syncMicros(), () => {
      this.#syncs++;
      if (this.#takeFailure("failingSyncs")) {
        file.forgetUnsynced(covered);
        throw new DiskError("EIO", "fdatasync", path);
      }
      if (!this.faults.lies) file.sync(covered);
    });
  }

  quick<T>(run: () => T): Promise<T> {
    return this.#quick(run);
  }

  #syncMicros(): number {
    return this.#random.between(this.#timing.syncMicrosMin, this.#timing.syncMicrosMax);
  }

  #takeFailure(kind: "failingSyncs" | "failingWrites"): boolean {
    if (this.faults[kind] === 0) return false;
    this.faults[kind]--;
    return true;
  }

  /** Metadata: the cache answers, only the thread pool takes its time. */
  #quick<T>(run: () => T): Promise<T> {
    return this.#operate(this.#random.between(5, 40), run);
  }

  #slow<T>(micros: number, run: () => T): Promise<T> {
    return this.#operate(micros * this.faults.slowness, run, true);
  }

  /** `run` happens in the machine, paused process or not; the process hears of it when it runs. */
  #operate<T>(micros: number, run: () => T, canStick = false): Promise<T> {
    return new Promise((resolve, reject) => {
      const life = this.#life;
      const happen = (): void => {
        if (life !== this.#life) return;
        if (canStick && this.faults.stuck) {
          this.#stuck.push(happen);
          return;
        }
        try {
          const result = run();
          this.#node.deliver(0, () => resolve(result));
        } catch (error) {
          this.#node.deliver(0, () => reject(error));
        }
      };
      this.#time.after(micros, happen);
    });
  }

  #find(path: string): DiskNode | undefined {
    let at: DiskNode | undefined = this.#root;
    for (const name of parts(path)) {
      if (!(at instanceof DirectoryNode)) return undefined;
      at = at.visible.get(name);
    }
    return at;
  }

  #file(path: string, operation: string): FileNode {
    const node = this.#find(path);
    if (node === undefined) throw new DiskError("ENOENT", operation, path);
    if (node instanceof DirectoryNode) throw new DiskError("EISDIR", operation, path);
    return node;
  }

  #place(path: string, operation: string): { directory: DirectoryNode; name: string } {
    const names = parts(path);
    const name = names.pop();
    const directory = this.#find(names.join("/"));
    if (name === undefined || directory === undefined) throw new DiskError("ENOENT", operation, path);
    if (directory instanceof FileNode) throw new DiskError("ENOTDIR", operation, path);
    return { directory, name };
  }
}

class VirtualFile implements OpenFile {
  readonly path: string;
  readonly #disk: VirtualDisk;
  readonly #file: FileNode;
  readonly #writable: boolean;
  #closed = false;

  constructor(disk: VirtualDisk, path: string, file: FileNode, writable: boolean) {
    this.#disk = disk;
    this.path = path;
    this.#file = file;
    this.#writable = writable;
  }

  #check(operation: string, writes = false): void {
    if (this.#closed || (writes && !this.#writable)) throw new DiskError("EBADF", operation, this.path);
  }

  async size(): Promise<number> {
    this.#check("fstat");
    return this.#disk.quick(() => this.#file.visible.size);
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#check("read");
    return this.#disk.quick(() => this.#file.visible.read(offset, length));
  }

  readNow(offset: number, length: number): Uint8Array {
    this.#check("read");
    return this.#file.visible.read(offset, length);
  }

  async write(offset: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#check("write", true);
    await this.#disk.writeFile(this.path, this.#file, offset, chunks);
  }

  async sync(): Promise<void> {
    this.#check("fdatasync");
    await this.#disk.syncFile(this.path, this.#file);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#disk.quick(() => undefined);
  }
}

function parts(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const chunk of chunks) length += chunk.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

function checksum(bytes: Uint8Array): number {
  return nodeByteOperations.crc32(bytes, 0, bytes.length, 0);
}
