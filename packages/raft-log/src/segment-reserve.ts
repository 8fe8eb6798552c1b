/**
 * Files for the segments to come, zero-filled and fsynced ahead of need, so that a frame is always an overwrite of
 * blocks that exist: its fdatasync writes no metadata, and a full disk is noticed here and not in the middle
 * of a frame. When none is ready, a short one is made on the spot; so a new store starts at once.
 */
import type { ByteOperations, Files, Logger, OpenFile } from "@flotilla/base";
import { assert } from "@flotilla/base";
import { blockBytes, logDirectory, padded, preparingPath, reservePath } from "./log-format.ts";

/** Synced piece by piece: one sync over a whole segment would hold up the log's own. */
const fillBytes: number = 1024 * 1024;

export interface ReserveOptions {
  readonly segmentBytes: number;
  readonly shortSegmentBytes: number;
  readonly preparedSegments: number;
  /** The disk is full (true): no further segment can be prepared; false when one could be again. */
  readonly onSpace: (full: boolean) => void;
  /** Anything else went wrong while preparing. */
  readonly onFailure: (error: unknown) => void;
}

export interface ReserveDependencies {
  readonly files: Files;
  readonly bytes: ByteOperations;
  readonly logger: Logger;
}

/** A closed file of `fileBytes`, all of them allocated and durable, under a name of its own. */
export interface PreparedFile {
  readonly path: string;
  readonly fileBytes: number;
}

export class SegmentReserve {
  readonly #options: ReserveOptions;
  readonly #files: Files;
  readonly #bytes: ByteOperations;
  readonly #logger: Logger;
  readonly #ready: PreparedFile[] = [];
  #nextNumber = 1;
  #preparing: Promise<void> | undefined;
  #stopped = false;
  #full = false;
  #zeros: Uint8Array | undefined;

  constructor(options: ReserveOptions, dependencies: ReserveDependencies) {
    this.#options = options;
    this.#files = dependencies.files;
    this.#bytes = dependencies.bytes;
    this.#logger = dependencies.logger;
  }

  get ready(): number {
    return this.#ready.length;
  }

  /** The last attempt to prepare a segment found the disk full. */
  get full(): boolean {
    return this.#full;
  }

  /**
   * At open: keeps the reserve of the last run as far as it fits, removes the rest. A process that was killed may have left
   * a rename that is not durable, and power loss could bring back the old name: so none of these files is overwritten
   * before the directory is synced, which beginning the (short) segment of this run does.
   */
  async adopt(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const match = /^(reserve|preparing)-(\d{6,15})$/.exec(name);
      if (match === null) continue;
      const path = `${logDirectory}/${name}`;
      this.#nextNumber = Math.max(this.#nextNumber, Number(match[2]) + 1);
      const wanted = match[1] === "reserve" && this.#ready.length < this.#options.preparedSegments;
      if (wanted && (await this.#sizeOf(path)) === this.#options.segmentBytes) {
        this.#ready.push({ path, fileBytes: this.#options.segmentBytes });
      } else {
        await this.#files.remove(path);
      }
    }
  }

  async #sizeOf(path: string): Promise<number> {
    const file = await this.#files.open(path, "read");
    try {
      return await file.size();
    } finally {
      await file.close();
    }
  }

  /** Prepares in the background what is missing. */
  topUp(): void {
    if (this.#stopped || this.#preparing !== undefined || this.#ready.length >= this.#options.preparedSegments) return;
    this.#preparing = this.#prepareAll().finally(() => {
      this.#preparing = undefined;
    });
  }

  async #prepareAll(): Promise<void> {
    try {
      while (!this.#stopped && this.#ready.length < this.#options.preparedSegments) {
        const number = this.#nextNumber++;
        const made = await this.#make(preparingPath(number), this.#options.segmentBytes);
        if (!made) return;
        const path = reservePath(number);
        await this.#files.rename(preparingPath(number), path);
        await this.#files.syncDirectory(logDirectory);
        this.#ready.push({ path, fileBytes: this.#options.segmentBytes });
        this.#setFull(false);
      }
    } catch (error) {
      if (isSpaceError(error)) {
        this.#logger.warn({ error }, "no space to prepare a log segment");
        this.#setFull(true);
      } else {
        this.#options.onFailure(error);
      }
    }
  }

  /** False when stopped on the way. What a failed attempt left is removed, and gives its space back. */
  async #make(path: string, fileBytes: number): Promise<boolean> {
    let done = false;
    const file = await this.#files.open(path, "create");
    try {
      done = await this.#fill(file, fileBytes);
    } finally {
      await file.close();
      if (!done) await this.#files.remove(path);
    }
    return done;
  }

  async #fill(file: OpenFile, fileBytes: number): Promise<boolean> {
    if (this.#zeros === undefined) {
      this.#zeros = this.#bytes.allocate(Math.min(fillBytes, padded(this.#options.segmentBytes)));
      this.#zeros.fill(0);
    }
    const { length } = this.#zeros;
    for (let at = 0; at < fileBytes; at += length) {
      if (this.#stopped) return false;
      await file.write(at, [at + length <= fileBytes ? this.#zeros : this.#zeros.subarray(0, fileBytes - at)]);
      await file.sync();
    }
    return true;
  }

  /**
   * A file with room for `neededBytes`: from the reserve, or, when `short` is asked for or none is ready, a short one made
   * now. The caller renames it.
   */
  async take(neededBytes: number, short: boolean): Promise<PreparedFile> {
    assert(!this.#stopped, "the log is closed");
    const ready = this.#ready[0];
    if (!short && ready !== undefined && neededBytes <= ready.fileBytes) {
      this.#ready.shift();
      return ready;
    }
    const fileBytes = Math.max(this.#options.shortSegmentBytes, padded(neededBytes));
    const path = preparingPath(this.#nextNumber++);
    const made = await this.#make(path, fileBytes);
    assert(made, "the log was closed while a segment was made");
    return { path, fileBytes };
  }

  /** Takes over a segment that is not needed any more, closed by its owner; or removes it. Its old frames have another salt. */
  async recycle(path: string, fileBytes: number): Promise<void> {
    const wanted =
      !this.#stopped && fileBytes === this.#options.segmentBytes && this.#ready.length < this.#options.preparedSegments;
    const target = reservePath(this.#nextNumber++);
    if (wanted) await this.#files.rename(path, target);
    else await this.#files.remove(path);
    await this.#files.syncDirectory(logDirectory);
    if (!wanted) return;
    this.#ready.push({ path: target, fileBytes });
    this.#setFull(false);
  }

  /** Waits for what is under way in the background. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#preparing;
  }

  #setFull(full: boolean): void {
    if (this.#full === full) return;
    this.#full = full;
    this.#options.onSpace(full);
  }
}

export function isSpaceError(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** Smallest segment that holds a header without groups, one small frame and a closing frame. */
export const segmentBytesMin: number = 8 * blockBytes;
