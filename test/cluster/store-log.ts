/** The shared log in the directory of a store that does not run: copies of it, damaged and opened. */
import { copyFile, link, mkdir, open, readFile, readdir, rm, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { LogIndex } from "@flotilla/base";
import { NodeFiles, nodeByteOperations, nodeEnvironment, silentLogger } from "@flotilla/platform";
import { FileSharedLog } from "@flotilla/raft-log";
import { segmentsOf } from "../../packages/raft-log/test/damage.ts";
import type { FoundSegment } from "../../packages/raft-log/test/damage.ts";

const segmentPattern = /^segment-\d+$/;

export class StoreLog {
  /** Oldest first. */
  readonly segments: readonly FoundSegment[];
  readonly #directory: string;
  readonly #scratch: string;

  private constructor(segments: readonly FoundSegment[], directory: string, scratch: string) {
    this.segments = segments;
    this.#directory = directory;
    this.#scratch = scratch;
  }

  /** `directory`: of the store. `scratch`: where copies are made; it belongs to this log. */
  static async read(directory: string, scratch: string): Promise<StoreLog> {
    const contents = new Map<string, Uint8Array>();
    for (const name of await readdir(join(directory, "log"))) {
      if (segmentPattern.test(name)) contents.set(`log/${name}`, await readFile(join(directory, "log", name)));
    }
    const segments = segmentsOf({
      names: () => [...contents.keys()].sort(),
      content: (path) => contents.get(path)!,
    });
    return new StoreLog(segments, directory, scratch);
  }

  get newest(): FoundSegment {
    return this.segments.at(-1)!;
  }

  /** Opens a copy after `damage` was done to it. Rejects as the log does. */
  async openCopy<T>(damage: (copy: DamagedCopy) => Promise<void>, look: (log: FileSharedLog) => T): Promise<T> {
    await rm(this.#scratch, { recursive: true, force: true });
    await mkdir(join(this.#scratch, "log"), { recursive: true });
    // A log never writes into a segment it has recovered, so those that are not damaged need not be copied.
    for (const { path } of this.segments) await link(join(this.#directory, path), join(this.#scratch, path));
    await damage(new DamagedCopy(this.#directory, this.#scratch));
    const options = { segmentBytes: 1024 * 1024, shortSegmentBytes: 64 * 1024, preparedSegments: 0 };
    const files = new NodeFiles(this.#scratch);
    const log = await FileSharedLog.open(options, {
      ...nodeEnvironment(silentLogger),
      bytes: nodeByteOperations,
      files,
    });
    try {
      return look(log);
    } finally {
      await log.close();
    }
  }
}

export class DamagedCopy {
  readonly #original: string;
  readonly #copy: string;

  constructor(original: string, copy: string) {
    this.#original = original;
    this.#copy = copy;
  }

  async cut(path: string, at: number): Promise<void> {
    await truncate(await this.#own(path), at);
  }

  /** `place`: a byte of the file. */
  async flipBit(path: string, place: number, bit: number): Promise<void> {
    await flipBit(await this.#own(path), place, bit);
  }

  async #own(path: string): Promise<string> {
    const own = join(this.#copy, path);
    await rm(own);
    await copyFile(join(this.#original, path), own);
    return own;
  }
}

export async function flipBit(path: string, place: number, bit: number): Promise<void> {
  const file = await open(path, "r+");
  try {
    const byte = new Uint8Array(1);
    await file.read(byte, 0, 1, place);
    byte[0]! ^= 1 << bit;
    await file.write(byte, 0, 1, place);
  } finally {
    await file.close();
  }
}

/** The data of all entries of all groups, as text that can be searched. */
export function textOf(log: FileSharedLog): string {
  const parts: string[] = [];
  for (const { rangeId } of log.groups()) {
    const reader = log.reader(rangeId);
    const entries = reader.entries(reader.firstIndex(), (reader.lastIndex() + 1) as LogIndex, Number.POSITIVE_INFINITY);
    for (const { data } of entries) parts.push(Buffer.from(data).toString("latin1"));
  }
  return parts.join("\n");
}
