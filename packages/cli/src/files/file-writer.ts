/**
 * Writes files below a directory and nowhere else: no component of a path is a symbolic link, and a file is written under
 * a name of its own and renamed, so that neither links nor half-written files are ever written through or left behind.
 */
import { constants, lstat, mkdir, open, rename, rm } from "node:fs/promises";
import type { Stats } from "node:fs";
import { Failure } from "@flotilla/base";
import { segmentsOf } from "./export-path.ts";
import { joinPath } from "./walk-directory.ts";

const knownDirectoriesMax = 20_000;

export class FileWriter {
  readonly #root: Buffer;
  /** Directories that were looked at and are real ones; latin1 paths. */
  readonly #known = new Set<string>();
  #temporary = 0;

  constructor(root: Buffer) {
    this.#root = root;
  }

  /** Makes the root. Throws `InvalidArgument` when it cannot be a directory. */
  async prepare(): Promise<void> {
    try {
      await mkdir(this.#root, { recursive: true });
    } catch (error) {
      throw new Failure("InvalidArgument", `cannot make the directory ${this.#root.toString()}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }

  /** `path` has passed `unsafePath`. Throws `Refused` when something of another kind is in its place. */
  async write(path: Buffer, content: Uint8Array): Promise<void> {
    const segments = segmentsOf(path);
    const directory = path.subarray(0, Math.max(0, path.length - segments.at(-1)!.length - 1));
    await this.#ensureDirectory(directory);
    const target = joinPath(this.#root, path);
    const found = await statusOf(target);
    if (found !== undefined && !found.isFile())
      throw new Failure(
        "Refused",
        found.isDirectory() ? "there is a directory of this name" : "there is a link or device of this name",
      );
    const temporary = joinPath(
      joinPath(this.#root, directory),
      Buffer.from(`.flotilla-${process.pid}-${this.#temporary++}`),
    );
    const handle = await open(
      temporary,
      constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
      0o644,
    );
    try {
      await handle.writeFile(content);
      await handle.close();
      await rename(temporary, target);
    } catch (error) {
      await handle.close().catch(() => {});
      await rm(temporary, { force: true });
      throw error;
    }
  }

  async #ensureDirectory(directory: Buffer): Promise<void> {
    if (directory.length === 0 || this.#known.has(directory.toString("latin1"))) return;
    let end = 0;
    for (const segment of segmentsOf(directory)) {
      end += segment.length + (end === 0 ? 0 : 1);
      await this.#ensureOne(Buffer.from(directory.subarray(0, end)));
    }
  }

  async #ensureOne(directory: Buffer): Promise<void> {
    const name = directory.toString("latin1");
    if (this.#known.has(name)) return;
    const path = joinPath(this.#root, directory);
    try {
      await mkdir(path);
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
      const found = await statusOf(path);
      if (found?.isDirectory() !== true)
        throw new Failure(
          "Refused",
          `"${directory.toString()}" is needed as a directory, and is ${found?.isFile() === true ? "a file" : "a link or device"}`,
        );
    }
    if (this.#known.size >= knownDirectoriesMax) this.#known.clear();
    this.#known.add(name);
  }
}

async function statusOf(path: Buffer): Promise<Stats | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
