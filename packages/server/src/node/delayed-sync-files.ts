/**
 * For tests and benchmarks of a disk that has become slow, and for nothing else. `FLOTILLA_TEST_SYNC_DELAY_FILE` names a file
 * that holds a number of milliseconds: so much later each sync through these files is answered, after the real one. The file
 * is read at every sync, so that the delay can change while the node runs; without a number in it there is none. It slows the
 * shared log, which every write waits for; what LevelDB syncs by itself goes on as it is.
 */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import type { Files, OpenFile } from "@flotilla/base";
import { NodeFiles } from "@flotilla/platform";

export const syncDelayVariable = "FLOTILLA_TEST_SYNC_DELAY_FILE";
const delayMsMax = 60_000;

/** The files of a data directory: the real ones, unless the environment asks for slow syncs. */
export function filesOf(dataDir: string, environment: Readonly<Record<string, string | undefined>>): Files {
  const files = new NodeFiles(dataDir);
  const path = environment[syncDelayVariable];
  if (path === undefined || path === "") return files;
  return new DelayedSyncFiles(files, () => {
    const delayMs = delayMsIn(path);
    return delayMs === 0 ? undefined : pause(delayMs);
  });
}

function delayMsIn(path: string): number {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return 0;
  }
  return /^\d{1,6}\s*$/.test(text) ? Math.min(delayMsMax, Number(text)) : 0;
}

/** What a sync waits for after it is done; `undefined`: nothing. */
type Delay = () => Promise<void> | undefined;

export class DelayedSyncFiles implements Files {
  readonly #files: Files;
  readonly #delay: Delay;

  constructor(files: Files, delay: Delay) {
    this.#files = files;
    this.#delay = delay;
  }

  list(directory: string): Promise<string[]> {
    return this.#files.list(directory);
  }

  makeDirectory(directory: string): Promise<void> {
    return this.#files.makeDirectory(directory);
  }

  syncDirectory(directory: string): Promise<void> {
    return this.#files.syncDirectory(directory);
  }

  async open(path: string, mode: "read" | "write" | "create"): Promise<OpenFile> {
    return new DelayedSyncFile(await this.#files.open(path, mode), this.#delay);
  }

  exists(path: string): Promise<boolean> {
    return this.#files.exists(path);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#files.rename(from, to);
  }

  remove(path: string): Promise<void> {
    return this.#files.remove(path);
  }

  freeBytes(): Promise<number> {
    return this.#files.freeBytes();
  }
}

class DelayedSyncFile implements OpenFile {
  readonly #file: OpenFile;
  readonly #delay: Delay;

  constructor(file: OpenFile, delay: Delay) {
    this.#file = file;
    this.#delay = delay;
  }

  get path(): string {
    return this.#file.path;
  }

  size(): Promise<number> {
    return this.#file.size();
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#file.read(offset, length);
  }

  readNow(offset: number, length: number): Uint8Array {
    return this.#file.readNow(offset, length);
  }

  write(offset: number, chunks: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(offset, chunks);
  }

  async sync(): Promise<void> {
    await this.#file.sync();
    await this.#delay();
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
