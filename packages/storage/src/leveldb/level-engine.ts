import { ClassicLevel } from "classic-level";
import { EngineLife } from "../engine-life.ts";
import { OrderedWrites } from "../ordered-writes.ts";
import type { Engine, EngineBatch, EngineIterator, IterateOptions, ReadView } from "../engine.ts";
import type { DirectoryLock } from "./directory-lock.ts";
import { JobGate, poolThreads } from "./job-gate.ts";
import { LevelBatch, NativeBatchPool } from "./level-batch.ts";
import type { NativeBatch } from "./level-batch.ts";
import { directoryFailure, levelFailure } from "./level-failure.ts";
import { deleteLogFiles, logFiles, prepareDirectory, refuseLostCurrent, syncDirectory } from "./level-files.ts";
import { LevelReadView, asBytes, iterateLevel, snapshotOf } from "./level-reads.ts";
import type { Level } from "./level-reads.ts";

export interface LevelEngineOptions {
  /** Covers the directory: opening deletes files, which nobody else may have open. */
  readonly lock: DirectoryLock;
  /** LevelDB's memtable. Larger means fewer, larger tables; up to two are in memory. Default 16 MiB. */
  readonly writeBufferBytes?: number;
  /** Uncompressed blocks kept in memory. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Engines that share this process and its pool of threads. Default 1. */
  readonly enginesInProcess?: number;
}

const withoutSync = { sync: false } as const;

/** Above every key: a compaction from here touches no table, but flushes the memtable first. */
const aboveAllKeys: Uint8Array = new Uint8Array(64).fill(0xff);

/** `Engine` on LevelDB. One an open directory. */
export class LevelEngine implements Engine {
  readonly directory: string;
  readonly #level: Level;
  readonly #lock: DirectoryLock;
  readonly #life = new EngineLife();
  readonly #batches: NativeBatchPool;
  readonly #writes = new OrderedWrites();
  readonly #reads: JobGate;
  readonly #compactions = new OrderedWrites();
  #closing: Promise<void> | undefined;

  private constructor(directory: string, level: Level, lock: DirectoryLock, enginesInProcess: number) {
    this.directory = directory;
    this.#reads = new JobGate(poolThreads(process.env), enginesInProcess);
    this.#level = level;
    this.#lock = lock;
    this.#batches = new NativeBatchPool(() => level.batch() as unknown as NativeBatch);
  }

  /**
   * Opens as an exact prefix of the batches that were written, by deleting LevelDB's `*.log` files first. Rejects with
   * `InvalidArgument` (the directory cannot be used), `Corruption` (with the file where known) or `Internal`.
   */
  static async open(directory: string, options: LevelEngineOptions): Promise<LevelEngine> {
    const real = await prepareDirectory(directory);
    options.lock.enter(real);
    try {
      await refuseLostCurrent(real);
      await deleteLogFiles(real);
      const level: Level = new ClassicLevel<Uint8Array, Uint8Array>(real, {
        ...asBytes,
        compression: true,
        writeBufferSize: options.writeBufferBytes ?? 32 * 1024 * 1024,
        maxFileSize: 8 * 1024 * 1024,
        cacheSize: options.cacheBytes ?? 64 * 1024 * 1024,
        multithreading: true, // For a `LevelReader` on another thread.
      });
      await level.open();
      await syncDirectory(real).catch(async (error: unknown) => {
        await level.close();
        throw directoryFailure(real, error);
      });
      return new LevelEngine(real, level, options.lock, options.enginesInProcess ?? 1);
    } catch (error) {
      options.lock.leave(real);
      throw levelFailure("open the store's data", real, error);
    }
  }

  getNow(key: Uint8Array): Uint8Array | undefined {
    this.#life.check();
    try {
      return this.#level.getSync(key);
    } catch (error) {
      throw this.#readFailure(error);
    }
  }

  async getMany(keys: readonly Uint8Array[], view?: ReadView): Promise<(Uint8Array | undefined)[]> {
    this.#life.check();
    try {
      const options = view === undefined ? asBytes : { ...asBytes, snapshot: snapshotOf(view) };
      return await this.#reads.run(() => this.#level.getMany(keys as Uint8Array[], options));
    } catch (error) {
      throw this.#readFailure(error);
    }
  }

  readView(): ReadView {
    this.#life.check();
    return new LevelReadView(this.#level, this.#life, (error) => this.#readFailure(error));
  }

  iterate(options: IterateOptions): EngineIterator {
    this.#life.check();
    return iterateLevel(this.#level, options, this.#reads, this.#life, (error) => this.#readFailure(error));
  }

  batch(): EngineBatch {
    this.#life.check();
    return new LevelBatch(this.#batches, (native) => this.#write(native));
  }

  async unsettledFiles(): Promise<readonly string[]> {
    this.#life.check();
    try {
      return await logFiles(this.directory);
    } catch (error) {
      throw this.#readFailure(error);
    }
  }

  async settle(): Promise<void> {
    this.#life.check();
    // Behind the batches whose `write` was called before.
    await this.#writes.idle();
    await this.#compactRange(aboveAllKeys, aboveAllKeys);
  }

  async compact(start: Uint8Array, end: Uint8Array): Promise<void> {
    await this.#compactRange(start, end);
  }

  /** One at a time: each takes a thread of the pool. */
  async #compactRange(start: Uint8Array, end: Uint8Array): Promise<void> {
    this.#life.check();
    try {
      await this.#compactions.run(async () => {
        this.#life.check();
        await this.#level.compactRange(start, end);
      });
    } catch (error) {
      throw this.#readFailure(error);
    }
  }

  async approximateBytes(start: Uint8Array, end: Uint8Array): Promise<number> {
    this.#life.check();
    try {
      return await this.#reads.run(() => this.#level.approximateSize(start, end));
    } catch (error) {
      throw this.#readFailure(error);
    }
  }

  levelZeroFiles(): number {
    this.#life.check();
    return Number(this.#level.getProperty("leveldb.num-files-at-level0"));
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#life.close();
    await this.#writes.idle();
    try {
      await this.#level.close();
    } finally {
      this.#lock.leave(this.directory);
    }
  }

  async #write(native: NativeBatch): Promise<void> {
    this.#life.check();
    await this.#writes.run(async () => {
      try {
        await native._write(withoutSync);
      } catch (error) {
        const failure = levelFailure("write a batch", this.directory, error);
        this.#life.fail(failure);
        throw failure;
      }
    });
  }

  #readFailure(error: unknown): Error {
    return levelFailure("read", this.directory, error);
  }
}
