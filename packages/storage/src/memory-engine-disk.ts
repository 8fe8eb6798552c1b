/**
 * What outlives a `MemoryEngine`: the simulator's disk under LevelDB. It keeps a settled content and, behind it, the
 * batches written since, each in an unsettled file as LevelDB keeps its batches in `*.log` files:
 *
 *     settled content │ batches of 000001.log │ batches of 000002.log (the current one)
 *
 * A file that has reached `writeBufferBytes` is frozen and a new one begins; a frozen file settles some time later, and
 * its name is gone. `open` after a clean close finds the settled content alone, as LevelDB does when its `*.log` files are
 * deleted before it opens; after `crash` it finds any batch boundary from there on, for LevelDB may have settled more than
 * it had told.
 */
import { assert, randomBelow } from "@flotilla/base";
import type { ByteOperations, RandomSource, Scheduler } from "@flotilla/base";
import { MemoryContent } from "./memory-content.ts";
import type { MemoryOperation } from "./memory-content.ts";
import { MemoryEngine } from "./memory-engine.ts";

export interface MemoryEngineOptions {
  /** LevelDB's write buffer: a file is frozen when it holds that much. */
  readonly writeBufferBytes?: number;
  /** From freezing a file until it has settled. */
  readonly settleDelayMs?: number;
}

export interface MemoryEngineDependencies {
  readonly scheduler: Scheduler;
  readonly bytes: ByteOperations;
}

interface UnsettledFile {
  readonly name: string;
  readonly batches: (readonly MemoryOperation[])[];
  bytes: number;
  /** Called when the file has settled, or has failed to. */
  readonly waiters: (() => void)[];
}

export class MemoryEngineDisk {
  /**
   * While set, writes fail with it and files do not settle: a broken disk. As with LevelDB, `settle` still resolves.
   */
  failure: Error | undefined = undefined;

  readonly #writeBufferBytes: number;
  readonly #settleDelayMs: number;
  readonly #dependencies: MemoryEngineDependencies;
  #settled = new Map<string, MemoryOperation>();
  /** Oldest first; the last one is current, the others are frozen. Never empty while an engine is open. */
  #files: UnsettledFile[] = [];
  #fileNumber = 0;
  #engine: MemoryEngine | undefined;
  /** Rises with every open, so that a timer of a former life does nothing. */
  #life = 0;

  constructor(options: MemoryEngineOptions, dependencies: MemoryEngineDependencies) {
    this.#writeBufferBytes = options.writeBufferBytes ?? 16 * 1024 * 1024;
    this.#settleDelayMs = options.settleDelayMs ?? 5;
    this.#dependencies = dependencies;
  }

  async open(): Promise<MemoryEngine> {
    assert(this.#engine === undefined, "the memory engine's disk is already open");
    this.#life++;
    this.#files = [];
    this.#beginFile();
    const content = new MemoryContent();
    content.apply([...this.#settled.values()]);
    this.#engine = new MemoryEngine(this, content, this.#dependencies);
    return this.#engine;
  }

  /** The process dies: the open engine answers nothing any more, and the next `open` finds a prefix of what was written. */
  crash(random: RandomSource): void {
    const batches = this.#files.flatMap((file) => file.batches);
    const kept = randomBelow(random, batches.length + 1);
    for (let i = 0; i < kept; i++) this.#fold(batches[i]!);
    this.#engine?.die();
    this.detach();
  }

  /** Batches that a crash may lose. */
  get unsettledBatches(): number {
    let count = 0;
    for (const file of this.#files) count += file.batches.length;
    return count;
  }

  /** For the engine: it was closed. Whoever waits for a file goes on; it has not settled. */
  detach(): void {
    const files = this.#files;
    this.#engine = undefined;
    this.#files = [];
    this.#life++;
    for (const file of files) for (const waiter of file.waiters) waiter();
  }

  /** For the engine: a batch is written. */
  append(batch: readonly MemoryOperation[], bytes: number): void {
    if (this.failure !== undefined) throw this.failure;
    const current = this.#files.at(-1)!;
    current.batches.push(batch);
    current.bytes += bytes;
    if (current.bytes >= this.#writeBufferBytes) this.freeze(() => {});
  }

  /** For the engine: freezes the current file and calls back when it has settled, or has failed to. */
  freeze(settled: () => void): void {
    this.#files.at(-1)!.waiters.push(settled);
    this.#beginFile();
    const life = this.#life;
    this.#dependencies.scheduler.after(this.#settleDelayMs, () => {
      if (life === this.#life) this.#settleOldest();
    });
  }

  /** For the engine. */
  fileNames(): string[] {
    return this.#files.map((file) => file.name);
  }

  #beginFile(): void {
    this.#fileNumber++;
    const name = `${String(this.#fileNumber).padStart(6, "0")}.log`;
    this.#files.push({ name, batches: [], bytes: 0, waiters: [] });
  }

  /** Files settle in the order in which they were frozen; one that failed stays, and so do those behind it. */
  #settleOldest(): void {
    if (this.failure !== undefined) {
      for (const file of this.#files) for (const waiter of file.waiters.splice(0)) waiter();
      return;
    }
    assert(this.#files.length > 1, "a frozen file has a current one behind it");
    const oldest = this.#files.shift()!;
    for (const batch of oldest.batches) this.#fold(batch);
    for (const waiter of oldest.waiters) waiter();
  }

  #fold(batch: readonly MemoryOperation[]): void {
    for (const operation of batch) {
      if (operation.value === undefined) this.#settled.delete(operation.name);
      else this.#settled.set(operation.name, operation);
    }
  }
}
