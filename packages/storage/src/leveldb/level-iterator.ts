import { assert } from "@flotilla/base";
import type { EngineIterator, EngineRecord } from "../engine.ts";
import type { JobGate } from "./job-gate.ts";

/** What is used of classic-level's iterators of entries, and of keys. */
export interface NativeIterator {
  /** The next entries (pairs of key and value) or keys; empty at the end. */
  nextv(size: number): Promise<readonly (readonly [Uint8Array, Uint8Array] | Uint8Array)[]>;
  close(): Promise<void>;
}

/** Records asked of LevelDB in one job of the pool; with pages of `pageBytes` the fastest form measured. */
const pageRecords = 1000;

/** LevelDB ends a page behind the record with which it passes this size. */
export const pageBytes: number = 256 * 1024;

const noBytes = new Uint8Array(0);

/** Cuts LevelDB's pages to what is asked for; the rest of a page waits for the next call. */
export class LevelIterator implements EngineIterator {
  readonly #native: NativeIterator;
  readonly #failure: (error: unknown) => Error;
  readonly #check: () => void;
  readonly #gate: JobGate;
  #page: readonly (readonly [Uint8Array, Uint8Array] | Uint8Array)[] = [];
  /** In `#page`: what is before it was given out. */
  #position = 0;
  #closed = false;
  #busy = false;

  /** `check` throws when the engine has ended. */
  constructor(native: NativeIterator, gate: JobGate, check: () => void, failure: (error: unknown) => Error) {
    this.#native = native;
    this.#gate = gate;
    this.#check = check;
    this.#failure = failure;
  }

  async next(recordsMax: number, bytesMax: number): Promise<readonly EngineRecord[]> {
    this.#check();
    assert(!this.#closed && !this.#busy, "an iterator serves one call at a time, until it is closed");
    if (this.#position === this.#page.length) {
      this.#busy = true;
      try {
        const records = Math.max(1, Math.min(recordsMax, pageRecords));
        this.#page = await this.#gate.run(() => this.#native.nextv(records));
      } catch (error) {
        throw this.#failure(error);
      } finally {
        this.#busy = false;
      }
      this.#position = 0;
    }
    return this.#cut(recordsMax, bytesMax);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#page = [];
    this.#position = 0;
    await this.#native.close();
  }

  #cut(recordsMax: number, bytesMax: number): EngineRecord[] {
    const records: EngineRecord[] = [];
    let bytes = 0;
    while (this.#position < this.#page.length) {
      const item = this.#page[this.#position++]!;
      const record = item instanceof Uint8Array ? { key: item, value: noBytes } : { key: item[0], value: item[1] };
      records.push(record);
      bytes += record.key.length + record.value.length;
      if (records.length >= recordsMax || bytes >= bytesMax) break;
    }
    return records;
  }
}
