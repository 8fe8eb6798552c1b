/**
 * Keys that divide a range into parts of about the same size. The range's records are walked once, page by page, engine
 * and memtable together, and every so many bytes a key is noted; the distance doubles whenever too many are noted, so the
 * work for one turn and the memory are bounded whatever the size. Rejected: the engine's own estimate of sizes by
 * interval, which knows nothing of what is in memory, and is off by whole blocks for small ranges.
 */
import type { Key } from "@flotilla/base";
import { prefixEnd } from "@flotilla/base";
import { logicalKeyOf, newestKey } from "@flotilla/storage";
import type { StateMachine } from "../replica/state-machine.ts";

const recordsPerPage = 1000;
const pageBytes = 256 * 1024;
const notesMax = 8192;

export interface SplitKeys {
  /** Rising, all inside the range; fewer than wanted where keys are few. */
  readonly keys: readonly Key[];
  /** Why there is none; empty otherwise. */
  readonly reason: string;
}

/** Notes of where bytes lie: a key, and how many bytes are in front of it. */
class SizeNotes {
  total = 0;
  #distance = 1024;
  #lastAt = 0;
  /** The last key of all. */
  #last: Key | undefined = undefined;
  #notes: { readonly key: Key; readonly before: number }[] = [];

  add(key: Key, bytes: number): void {
    // The first record lies at the range's start: nothing can be split in front of it.
    if (this.total > 0 && (this.#notes.length === 0 || this.total - this.#lastAt >= this.#distance)) {
      this.#notes.push({ key, before: this.total });
      this.#lastAt = this.total;
      if (this.#notes.length > notesMax) this.#thinOut();
    }
    this.total += bytes;
    this.#last = key;
  }

  #thinOut(): void {
    this.#distance *= 2;
    this.#notes = this.#notes.filter((_, i) => i % 2 === 0);
  }

  /** How many bytes are in front of `key`, as far as notes tell. */
  before(key: Key): number {
    if (this.#last === undefined || key > this.#last) return this.total;
    const last = this.#notes.findLast((note) => note.key <= key);
    return last === undefined ? 0 : key === last.key ? last.before : Math.min(last.before + this.#distance, this.total);
  }

  /** The noted key nearest to where `bytes` are in front. */
  nearest(bytes: number): Key | undefined {
    let best: { readonly key: Key; readonly before: number } | undefined;
    for (const note of this.#notes) {
      if (best === undefined || Math.abs(note.before - bytes) < Math.abs(best.before - bytes)) best = note;
    }
    return best?.key;
  }
}

/** `prefixes`: keys that begin with one of them stay in one range. `alive`: false ends the search, with undefined. */
export async function findSplitKeys(
  machine: StateMachine,
  parts: number,
  prefixes: readonly Key[],
  alive: () => boolean,
): Promise<SplitKeys | undefined> {
  const { start, end } = machine.descriptor;
  const notes = await measure(machine, start, end, alive);
  if (notes === undefined) return undefined;
  const keys = new Set<Key>();
  let inPrefix = 0;
  for (let part = 1; part < parts; part++) {
    const wanted = notes.nearest((notes.total * part) / parts);
    if (wanted === undefined) continue;
    const edges = outsidePrefixes(wanted, prefixes, start, end).filter((key) => divides(notes, key));
    const key = edges.sort((a, b) => distance(notes, a, wanted) - distance(notes, b, wanted))[0];
    if (key === undefined) inPrefix++;
    else keys.add(key);
  }
  if (keys.size > 0) return { keys: [...keys].sort(), reason: "" };
  const reason =
    inPrefix > 0 ? "its keys are kept together by their prefix" : "it has fewer than two keys that could be apart";
  return { keys: [], reason: `no useful key: ${reason}` };
}

const divides = (notes: SizeNotes, key: Key): boolean => notes.before(key) > 0 && notes.before(key) < notes.total;
const distance = (notes: SizeNotes, key: Key, wanted: Key): number =>
  Math.abs(notes.before(key) - notes.before(wanted));

async function measure(
  machine: StateMachine,
  start: Key,
  end: Key,
  alive: () => boolean,
): Promise<SizeNotes | undefined> {
  const { engine, operations } = machine;
  const memory = machine.memtable.snapshot(start, end);
  const iterator = engine.iterate({ start: newestKey(start, operations), end: newestKey(end, operations) });
  const notes = new SizeNotes();
  let at = 0;
  const takeMemory = (until: Key | undefined): void => {
    while (at < memory.keys.length && (until === undefined || memory.keys[at]! <= until)) {
      notes.add(memory.keys[at]!, memory.keys[at]!.length + memory.cells[at]!.length);
      at++;
    }
  };
  try {
    for (;;) {
      const page = await iterator.next(recordsPerPage, pageBytes);
      if (!alive()) return undefined;
      if (page.length === 0) break;
      for (const { key, value } of page) {
        const logical = logicalKeyOf(key, operations);
        const before = memory.keys[at - 1];
        takeMemory(logical);
        // The memtable's record stands for the engine's.
        const replaced = memory.keys[at - 1] === logical && before !== logical;
        if (!replaced) notes.add(logical, key.length + value.length);
      }
    }
    takeMemory(undefined);
    return notes;
  } finally {
    await iterator.close();
  }
}

/** The key itself, or the edges of the outermost prefix that it is in, as far as they lie inside the range. */
export function outsidePrefixes(key: Key, prefixes: readonly Key[], start: Key, end: Key): Key[] {
  const around = prefixes.filter((each) => key.startsWith(each) && key !== each);
  const outermost = around.sort((a, b) => a.length - b.length)[0];
  const edges = outermost === undefined ? [key] : [outermost, prefixEnd(outermost) ?? end];
  return edges.filter((edge) => edge > start && edge < end);
}
