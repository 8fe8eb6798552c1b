/**
 * What a leader has proposed and not applied: the keys of each entry with the versions that they will have. Only
 * conditions ask for it, so it is a list by entry; it becomes a map from key when the first condition comes (blind puts
 * cost a place in a list), and stays one as far as conditions have looked.
 */
import { assert } from "@flotilla/base";
import type { Key } from "@flotilla/base";

interface PendingEntry {
  readonly index: number;
  readonly keys: Key[];
  /** Of the record that the key will have, 0 when it will have none. */
  readonly versions: number[];
}

interface Newest {
  readonly entry: PendingEntry;
  readonly version: number;
}

export class PendingRecords {
  /** By rising index, all of the current term. */
  #entries: PendingEntry[] = [];
  /** The entry being built; undefined until something is put into it. */
  #open: PendingEntry | undefined = undefined;
  #openIndex = 0;
  /** Of all keys before the key number #keysInMap of entry number #entriesInMap, the newest one each. */
  readonly #map: Map<Key, Newest> = new Map();
  #entriesInMap = 0;
  #keysInMap = 0;

  get entries(): number {
    return this.#entries.length;
  }

  /** An entry is begun that will stand at `index`. */
  begin(index: number): void {
    this.#open = undefined;
    this.#openIndex = index;
  }

  add(key: Key, version: number): void {
    if (this.#open === undefined) {
      this.#open = { index: this.#openIndex, keys: [], versions: [] };
      this.#entries.push(this.#open);
    }
    this.#open.keys.push(key);
    this.#open.versions.push(version);
  }

  /** The entry begun last was not proposed. */
  takeBack(): void {
    if (this.#open === undefined) return;
    this.#entries.pop();
    this.#open = undefined;
    // What it stood in front of in the map is not known any more.
    if (this.#entriesInMap + this.#keysInMap > 0) this.#forgetMap();
  }

  /** The version that the key has behind all that is pending: 0 = deleted, undefined = nothing is pending. */
  find(key: Key): number | undefined {
    if (this.#entries.length === 0) return undefined;
    this.#fillMap();
    return this.#map.get(key)?.version;
  }

  /** The entry at `index` is applied, or fell: what it would write is not pending any more. */
  settle(index: number): void {
    const entry = this.#entries[0];
    if (entry === undefined || entry.index > index) return;
    assert(entry.index === index, () => `entry ${index} is applied while ${entry.index} is pending`);
    this.#entries.shift();
    if (this.#open === entry) this.#open = undefined;
    if (this.#entriesInMap === 0) {
      if (this.#keysInMap > 0) this.#forgetMap();
      return;
    }
    for (const key of entry.keys) if (this.#map.get(key)?.entry === entry) this.#map.delete(key);
    this.#entriesInMap--;
  }

  /** The term ended, or the records were replaced. */
  clear(): void {
    this.#entries = [];
    this.#open = undefined;
    this.#forgetMap();
  }

  /** Whether anything is pending from `key` on. */
  anyFrom(key: Key): boolean {
    return this.#entries.some(({ keys }) => keys.some((each) => each >= key));
  }

  #forgetMap(): void {
    this.#map.clear();
    this.#entriesInMap = 0;
    this.#keysInMap = 0;
  }

  #fillMap(): void {
    for (; this.#entriesInMap < this.#entries.length; this.#entriesInMap++) {
      const entry = this.#entries[this.#entriesInMap]!;
      const { keys, versions } = entry;
      for (let i = this.#keysInMap; i < keys.length; i++) this.#map.set(keys[i]!, { entry, version: versions[i]! });
      if (entry === this.#open) {
        // More may be put into it.
        this.#keysInMap = keys.length;
        return;
      }
      this.#keysInMap = 0;
    }
  }
}
