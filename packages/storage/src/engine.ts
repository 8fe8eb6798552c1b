/**
 * The ordered engine below the versioned keys: bytes to bytes. Implementations: `LevelEngine` (`@flotilla/storage/leveldb`)
 * and `MemoryEngine`, the simulator's twin, which after a crash reopens at any batch boundary not before the last
 * checkpoint. Both run the suite in `conformance/`.
 */
export interface Engine {
  /** Blocks the thread for a few microseconds (a miss in the cache: one read). */
  getNow(key: Uint8Array): Uint8Array | undefined;
  getMany(keys: readonly Uint8Array[], view?: ReadView): Promise<(Uint8Array | undefined)[]>;
  /** What is written now, unchanged by later batches. Must be closed. */
  readView(): ReadView;
  /** Records with start ≤ key < end. Without `view` it takes one of its own at this call. Must be closed. */
  iterate(options: IterateOptions): EngineIterator;
  /** Collects synchronously; written as one atomic batch. Batches are written in the order of `write` calls by the caller's queue. */
  batch(): EngineBatch;
  /**
   * Names of the files in which the engine keeps batches that are not yet durable by its own doing. When every name
   * seen at some moment is gone, every batch written before that moment is durable (design §4, rule "checkpoint").
   */
  unsettledFiles(): Promise<readonly string[]>;
  /** Asks the engine to make everything written durable. That it resolves proves nothing; ask `unsettledFiles`. */
  settle(): Promise<void>;
  /** Drops what deletes and newer records of the interval hide. Takes as long as reading all of it; reads and writes go on. */
  compact(start: Uint8Array, end: Uint8Array): Promise<void>;
  /** Rough size on disk of an interval, bytes. */
  approximateBytes(start: Uint8Array, end: Uint8Array): Promise<number>;
  /** How far compaction is behind: LevelDB stops at 12. */
  levelZeroFiles(): number;
  close(): Promise<void>;
}

export interface ReadView {
  getNow(key: Uint8Array): Uint8Array | undefined;
  close(): Promise<void>;
}

export interface IterateOptions {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly reverse?: boolean;
  readonly keysOnly?: boolean;
  readonly view?: ReadView;
}

export interface EngineRecord {
  readonly key: Uint8Array;
  /** Empty with `keysOnly`. */
  readonly value: Uint8Array;
}

export interface EngineIterator {
  /** The next page: up to `recordsMax` records and about `bytesMax` bytes, at least one record; empty = the end. */
  next(recordsMax: number, bytesMax: number): Promise<readonly EngineRecord[]>;
  close(): Promise<void>;
}

/** Takes copies: what is given to it may change afterwards. */
export interface EngineBatch {
  put(key: Uint8Array, value: Uint8Array): void;
  delete(key: Uint8Array): void;
  readonly operations: number;
  readonly bytes: number;
  /** Atomic. Rejects when the engine failed: the node must halt. Not durable by itself. */
  write(): Promise<void>;
  /** Gives up a batch that was never written. */
  discard(): void;
}
