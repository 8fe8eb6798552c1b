/**
 * A scan inside one range, over what the range held in one turn: a read view of the engine, and the committed
 * memtable records of the interval, which are newer. Pages are made while the client's credit lasts.
 */
import { compareKeys, noVersion } from "@flotilla/base";
import type { ByteOperations, Key } from "@flotilla/base";
import { logicalKeyOf, newestKey, recordValue, recordVersion } from "@flotilla/storage";
import type { Engine, EngineIterator, EngineRecord, ReadView } from "@flotilla/storage";
import type { ScanRecord, ScanRequest } from "@flotilla/transport";
import type { ClientConnection } from "./client-connection.ts";
import type { Cell } from "../replica/memtable.ts";
import { isDelete, recordCell } from "../replica/state-machine.ts";
import type { StateMachine } from "../replica/state-machine.ts";

const recordsPerRead = 1000;
/** Per record on the wire, beside key and value. */
const recordOverheadBytes = 20;
const nothing = new Uint8Array(0);

export class ScanCursor {
  readonly connection: ClientConnection;
  readonly request: ScanRequest;
  /** Bytes that may still be sent. */
  credit: number;
  /** When the client last gave credit, or a page was made: idle cursors are closed. */
  touchedMs: number;
  #closed = false;
  #running = false;
  #count = 0;
  readonly #machine: StateMachine;
  readonly #operations: ByteOperations;
  readonly #view: ReadView;
  readonly #iterator: EngineIterator;
  readonly #keys: Key[];
  readonly #cells: Cell[];
  #memoryAt = 0;
  #page: readonly EngineRecord[] = [];
  #pageAt = 0;
  #engineDone = false;
  readonly #pageBytes: number;
  readonly #onPage: (bytes: number) => void;
  readonly #onFailure: (error: unknown) => void;
  readonly #onClosed: (cursor: ScanCursor) => void;

  constructor(
    connection: ClientConnection,
    request: ScanRequest,
    machine: StateMachine,
    dependencies: {
      readonly engine: Engine;
      readonly operations: ByteOperations;
      readonly pageBytes: number;
      readonly nowMs: number;
      /** `bytes`: of the records that go to the client. */
      onPage(bytes: number): void;
      onFailure(error: unknown): void;
      onClosed(cursor: ScanCursor): void;
    },
  ) {
    this.connection = connection;
    this.request = request;
    this.credit = request.creditBytes;
    this.touchedMs = dependencies.nowMs;
    this.#machine = machine;
    this.#operations = dependencies.operations;
    this.#pageBytes = dependencies.pageBytes;
    this.#onFailure = (error) => dependencies.onFailure(error);
    this.#onPage = (bytes) => dependencies.onPage(bytes);
    this.#onClosed = (cursor) => dependencies.onClosed(cursor);
    const start = request.start < machine.descriptor.start ? machine.descriptor.start : request.start;
    const end = request.end > machine.descriptor.end ? machine.descriptor.end : request.end;
    this.#view = machine.readView();
    this.#iterator = dependencies.engine.iterate({
      start: newestKey(start, this.#operations),
      end: newestKey(end, this.#operations),
      reverse: request.reverse,
      view: this.#view,
    });
    const { keys, cells } = machine.memtable.snapshot(start, end);
    this.#keys = request.reverse ? keys.reverse() : keys;
    this.#cells = request.reverse ? cells.reverse() : cells;
  }

  /** A page is being made. */
  get running(): boolean {
    return this.#running;
  }

  addCredit(bytes: number, nowMs: number): void {
    this.credit += bytes;
    this.touchedMs = nowMs;
    this.run();
  }

  /** Goes on while there is credit. One run at a time. */
  run(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#run().then(
      () => {
        this.#running = false;
        if (this.#closed) this.#free();
      },
      (error: unknown) => {
        this.#running = false;
        if (this.#closed) this.#free();
        else this.close();
        this.#onFailure(error);
      },
    );
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#onClosed(this);
    if (!this.#running) this.#free();
  }

  #free(): void {
    this.#iterator
      .close()
      .then(() => this.#view.close())
      .catch((error: unknown) => this.#onFailure(error));
  }

  async #run(): Promise<void> {
    const { request } = this;
    let records: ScanRecord[] = [];
    let bytes = 0;
    while (!this.#closed && this.credit > 0) {
      if (this.connection.congested) {
        this.connection.waitWithScan(this);
        break;
      }
      if (this.#pageAt === this.#page.length && !this.#engineDone) {
        this.#page = await this.#iterator.next(recordsPerRead, this.#pageBytes);
        this.#pageAt = 0;
        this.#engineDone = this.#page.length === 0;
        if (this.#closed) return;
      }
      const last = this.#merge(
        (key, cell) => {
          this.#count++;
          if (request.countOnly) return;
          const value = request.keysOnly ? nothing : recordValue(cell.bytes, cell.offset, cell.length);
          records.push({ key, version: recordVersion(cell.bytes, cell.offset), value });
          bytes += key.length + value.length + recordOverheadBytes;
        },
        () => bytes < this.#pageBytes,
      );
      if (last || bytes >= this.#pageBytes) {
        this.#push(records, bytes, last);
        records = [];
        bytes = 0;
      }
      if (last) {
        this.close();
        return;
      }
    }
    if (records.length > 0 && !this.#closed) this.#push(records, bytes, false);
  }

  #push(records: ScanRecord[], bytes: number, last: boolean): void {
    this.credit -= bytes;
    this.#onPage(bytes);
    this.connection.push({ type: "scan-page", scanId: this.request.scanId, records, count: this.#count, last });
  }

  /** Takes records in order from both sources until the engine's page is used up; true at the end of the scan. */
  #merge(take: (key: Key, cell: Cell) => void, wantsMore: () => boolean): boolean {
    const { request } = this;
    const direction = request.reverse ? -1 : 1;
    while (wantsMore()) {
      if (request.limit > 0 && this.#count >= request.limit) return true;
      const engineRecord = this.#page[this.#pageAt];
      if (engineRecord === undefined && !this.#engineDone) return false;
      const memoryKey = this.#keys[this.#memoryAt];
      if (engineRecord === undefined && memoryKey === undefined) return true;
      const engineKey = engineRecord === undefined ? undefined : logicalKeyOf(engineRecord.key, this.#operations);
      const order =
        engineKey === undefined ? 1 : memoryKey === undefined ? -1 : compareKeys(engineKey, memoryKey) * direction;
      let cell: Cell;
      if (order < 0) {
        cell = recordCell(engineRecord!.value);
        this.#pageAt++;
        this.#machine.check(engineKey!, cell);
        take(engineKey!, cell);
        continue;
      }
      if (order === 0) this.#pageAt++;
      cell = this.#cells[this.#memoryAt++]!;
      if (!isDelete(cell)) take(memoryKey!, cell);
    }
    return request.limit > 0 && this.#count >= request.limit;
  }
}

/** For reads of a key that has no record. */
export const absent: { readonly version: typeof noVersion; readonly value: Uint8Array } = {
  version: noVersion,
  value: nothing,
};
