/**
 * Files in memory that lose on a crash what was not synced: contents without `sync`, and names without `syncDirectory`.
 * `crashAfter` operations that change something, every later one fails as if the machine were gone.
 */
import type { Files, OpenFile } from "@flotilla/base";

interface Node {
  content: Uint8Array;
  durable: Uint8Array;
}

export class PowerLoss extends Error {}

export class VolatileFiles implements Files {
  /** By path; directories are present as names only. */
  #visible: Map<string, Node>;
  #durable: Map<string, Node>;
  operations = 0;
  crashAfter: number = Number.POSITIVE_INFINITY;

  constructor(durable: Map<string, Node> = new Map()) {
    this.#durable = durable;
    this.#visible = new Map(durable);
  }

  /** What the disk holds when the machine comes back. */
  reopened(): VolatileFiles {
    const names = new Map<string, Node>();
    for (const [path, node] of this.#durable) names.set(path, { content: node.durable, durable: node.durable });
    return new VolatileFiles(names);
  }

  flipByte(path: string, offset: number): void {
    const node = this.#visible.get(path)!;
    node.content = node.content.slice();
    node.content[offset]! ^= 1;
  }

  replace(path: string, text: string): void {
    this.#visible.get(path)!.content = new TextEncoder().encode(text);
  }

  text(path: string): string {
    return new TextDecoder().decode(this.#visible.get(path)!.content);
  }

  paths(): string[] {
    return [...this.#visible.keys()].sort();
  }

  #change(): void {
    if (this.operations++ >= this.crashAfter) throw new PowerLoss("the power is gone");
  }

  async list(directory: string): Promise<string[]> {
    const prefix = directory === "." ? "" : `${directory}/`;
    const names = new Set<string>();
    for (const path of this.#visible.keys())
      if (path.startsWith(prefix)) names.add(path.slice(prefix.length).split("/")[0]!);
    return [...names].sort();
  }

  async makeDirectory(): Promise<void> {
    this.#change();
  }

  async syncDirectory(directory: string): Promise<void> {
    this.#change();
    const inside = (path: string): boolean =>
      (path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".") === directory;
    for (const path of [...this.#durable.keys()])
      if (inside(path) && !this.#visible.has(path)) this.#durable.delete(path);
    for (const [path, node] of this.#visible) if (inside(path)) this.#durable.set(path, node);
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile> {
    let node = this.#visible.get(path);
    if (mode === "create") {
      if (node !== undefined) throw new Error(`${path} exists`);
      this.#change();
      node = { content: new Uint8Array(0), durable: new Uint8Array(0) };
      this.#visible.set(path, node);
    }
    if (node === undefined) throw new Error(`${path} does not exist`);
    return this.#handle(path, node);
  }

  #handle(path: string, node: Node): OpenFile {
    return {
      path,
      size: async () => node.content.length,
      read: async (offset, length) => node.content.slice(offset, offset + length),
      readNow: (offset, length) => node.content.slice(offset, offset + length),
      write: async (offset, chunks) => {
        this.#change();
        const added = Buffer.concat(chunks as Uint8Array[]);
        const content = new Uint8Array(Math.max(node.content.length, offset + added.length));
        content.set(node.content);
        content.set(added, offset);
        node.content = content;
      },
      sync: async () => {
        this.#change();
        node.durable = node.content;
      },
      close: async () => {},
    };
  }

  async exists(path: string): Promise<boolean> {
    return this.#visible.has(path);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#change();
    this.#visible.set(to, this.#visible.get(from)!);
    this.#visible.delete(from);
  }

  async remove(path: string): Promise<void> {
    this.#change();
    this.#visible.delete(path);
  }

  async freeBytes(): Promise<number> {
    return 1e9;
  }
}
