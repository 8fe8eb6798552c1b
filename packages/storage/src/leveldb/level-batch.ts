/**
 * Batches for LevelDB, with memory that is used again.
 *
 * A chained batch costs one call into the library an operation and is the cheapest public form (0.24 µs an operation on the
 * JavaScript thread, an array of operations 0.85 µs). But classic-level frees its memory only when the garbage collector
 * finds it, and does not tell the collector how large it is: 200 batches of 7 MB, one after the other, with a new key for
 * each operation, held 1.4 GB. So a written batch is cleared and filled again. The public methods close a batch with its
 * `write`; this calls those that `abstract-level` documents for implementations (`_put`, `_del`, `_clear`, `_write`),
 * which also leaves out a copy of options for each operation: 0.15 µs. The version of classic-level is pinned.
 */
import { assert } from "@flotilla/base";
import type { EngineBatch } from "../engine.ts";

/** What is used of a chained batch of classic-level 3.0.0. */
export interface NativeBatch {
  _put(key: Uint8Array, value: Uint8Array, options: object): void;
  _del(key: Uint8Array, options: object): void;
  _clear(): void;
  _write(options: object): Promise<void>;
}

const noOptions = {};

/** A cleared batch keeps its memory; what grew beyond this is left to the garbage collector. */
const keptBytesMax: number = 16 * 1024 * 1024;

/** While one batch is being written the next is filled. */
const spareMax = 2;

export class NativeBatchPool {
  readonly #make: () => NativeBatch;
  readonly #spare: NativeBatch[] = [];

  constructor(make: () => NativeBatch) {
    this.#make = make;
  }

  take(): NativeBatch {
    return this.#spare.pop() ?? this.#make();
  }

  /** Nothing writes it any more; `bytes` is about what it held. */
  give(batch: NativeBatch, bytes: number): void {
    batch._clear();
    if (bytes <= keptBytesMax && this.#spare.length < spareMax) this.#spare.push(batch);
  }
}

export class LevelBatch implements EngineBatch {
  readonly #pool: NativeBatchPool;
  readonly #writeTo: (batch: NativeBatch) => Promise<void>;
  /** Undefined once written or discarded. */
  #native: NativeBatch | undefined;
  #operations = 0;
  #bytes = 0;

  constructor(pool: NativeBatchPool, write: (batch: NativeBatch) => Promise<void>) {
    this.#pool = pool;
    this.#native = pool.take();
    this.#writeTo = write;
  }

  get operations(): number {
    return this.#operations;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#filling()._put(key, value, noOptions);
    this.#operations++;
    this.#bytes += key.length + value.length;
  }

  delete(key: Uint8Array): void {
    this.#filling()._del(key, noOptions);
    this.#operations++;
    this.#bytes += key.length;
  }

  async write(): Promise<void> {
    const native = this.#filling();
    this.#native = undefined;
    await this.#writeTo(native);
    // After a failure the memory is not used again: the engine is at its end.
    this.#pool.give(native, this.#bytes);
  }

  discard(): void {
    const native = this.#native;
    if (native === undefined) return;
    this.#native = undefined;
    this.#pool.give(native, this.#bytes);
  }

  #filling(): NativeBatch {
    assert(this.#native !== undefined, "the batch was already written or discarded");
    return this.#native;
  }
}
