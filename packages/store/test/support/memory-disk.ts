/** `Files` in memory, which a power loss takes back to exactly what was synced, directory entries included. */
import type { Files, OpenFile } from "@flotilla/base";
import type { VirtualProcess } from "./virtual-world.ts";

const quickMs = 0.02;
const syncMs = 0.2;

class FileNode {
  visible = new Uint8Array(0);
  durable = new Uint8Array(0);
}

class DirectoryNode {
  visible = new Map<string, Node>();
  durable = new Map<string, Node>();
}

type Node = FileNode | DirectoryNode;

export class DiskError extends Error {
  readonly code: string;

  constructor(code: string, path: string) {
    super(`${code}: ${path}`);
    this.code = code;
  }
}

export class MemoryDisk implements Files {
  /** What `freeBytes` says. */
  free = 1e12;
  /** The next so many syncs of files fail with EIO. */
  failingSyncs = 0;
  /** Thrown by writes to paths that it names. */
  writeError: ((path: string) => Error | undefined) | undefined = undefined;
  /** Syncs of files wait until `release`. */
  stuck = false;
  /** Writes, too. */
  stuckWrites = false;
  /** Files opened and not closed. */
  openFiles = 0;
  #held: (() => void)[] = [];
  readonly #root = new DirectoryNode();
  readonly #process: VirtualProcess;

  constructor(process: VirtualProcess) {
    this.#process = process;
  }

  release(): void {
    this.stuck = false;
    this.stuckWrites = false;
    const held = this.#held;
    this.#held = [];
    for (const run of held) run();
  }

  losePower(): void {
    const visit = (directory: DirectoryNode): void => {
      directory.visible = new Map(directory.durable);
      for (const node of directory.visible.values()) {
        if (node instanceof DirectoryNode) visit(node);
        else node.visible = node.durable.slice();
      }
    };
    visit(this.#root);
    this.processEnded();
  }

  processEnded(): void {
    this.#held = [];
    this.openFiles = 0;
  }

  names(directory: string): string[] {
    const node = this.#find(directory);
    return node instanceof DirectoryNode ? [...node.visible.keys()].sort() : [];
  }

  /** Flips a bit of what is written and of what is durable. */
  flipBit(path: string, offset: number): void {
    const node = this.#file(path);
    for (const bytes of [node.visible, node.durable]) if (offset < bytes.length) bytes[offset] = bytes[offset]! ^ 1;
  }

  size(path: string): number {
    return this.#file(path).visible.length;
  }

  async list(directory: string): Promise<string[]> {
    await this.wait(quickMs);
    return this.names(directory);
  }

  async makeDirectory(directory: string): Promise<void> {
    await this.wait(quickMs);
    let at = this.#root;
    for (const name of parts(directory)) {
      let next = at.visible.get(name);
      if (next instanceof FileNode) throw new DiskError("EEXIST", directory);
      if (next === undefined) {
        next = new DirectoryNode();
        at.visible.set(name, next);
      }
      at = next;
    }
  }

  async syncDirectory(directory: string): Promise<void> {
    await this.wait(syncMs);
    const node = this.#find(directory);
    if (!(node instanceof DirectoryNode)) throw new DiskError("ENOENT", directory);
    node.durable = new Map(node.visible);
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile> {
    await this.wait(quickMs);
    if (mode === "create") {
      const { directory, name } = this.#place(path);
      if (directory.visible.has(name)) throw new DiskError("EEXIST", path);
      directory.visible.set(name, new FileNode());
    }
    this.openFiles++;
    return new MemoryFile(this, path, this.#file(path));
  }

  async exists(path: string): Promise<boolean> {
    await this.wait(quickMs);
    return this.#find(path) !== undefined;
  }

  async rename(from: string, to: string): Promise<void> {
    await this.wait(quickMs);
    const source = this.#place(from);
    const target = this.#place(to);
    const node = source.directory.visible.get(source.name);
    if (node === undefined) throw new DiskError("ENOENT", from);
    source.directory.visible.delete(source.name);
    target.directory.visible.set(target.name, node);
  }

  async remove(path: string): Promise<void> {
    await this.wait(quickMs);
    const { directory, name } = this.#place(path);
    if (!directory.visible.delete(name)) throw new DiskError("ENOENT", path);
  }

  async freeBytes(): Promise<number> {
    await this.wait(quickMs);
    return this.free;
  }

  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.#process.deliver(ms, resolve));
  }

  /** Until the disk moves again. */
  hold(): Promise<void> {
    return new Promise((resolve) => this.#held.push(() => this.#process.deliver(0, resolve)));
  }

  async sync(path: string, node: FileNode): Promise<void> {
    await this.wait(syncMs);
    if (this.stuck) await this.hold();
    if (this.failingSyncs > 0) {
      this.failingSyncs--;
      throw new DiskError("EIO", path);
    }
    node.durable = node.visible.slice();
  }

  #find(path: string): Node | undefined {
    let at: Node | undefined = this.#root;
    for (const name of parts(path)) at = at instanceof DirectoryNode ? at.visible.get(name) : undefined;
    return at;
  }

  #file(path: string): FileNode {
    const node = this.#find(path);
    if (!(node instanceof FileNode)) throw new DiskError("ENOENT", path);
    return node;
  }

  #place(path: string): { directory: DirectoryNode; name: string } {
    const names = parts(path);
    const name = names.pop()!;
    const directory = this.#find(names.join("/"));
    if (!(directory instanceof DirectoryNode)) throw new DiskError("ENOENT", path);
    return { directory, name };
  }
}

class MemoryFile implements OpenFile {
  readonly path: string;
  readonly #disk: MemoryDisk;
  readonly #node: FileNode;
  #closed = false;

  constructor(disk: MemoryDisk, path: string, node: FileNode) {
    this.#disk = disk;
    this.path = path;
    this.#node = node;
  }

  #check(): void {
    if (this.#closed) throw new DiskError("EBADF", this.path);
  }

  async size(): Promise<number> {
    this.#check();
    return this.#node.visible.length;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#check();
    await this.#disk.wait(quickMs);
    this.#check();
    return this.readNow(offset, length);
  }

  readNow(offset: number, length: number): Uint8Array {
    this.#check();
    return this.#node.visible.slice(offset, offset + length);
  }

  async write(offset: number, chunks: readonly Uint8Array[]): Promise<void> {
    this.#check();
    await this.#disk.wait(quickMs);
    if (this.#disk.stuckWrites) await this.#disk.hold();
    this.#check();
    const error = this.#disk.writeError?.(this.path);
    if (error !== undefined) throw error;
    const end = chunks.reduce((sum, chunk) => sum + chunk.length, offset);
    if (end > this.#node.visible.length) {
      const larger = new Uint8Array(end);
      larger.set(this.#node.visible);
      this.#node.visible = larger;
    }
    let at = offset;
    for (const chunk of chunks) {
      this.#node.visible.set(chunk, at);
      at += chunk.length;
    }
  }

  async sync(): Promise<void> {
    this.#check();
    await this.#disk.sync(this.path, this.#node);
    this.#check();
  }

  async close(): Promise<void> {
    this.#check();
    this.#closed = true;
    this.#disk.openFiles--;
    await this.#disk.wait(quickMs);
  }
}

const parts = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");
