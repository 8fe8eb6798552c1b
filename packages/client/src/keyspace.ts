/** What is done with keys and values: the client itself, and namespaces, which put a prefix before every key. */
import { keyBytesMax, prefixEnd, printableKey, userKey, version } from "@flotilla/base";
import type { Key, Version } from "@flotilla/base";
import type { Consistency, ScanRecord } from "@flotilla/transport";
import { BulkRunner } from "./bulk-runner.ts";
import { checkedTimeout } from "./call.ts";
import type { AbortSignalLike, CallOptions } from "./call.ts";
import type { ClientCore } from "./client-core.ts";
import { keyCoder, valueCoder } from "./codecs.ts";
import type {
  KeyCodecOption,
  KeyCoder,
  KeyIn,
  KeyOut,
  ValueCodecOption,
  ValueCoder,
  ValueIn,
  ValueOut,
} from "./codecs.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { noBytes } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { PromiseOwner, promiseOf } from "./promise-owner.ts";
import { Scan } from "./scan.ts";
import { Scanner } from "./scanner.ts";
import type { ScanPlan } from "./scanner.ts";

export interface ReadOptions extends CallOptions {
  /** `stale` reads any replica, which may lag behind. Default: `linearizable`. */
  readonly consistency?: Consistency | undefined;
}

export interface PutOptions extends CallOptions {
  /** Only if there is no record. */
  readonly ifAbsent?: boolean | undefined;
  /** Only if the record has this version. */
  readonly ifVersion?: number | undefined;
}

export interface DeleteOptions extends CallOptions {
  readonly ifVersion?: number | undefined;
}

/** `start` inclusive, `end` exclusive, both whole keys; together with `prefix` the intersection. */
export interface IntervalOptions<K> extends ReadOptions {
  readonly prefix?: K | undefined;
  readonly start?: K | undefined;
  readonly end?: K | undefined;
}

export interface ScanOptions<K> extends IntervalOptions<K> {
  readonly limit?: number | undefined;
  /** From the highest key down; `start` and `end` keep their meaning. */
  readonly reverse?: boolean | undefined;
  /** Values stay on the server; entries have `value: undefined`. */
  readonly keysOnly?: boolean | undefined;
}

export interface Entry<K, V> {
  readonly key: K;
  readonly value: V;
  readonly version: number;
}

export interface PutManyOptions<K, V> extends PutOptions {
  /** Told of every record that was not written; the others go on. Without it the first failure ends the call. */
  readonly onFailure?: ((error: FlotillaError, record: PutRecord<K, V>) => void) | undefined;
}

export type PutRecord<K, V> = readonly [K, V] | { readonly key: K; readonly value: V };

export interface CodecOptions<KC extends KeyCodecOption, VC extends ValueCodecOption> {
  readonly key?: KC;
  readonly value?: VC;
}

export class Keyspace<KC extends KeyCodecOption = undefined, VC extends ValueCodecOption = undefined> {
  protected readonly core: ClientCore;
  /** Binary string before every key, without the leading byte of logical keys. */
  readonly #prefix: string;
  readonly #keys: KeyCoder;
  readonly #values: ValueCoder;
  readonly #put = new PromiseOwner((operation) => ({ version: operation.version }));
  readonly #delete = new PromiseOwner((operation) => ({ version: operation.version, deleted: operation.existed }));
  readonly #get: PromiseOwner;
  readonly #getEntry: PromiseOwner;

  constructor(core: ClientCore, prefix: string, options: CodecOptions<KC, VC>) {
    this.core = core;
    this.#prefix = prefix;
    this.#keys = keyCoder(options.key, core.environment.bytes);
    this.#values = valueCoder(options.value, core.environment.bytes);
    this.#get = new PromiseOwner((operation) =>
      operation.version === 0 ? undefined : this.#values.decode(operation.value),
    );
    this.#getEntry = new PromiseOwner((operation) => (operation.version === 0 ? undefined : this.#entry(operation)));
  }

  /** The same cluster, keys below `prefix`, and codecs of its own. */
  namespace<NK extends KeyCodecOption = undefined, NV extends ValueCodecOption = undefined>(
    prefix: string | Uint8Array,
    options: CodecOptions<NK, NV> = {},
  ): Keyspace<NK, NV> {
    const binary = keyCoder(undefined, this.core.environment.bytes).encode(prefix);
    return new Keyspace<NK, NV>(this.core, this.#prefix + binary, options);
  }

  /** The value, or undefined when there is no record. */
  get(key: KeyIn<KC>, options?: ReadOptions): Promise<ValueOut<VC> | undefined> {
    return this.#read(this.#get, key, options);
  }

  getEntry(key: KeyIn<KC>, options?: ReadOptions): Promise<Entry<KeyOut<KC>, ValueOut<VC>> | undefined> {
    return this.#read(this.#getEntry, key, options);
  }

  /** A value given as bytes must not change before the promise settles. */
  put(key: KeyIn<KC>, value: ValueIn<VC>, options?: PutOptions): Promise<{ readonly version: number }> {
    try {
      const operation = this.#put.create();
      this.#fillPut(operation, key, value, options);
      return this.#submit(operation, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  /** `deleted`: whether there was a record. */
  delete(key: KeyIn<KC>, options?: DeleteOptions): Promise<{ readonly version: number; readonly deleted: boolean }> {
    try {
      const operation = this.#delete.create();
      operation.kind = "delete";
      operation.key = this.#logicalKey(key);
      operation.value = noBytes;
      setCondition(operation, undefined, options?.ifVersion);
      return this.#submit(operation, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #fillPut(operation: Operation, key: unknown, value: unknown, options: PutOptions | undefined): void {
    operation.kind = "put";
    operation.key = this.#logicalKey(key);
    operation.value = this.#encodeValue(value, operation.key);
    setCondition(operation, options?.ifAbsent, options?.ifVersion);
  }

  #read<T>(owner: PromiseOwner, key: unknown, options: ReadOptions | undefined): Promise<T> {
    try {
      const operation = owner.create();
      operation.lane = options?.consistency === "stale" ? "stale-read" : "read";
      operation.key = this.#logicalKey(key);
      return this.#submit<T>(operation, options);
    } catch (error) {
      return Promise.reject(error as Error);
    }
  }

  #submit<T>(operation: Operation, options: CallOptions | undefined): Promise<T> {
    if (options === undefined) {
      const promise = promiseOf<T>(operation);
      this.core.submit(operation);
      return promise;
    }
    operation.timeoutMs = checkedTimeout(options.timeoutMs);
    const { signal } = options;
    if (signal?.aborted === true) {
      const outcome = operation.lane === "write" ? "not-applied" : undefined;
      throw new FlotillaError("Cancelled", "the call was cancelled before it began", { outcome, cause: signal.reason });
    }
    const promise = promiseOf<T>(operation);
    this.core.submit(operation);
    return signal === undefined ? promise : this.#withSignal(operation, signal, promise);
  }

  #withSignal<T>(operation: Operation, signal: AbortSignalLike, promise: Promise<T>): Promise<T> {
    const onAbort = (): void => this.core.cancel(operation, signal.reason);
    const forget = (): void => signal.removeEventListener("abort", onAbort);
    signal.addEventListener("abort", onAbort);
    promise.then(forget, forget);
    return promise;
  }

  /** Values in the order of the keys, undefined where there is no record. Not one instant over all keys. */
  async getMany(keys: Iterable<KeyIn<KC>>, options: ReadOptions = {}): Promise<(ValueOut<VC> | undefined)[]> {
    const values: (ValueOut<VC> | undefined)[] = [];
    let failure: unknown;
    const runner = new BulkRunner(this.core, "getMany", options, (operation) => {
      if (operation.error !== undefined) failure ??= operation.error;
      else if (operation.version !== 0 && failure === undefined) {
        try {
          values[operation.tag as number] = this.#values.decode(operation.value) as ValueOut<VC>;
        } catch (error) {
          failure = error;
        }
      }
    });
    try {
      for (const key of keys) {
        if (!runner.hasRoom) await runner.room();
        if (failure !== undefined) break;
        const operation = runner.operation();
        operation.lane = options.consistency === "stale" ? "stale-read" : "read";
        operation.key = this.#logicalKey(key);
        operation.tag = values.length;
        values.push(undefined);
        runner.submit(operation);
      }
      await runner.drain();
    } finally {
      runner.finish();
    }
    if (failure !== undefined) throw failure as Error;
    return values;
  }

  /**
   * Writes everything the iterable yields, with a bounded number of writes on their way; no order and no atomicity between
   * them. Resolves with what was acknowledged; a failure's `details` say how many records were before it ended.
   */
  async putMany(
    records: Iterable<PutRecord<KeyIn<KC>, ValueIn<VC>>> | AsyncIterable<PutRecord<KeyIn<KC>, ValueIn<VC>>>,
    options: PutManyOptions<KeyIn<KC>, ValueIn<VC>> = {},
  ): Promise<{ readonly records: number; readonly bytes: number }> {
    const { onFailure } = options;
    let written = 0;
    let bytes = 0;
    let failure: FlotillaError | undefined;
    const failed = (error: FlotillaError, record: PutRecord<KeyIn<KC>, ValueIn<VC>>): void => {
      if (onFailure === undefined) failure ??= error;
      else onFailure(error, record);
    };
    const runner = new BulkRunner(this.core, "putMany", options, (operation) => {
      if (operation.error !== undefined) failed(operation.error, operation.tag as PutRecord<KeyIn<KC>, ValueIn<VC>>);
      else {
        written++;
        bytes += operation.key.length - 1 - this.#prefix.length + operation.value.length;
      }
    });
    const put = (record: PutRecord<KeyIn<KC>, ValueIn<VC>>): void => {
      const operation = runner.operation();
      try {
        if (isPair(record)) this.#fillPut(operation, record[0], record[1], options);
        else this.#fillPut(operation, record.key, record.value, options);
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        failed(error, record);
        return;
      }
      operation.tag = record;
      runner.submit(operation);
    };
    try {
      if (Symbol.iterator in records) {
        for (const record of records) {
          if (!runner.hasRoom && failure === undefined) await runner.room();
          if (failure !== undefined) break;
          put(record);
        }
      } else {
        for await (const record of runner.following(records)) {
          if (!runner.hasRoom && failure === undefined) await runner.room();
          if (failure !== undefined) break;
          put(record);
        }
      }
      await runner.drain();
      if (failure === undefined) runner.check();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      failure ??= error;
    } finally {
      runner.finish();
    }
    if (failure !== undefined) throw withDetails(failure, { records: written, bytes });
    return { records: written, bytes };
  }

  /** Deletes page by page what a scan finds: neither atomic nor one instant. A failure's `details` say how many went. */
  async deleteRange(options: IntervalOptions<KeyIn<KC>>): Promise<{ readonly deleted: number }> {
    if (options.prefix === undefined && options.start === undefined && options.end === undefined) {
      throw new FlotillaError("InvalidArgument", "deleteRange needs a prefix, a start or an end");
    }
    const scanner = new Scanner(
      this.core,
      this.#plan({ ...options, keysOnly: true, consistency: "linearizable" }, false),
    );
    let deleted = 0;
    let failure: FlotillaError | undefined;
    const runner = new BulkRunner(this.core, "deleteRange", options, (operation) => {
      if (operation.error !== undefined) failure ??= operation.error;
      else if (operation.existed) deleted++;
    });
    try {
      for (
        let page = await scanner.nextPage();
        page !== undefined && failure === undefined;
        page = await scanner.nextPage()
      ) {
        for (const { key } of page) {
          if (!runner.hasRoom && failure === undefined) await runner.room();
          if (failure !== undefined) break;
          const operation = runner.operation();
          operation.kind = "delete";
          operation.key = key;
          operation.value = noBytes;
          runner.submit(operation);
        }
      }
      await runner.drain();
    } catch (error) {
      if (!(error instanceof FlotillaError)) throw error;
      failure ??= error;
    } finally {
      scanner.close();
      runner.finish();
    }
    if (failure !== undefined) throw withDetails(failure, { deleted });
    return { deleted };
  }

  /** How many records there are in the interval; each range is counted at one instant. */
  async count(options: IntervalOptions<KeyIn<KC>> = {}): Promise<number> {
    const scanner = new Scanner(this.core, this.#plan(options, true));
    while ((await scanner.nextPage()) !== undefined);
    return scanner.count;
  }

  /** Records in the order of their keys' bytes. Linearizable for each range, not one instant over several. */
  scan(options: ScanOptions<KeyIn<KC>> & { readonly keysOnly: true }): Scan<Entry<KeyOut<KC>, undefined>>;
  scan(options?: ScanOptions<KeyIn<KC>>): Scan<Entry<KeyOut<KC>, ValueOut<VC>>>;
  scan(options: ScanOptions<KeyIn<KC>> = {}): Scan<Entry<KeyOut<KC>, ValueOut<VC> | undefined>> {
    const keysOnly = options.keysOnly === true;
    return new Scan(this.core, this.#plan(options, false), (record: ScanRecord) =>
      keysOnly ? { key: this.#decodeKey(record.key), value: undefined, version: record.version } : this.#entry(record),
    );
  }

  #plan(options: ScanOptions<KeyIn<KC>>, countOnly: boolean): ScanPlan {
    const {
      prefix,
      start,
      end,
      limit = 0,
      reverse = false,
      keysOnly = false,
      consistency = "linearizable",
      signal,
      timeoutMs,
    } = options;
    if (!Number.isSafeInteger(limit) || limit < 0)
      throw new FlotillaError("InvalidArgument", `limit must be an integer from 0, got ${limit}`);
    const own = this.#prefix + (prefix === undefined ? "" : this.#keys.encode(prefix));
    let low: Key = userKey(own);
    let high: Key = prefixEnd(low)!;
    if (start !== undefined) {
      const from = userKey(this.#prefix + this.#keys.encode(start));
      if (from > low) low = from;
    }
    if (end !== undefined) {
      const to = userKey(this.#prefix + this.#keys.encode(end));
      if (to < high) high = to;
    }
    return {
      start: low,
      end: high,
      reverse,
      limit,
      keysOnly: keysOnly || countOnly,
      countOnly,
      consistency,
      signal,
      timeoutMs,
    };
  }

  #entry(record: {
    readonly key: Key;
    readonly value: Uint8Array;
    readonly version: Version;
  }): Entry<KeyOut<KC>, ValueOut<VC>> {
    const value = this.#values.decode(record.value) as ValueOut<VC>;
    return { key: this.#decodeKey(record.key), value, version: record.version };
  }

  #decodeKey(key: Key): KeyOut<KC> {
    return this.#keys.decode(key.slice(1 + this.#prefix.length)) as KeyOut<KC>;
  }

  #logicalKey(key: unknown): Key {
    const binary = this.#prefix + this.#keys.encode(key);
    if (binary.length === 0) {
      throw new FlotillaError("EmptyKey", "a key must have at least one byte", { outcome: "not-applied" });
    }
    if (binary.length > keyBytesMax) {
      throw new FlotillaError(
        "KeyTooLarge",
        `the key "${printableKey(binary.slice(0, 32))}…" has ${binary.length} bytes, at most ${keyBytesMax} are allowed`,
        {
          outcome: "not-applied",
          details: { sizeBytes: binary.length, limitBytes: keyBytesMax },
        },
      );
    }
    return userKey(binary);
  }

  #encodeValue(value: unknown, key: Key): Uint8Array {
    const encoded = this.#values.encode(value);
    const { valueBytesMax } = this.core.settings;
    if (encoded.length > valueBytesMax) {
      throw new FlotillaError(
        "ValueTooLarge",
        `the value of "${printableKey(key.slice(1, 65))}" has ${encoded.length} bytes, at most ${valueBytesMax} are allowed`,
        { outcome: "not-applied", details: { sizeBytes: encoded.length, limitBytes: valueBytesMax } },
      );
    }
    return encoded;
  }
}

function isPair<K, V>(record: PutRecord<K, V>): record is readonly [K, V] {
  return Array.isArray(record);
}

function setCondition(operation: Operation, ifAbsent: boolean | undefined, ifVersion: number | undefined): void {
  if (ifAbsent === true && ifVersion !== undefined) {
    throw new FlotillaError("InvalidArgument", "ifAbsent and ifVersion exclude each other", { outcome: "not-applied" });
  }
  if (ifVersion !== undefined && (!Number.isSafeInteger(ifVersion) || ifVersion < 1)) {
    throw new FlotillaError("InvalidArgument", `ifVersion must be a version, got ${ifVersion}`, {
      outcome: "not-applied",
      hint: "for a key without a record use ifAbsent",
    });
  }
  operation.condition = ifAbsent === true ? "if-absent" : ifVersion !== undefined ? "if-version" : "none";
  operation.expected = version(ifVersion ?? 0);
}

function withDetails(error: FlotillaError, more: Readonly<Record<string, unknown>>): FlotillaError {
  const { code, message, outcome, hint, details, requestId, cause } = error;
  return new FlotillaError(code, message, { outcome, hint, details: { ...details, ...more }, requestId, cause });
}
