/** What `scan` gives back: nothing happens before somebody iterates; leaving the loop frees the servers' cursors. */
import type { ScanRecord } from "@flotilla/transport";
import type { ClientCore } from "./client-core.ts";
import { Scanner } from "./scanner.ts";
import type { ScanPlan } from "./scanner.ts";

export class Scan<T> implements AsyncIterable<T> {
  readonly #core: ClientCore;
  readonly #plan: ScanPlan;
  readonly #entryOf: (record: ScanRecord) => T;

  constructor(core: ClientCore, plan: ScanPlan, entryOf: (record: ScanRecord) => T) {
    this.#core = core;
    this.#plan = plan;
    this.#entryOf = entryOf;
  }

  /** Each iteration is a scan of its own. */
  [Symbol.asyncIterator](): AsyncIterator<T, undefined, undefined> {
    return new ScanIterator(new Scanner(this.#core, this.#plan), this.#entryOf);
  }

  /** The same records in the portions in which they arrive: cheaper for bulk work. */
  async *pages(): AsyncGenerator<T[], void, undefined> {
    const scanner = new Scanner(this.#core, this.#plan);
    try {
      for (let page = await scanner.nextPage(); page !== undefined; page = await scanner.nextPage()) {
        yield page.map(this.#entryOf);
      }
    } finally {
      scanner.close();
    }
  }

  /** Everything at once; only for results that fit into memory. */
  async toArray(): Promise<T[]> {
    const all: T[] = [];
    for await (const page of this.pages()) for (const entry of page) all.push(entry);
    return all;
  }
}

const done: IteratorReturnResult<undefined> = { done: true, value: undefined };

/** Written by hand: a record that is already here costs one promise, not the three of an async generator. */
class ScanIterator<T> implements AsyncIterator<T, undefined, undefined> {
  readonly #scanner: Scanner;
  readonly #entryOf: (record: ScanRecord) => T;
  #page: readonly ScanRecord[] = [];
  #at = 0;
  #finished = false;
  /** The fetch under way; calls of `next` that overlap wait for their turn. */
  #fetching: Promise<unknown> | undefined;

  constructor(scanner: Scanner, entryOf: (record: ScanRecord) => T) {
    this.#scanner = scanner;
    this.#entryOf = entryOf;
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#fetching === undefined && this.#at < this.#page.length) return this.#take();
    const fetch = (this.#fetching ?? Promise.resolve()).then(() => this.#fetch());
    const settled = fetch.then(ignore, ignore);
    this.#fetching = settled;
    void settled.then(() => {
      if (this.#fetching === settled) this.#fetching = undefined;
    });
    return fetch;
  }

  #take(): Promise<IteratorResult<T, undefined>> {
    try {
      return Promise.resolve({ done: false, value: this.#entryOf(this.#page[this.#at++]!) });
    } catch (error) {
      this.#finish();
      return Promise.reject(error as Error);
    }
  }

  async #fetch(): Promise<IteratorResult<T, undefined>> {
    if (this.#at < this.#page.length) return this.#take();
    if (this.#finished) return done;
    const page = await this.#scanner.nextPage();
    if (page === undefined || this.#finished) {
      this.#finish();
      return done;
    }
    this.#page = page;
    this.#at = 0;
    return this.#take();
  }

  #finish(): void {
    this.#finished = true;
    this.#page = [];
    this.#at = 0;
    this.#scanner.close();
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#finish();
    return Promise.resolve(done);
  }
}

function ignore(): void {}
