/**
 * The simulator's twin of LevelDB: the same answers, no I/O, and every asynchronous step through the injected scheduler, so
 * that one seed gives one run. Opened by `MemoryEngineDisk.open`. Byte arrays that it returns must not be changed.
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, Scheduler } from "@flotilla/base";
import { EngineLife } from "./engine-life.ts";
import type { Engine, EngineBatch, EngineIterator, EngineRecord, IterateOptions, ReadView } from "./engine.ts";
import { memoryOperation } from "./memory-content.ts";
import type { MemoryContent, MemoryOperation, MemoryView } from "./memory-content.ts";
import type { MemoryEngineDependencies, MemoryEngineDisk } from "./memory-engine-disk.ts";

const noBytes = new Uint8Array(0);

interface QueuedWrite {
  readonly operations: readonly MemoryOperation[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class MemoryEngine implements Engine {
  readonly #disk: MemoryEngineDisk;
  readonly #content: MemoryContent;
  readonly #scheduler: Scheduler;
  readonly #bytes: ByteOperations;
  readonly #life = new EngineLife();
  /** The process died: nothing resolves or rejects any more. */
  #dead = false;
  #closing = false;
  /** Written together at the end of the turn, in this order. */
  #queue: QueuedWrite[] = [];

  constructor(disk: MemoryEngineDisk, content: MemoryContent, dependencies: MemoryEngineDependencies) {
    this.#disk = disk;
    this.#content = content;
    this.#scheduler = dependencies.scheduler;
    this.#bytes = dependencies.bytes;
  }

  getNow(key: Uint8Array): Uint8Array | undefined {
    this.#life.check();
    return this.#content.get(this.#name(key), undefined);
  }

  async getMany(keys: readonly Uint8Array[], view?: ReadView): Promise<(Uint8Array | undefined)[]> {
    this.#life.check();
    const memoryView = this.#viewOf(view);
    const values = keys.map((key) => this.#content.get(this.#name(key), memoryView));
    await this.#turn();
    return values;
  }

  readView(): ReadView {
    this.#life.check();
    return new MemoryReadView(this.#content, this.#life, this.#bytes);
  }

  iterate(options: IterateOptions): EngineIterator {
    this.#life.check();
    return new MemoryIterator(options, this.#viewOf(options.view), this.#content, this.#life, this.#bytes, () =>
      this.#turn(),
    );
  }

  batch(): EngineBatch {
    this.#life.check();
    return new MemoryBatch(this.#bytes, (operations, bytes) => this.#write(operations, bytes));
  }

  async unsettledFiles(): Promise<readonly string[]> {
    this.#life.check();
    await this.#turn();
    this.#life.check();
    return this.#disk.fileNames();
  }

  async settle(): Promise<void> {
    this.#life.check();
    // Behind the batches whose `write` was called before.
    await this.#turn();
    this.#life.check();
    await new Promise<void>((resolve) => {
      this.#disk.freeze(() => {
        if (!this.#dead) resolve();
      });
    });
  }

  async compact(): Promise<void> {
    this.#life.check();
    // Nothing hidden is kept here.
    await this.#turn();
  }

  async approximateBytes(start: Uint8Array, end: Uint8Array): Promise<number> {
    this.#life.check();
    let total = 0;
    this.#content.scan(this.#name(start), this.#name(end), false, undefined, ({ key, value }) => {
      total += key.length + value!.length;
      return true;
    });
    await this.#turn();
    return total;
  }

  levelZeroFiles(): number {
    this.#life.check();
    return 0;
  }

  async close(): Promise<void> {
    if (this.#closing || this.#dead) return;
    this.#closing = true;
    // Behind the batches whose `write` was called before.
    await this.#turn();
    this.#life.close();
    this.#disk.detach();
  }

  /** For the disk: the process died. */
  die(): void {
    this.#dead = true;
    this.#queue = [];
    this.#life.close();
  }

  #write(operations: readonly MemoryOperation[], bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#life.check();
      if (this.#queue.length === 0) this.#scheduler.endOfTurn(() => this.#writeQueued());
      this.#queue.push({ operations, bytes, resolve, reject });
    });
  }

  #writeQueued(): void {
    const queue = this.#queue;
    this.#queue = [];
    for (const write of queue) {
      try {
        this.#life.check();
        this.#disk.append(write.operations, write.bytes);
        this.#content.apply(write.operations);
        write.resolve();
      } catch (error) {
        this.#life.fail(error as Error);
        write.reject(error);
      }
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#scheduler.endOfTurn(() => {
        if (!this.#dead) resolve();
      });
    });
  }

  #viewOf(view: ReadView | undefined): MemoryView | undefined {
    if (view === undefined) return undefined;
    assert(view instanceof MemoryReadView, "a read view of another engine");
    return view.memoryView();
  }

  #name(key: Uint8Array): string {
    return this.#bytes.binaryString(key, 0, key.length);
  }
}

class MemoryReadView implements ReadView {
  readonly #content: MemoryContent;
  readonly #life: EngineLife;
  readonly #bytes: ByteOperations;
  readonly #view: MemoryView;
  #closed = false;

  constructor(content: MemoryContent, life: EngineLife, bytes: ByteOperations) {
    this.#content = content;
    this.#life = life;
    this.#bytes = bytes;
    this.#view = content.openView();
  }

  getNow(key: Uint8Array): Uint8Array | undefined {
    this.#life.check();
    return this.#content.get(this.#bytes.binaryString(key, 0, key.length), this.memoryView());
  }

  memoryView(): MemoryView {
    assert(!this.#closed, "the read view is closed");
    return this.#view;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#content.closeView(this.#view);
  }
}

class MemoryIterator implements EngineIterator {
  readonly #content: MemoryContent;
  readonly #life: EngineLife;
  readonly #turn: () => Promise<void>;
  readonly #reverse: boolean;
  readonly #keysOnly: boolean;
  readonly #view: MemoryView;
  /** Its own view is closed with the iterator. */
  readonly #ownView: boolean;
  /** What is left: [start, end). */
  #start: string;
  #end: string;
  #closed = false;
  #busy = false;

  constructor(
    options: IterateOptions,
    view: MemoryView | undefined,
    content: MemoryContent,
    life: EngineLife,
    bytes: ByteOperations,
    turn: () => Promise<void>,
  ) {
    this.#content = content;
    this.#life = life;
    this.#turn = turn;
    this.#reverse = options.reverse ?? false;
    this.#keysOnly = options.keysOnly ?? false;
    this.#ownView = view === undefined;
    this.#view = view ?? content.openView();
    this.#start = bytes.binaryString(options.start, 0, options.start.length);
    this.#end = bytes.binaryString(options.end, 0, options.end.length);
  }

  async next(recordsMax: number, bytesMax: number): Promise<readonly EngineRecord[]> {
    this.#life.check();
    assert(!this.#closed && !this.#busy, "an iterator serves one call at a time, until it is closed");
    this.#busy = true;
    const page: EngineRecord[] = [];
    let pageBytes = 0;
    let last = "";
    this.#content.scan(this.#start, this.#end, this.#reverse, this.#view, (operation) => {
      const value = this.#keysOnly ? noBytes : operation.value!;
      page.push({ key: operation.key, value });
      pageBytes += operation.key.length + value.length;
      last = operation.name;
      return page.length < recordsMax && pageBytes < bytesMax;
    });
    if (page.length > 0) {
      if (this.#reverse) this.#end = last;
      else this.#start = `${last}\0`;
    }
    await this.#turn();
    this.#busy = false;
    return page;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#ownView) this.#content.closeView(this.#view);
  }
}

class MemoryBatch implements EngineBatch {
  readonly #platform: ByteOperations;
  readonly #writeTo: (operations: readonly MemoryOperation[], bytes: number) => Promise<void>;
  readonly #operations: MemoryOperation[] = [];
  #bytes = 0;
  #finished = false;

  constructor(
    platform: ByteOperations,
    write: (operations: readonly MemoryOperation[], bytes: number) => Promise<void>,
  ) {
    this.#platform = platform;
    this.#writeTo = write;
  }

  get operations(): number {
    return this.#operations.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    assert(!this.#finished, "the batch was already written or discarded");
    this.#operations.push(memoryOperation(key, value, this.#platform));
    this.#bytes += key.length + value.length;
  }

  delete(key: Uint8Array): void {
    assert(!this.#finished, "the batch was already written or discarded");
    this.#operations.push(memoryOperation(key, undefined, this.#platform));
    this.#bytes += key.length;
  }

  async write(): Promise<void> {
    assert(!this.#finished, "the batch was already written or discarded");
    this.#finished = true;
    await this.#writeTo(this.#operations, this.#bytes);
  }

  discard(): void {
    this.#finished = true;
  }
}
