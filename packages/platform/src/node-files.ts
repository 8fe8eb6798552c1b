/** `Files` on a real directory. Errors of the platform pass through with their `code`. */
import { mkdir, open, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { fdatasync, fsync, readSync, write, writev } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Files, OpenFile } from "@flotilla/base";

export class NodeFiles implements Files {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  async list(directory: string): Promise<string[]> {
    try {
      return (await readdir(join(this.#root, directory))).sort();
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  }

  async makeDirectory(directory: string): Promise<void> {
    await mkdir(join(this.#root, directory), { recursive: true });
  }

  async syncDirectory(directory: string): Promise<void> {
    const handle = await open(join(this.#root, directory), "r");
    try {
      await new Promise<void>((resolve, reject) => {
        fsync(handle.fd, (error) => (error ? reject(error) : resolve()));
      });
    } finally {
      await handle.close();
    }
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile> {
    const flags = mode === "read" ? "r" : mode === "write" ? "r+" : "wx+";
    return new NodeFile(path, await open(join(this.#root, path), flags, 0o600));
  }

  async exists(path: string): Promise<boolean> {
    try {
      await stat(join(this.#root, path));
      return true;
    } catch (error) {
      if (isMissing(error)) return false;
      throw error;
    }
  }

  async rename(from: string, to: string): Promise<void> {
    await rename(join(this.#root, from), join(this.#root, to));
  }

  async remove(path: string): Promise<void> {
    await rm(join(this.#root, path), { recursive: true });
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.#root);
    return bavail * bsize;
  }
}

class NodeFile implements OpenFile {
  readonly path: string;
  readonly #handle: FileHandle;

  constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  async size(): Promise<number> {
    return (await this.#handle.stat()).size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const target = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await this.#handle.read(target, filled, length - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return target.subarray(0, filled);
  }

  readNow(offset: number, length: number): Uint8Array {
    const target = Buffer.allocUnsafeSlow(length);
    let filled = 0;
    while (filled < length) {
      const read = readSync(this.#handle.fd, target, filled, length - filled, offset + filled);
      if (read === 0) break;
      filled += read;
    }
    return target.subarray(0, filled);
  }

  async write(offset: number, chunks: readonly Uint8Array[]): Promise<void> {
    let total = 0;
    for (const chunk of chunks) total += chunk.length;
    let written = await this.#writeOnce(offset, chunks);
    if (written === total) return;
    // A short write: what is left goes out as one piece, again until it is through or the platform reports an error.
    const rest = Buffer.concat(chunks, total);
    while (written < total) {
      const more = await this.#writeOnce(offset + written, [rest.subarray(written)]);
      if (more === 0) throw new Error(`write of ${total} bytes to ${this.path} stopped after ${written}`);
      written += more;
    }
  }

  #writeOnce(offset: number, chunks: readonly Uint8Array[]): Promise<number> {
    return new Promise((resolve, reject) => {
      const done = (error: NodeJS.ErrnoException | null, written: number): void => {
        if (error) reject(error);
        else resolve(written);
      };
      if (chunks.length === 1) write(this.#handle.fd, chunks[0]!, 0, chunks[0]!.length, offset, done);
      else writev(this.#handle.fd, chunks as Uint8Array[], offset, done);
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fdatasync(this.#handle.fd, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
