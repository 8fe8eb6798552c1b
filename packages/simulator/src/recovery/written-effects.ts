/** What leaders have written into their logs, key by key and split by split, and where: also what nobody has ever committed. */
import { userKeyOf } from "@flotilla/base";
import type { Key, RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Entry } from "@flotilla/raft";
import { recordKind, recordValue } from "@flotilla/storage";
import { EntryReader, decodeSplit, entryKindOf } from "@flotilla/store";

export interface EntryPlace {
  readonly rangeId: RangeId;
  readonly term: number;
  readonly index: number;
}

export interface WrittenEffect extends EntryPlace {
  readonly version: number;
  /** Undefined: the key is deleted. */
  readonly value: string | undefined;
}

const text = (bytes: Uint8Array, at: number, length: number): string =>
  nodeByteOperations.binaryString(bytes, at, at + length);

export class WrittenEffects {
  readonly #byKey = new Map<string, WrittenEffect[]>();
  /** By the range that a split makes. */
  readonly #splits = new Map<RangeId, EntryPlace[]>();
  /** Ranges, terms and indexes that are known already: every replica of a range appends the same. */
  readonly #known = new Set<string>();

  note(rangeId: RangeId, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.kind !== "normal" || entry.data.length === 0) continue;
      const kind = entryKindOf(entry.data);
      if (kind !== "commands" && kind !== "split") continue;
      const place = `${rangeId} ${entry.term} ${entry.index}`;
      if (this.#known.has(place)) continue;
      this.#known.add(place);
      if (kind === "commands") this.#read(rangeId, entry);
      else this.#noteSplit(rangeId, entry);
    }
  }

  #noteSplit(rangeId: RangeId, { term, index, data }: Entry): void {
    const { rangeId: right } = decodeSplit(data, nodeByteOperations);
    const places = this.#splits.get(right) ?? [];
    this.#splits.set(right, places);
    places.push({ rangeId, term, index });
  }

  #read(rangeId: RangeId, { term, index, data }: Entry): void {
    const reader = new EntryReader(data);
    let version = reader.firstVersion;
    for (let g = 0; g < reader.groups; g++) {
      reader.nextGroup();
      for (let c = 0; c < reader.commands; c++, version++) {
        reader.nextCommand();
        for (let e = 0; e < reader.effects; e++) {
          reader.nextEffect();
          const key = userKeyOf(text(data, reader.keyAt, reader.keyLength) as Key);
          this.#add(key, { rangeId, term, index, version, value: valueIn(reader) });
        }
      }
    }
  }

  #add(key: string, effect: WrittenEffect): void {
    const known = this.#byKey.get(key);
    if (known === undefined) this.#byKey.set(key, [effect]);
    else known.push(effect);
  }

  of(key: string): readonly WrittenEffect[] {
    return this.#byKey.get(key) ?? [];
  }

  /** Where the range was divided off another one; none: it was there from the beginning. */
  splitsThatMade(rangeId: RangeId): readonly EntryPlace[] {
    return this.#splits.get(rangeId) ?? [];
  }
}

function valueIn({ bytes, recordAt, recordLength }: EntryReader): string | undefined {
  if (recordKind(bytes, recordAt) === "delete") return undefined;
  const value = recordValue(bytes, recordAt, recordLength);
  return text(value, 0, value.length);
}
