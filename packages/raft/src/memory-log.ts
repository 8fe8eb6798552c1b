import { assert } from "@flotilla/base";
import type { LogIndex, Term } from "@flotilla/base";
import type { Entry } from "./entry.ts";
import type { LogReader } from "./log-reader.ts";

/** A log in memory, as a host keeps one: entries behind a truncated prefix. For tests, examples and simulations. */
export class MemoryLog implements LogReader {
  /** Index and term of the entry before the first. */
  #baseIndex: number;
  #baseTerm: number;
  /** #entries[i].index === #baseIndex + 1 + i */
  #entries: Entry[];

  constructor(baseIndex = 0, baseTerm = 0, entries: readonly Entry[] = []) {
    this.#baseIndex = baseIndex;
    this.#baseTerm = baseTerm;
    this.#entries = [...entries];
  }

  copy(): MemoryLog {
    return new MemoryLog(this.#baseIndex, this.#baseTerm, this.#entries);
  }

  all(): readonly Entry[] {
    return this.#entries;
  }

  firstIndex(): LogIndex {
    return (this.#baseIndex + 1) as LogIndex;
  }

  lastIndex(): LogIndex {
    return (this.#baseIndex + this.#entries.length) as LogIndex;
  }

  term(index: LogIndex): Term | undefined {
    if (index === this.#baseIndex) return this.#baseTerm as Term;
    return this.#entries[index - this.#baseIndex - 1]?.term;
  }

  entries(low: LogIndex, high: LogIndex, bytesMax: number): Entry[] {
    assert(
      low > this.#baseIndex && high <= this.lastIndex() + 1,
      () => `entries ${low}..${high} of ${this.firstIndex()}..${this.lastIndex()}`,
    );
    const found: Entry[] = [];
    let bytes = 0;
    for (let index: number = low; index < high; index++) {
      const entry = this.#entries[index - this.#baseIndex - 1]!;
      bytes += entry.data.length;
      if (found.length > 0 && bytes > bytesMax) break;
      found.push(entry);
    }
    return found;
  }

  /** The first may overwrite: then everything from its index on is void. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(
      first.index > this.#baseIndex && first.index <= this.lastIndex() + 1,
      () => `append at ${first.index} to ${this.firstIndex()}..${this.lastIndex()}`,
    );
    this.#entries.length = first.index - this.#baseIndex - 1;
    for (const entry of entries) this.#entries.push(entry);
  }

  /** A snapshot: void up to `index`, and behind it unless the log holds that very entry. */
  install(index: LogIndex, term: Term): void {
    this.#entries = this.term(index) === term ? this.#entries.slice(index - this.#baseIndex) : [];
    this.#baseIndex = index;
    this.#baseTerm = term;
  }

  truncateTo(index: LogIndex): void {
    const term = this.term(index);
    assert(term !== undefined, () => `cannot truncate ${this.firstIndex()}..${this.lastIndex()} to ${index}`);
    this.#entries = this.#entries.slice(index - this.#baseIndex);
    this.#baseIndex = index;
    this.#baseTerm = term;
  }
}
