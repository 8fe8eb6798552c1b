/**
 * A range's records that are not in the engine yet: committed and applied ones, and in front of them the leader's
 * pending ones, which only conditions see (rules: one synchronous step, memtable).
 *
 * One table from key to where its record stands. A flush freezes it: the frozen table stays readable until its batch is
 * written, while new records go into a fresh one. Reads go active → frozen → engine.
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, Key } from "@flotilla/base";
import { PendingRecords } from "./pending-records.ts";
import { RecordTable, rowBytes } from "./record-table.ts";
import type { Cell } from "./record-table.ts";

export type { Cell } from "./record-table.ts";

/** How much memory records may keep for each byte of their own, before a flush is worth while for that alone. */
const heldFactor = 2;

/** What a flush under way writes, as reads see it. */
interface FrozenRecords {
  /** The batch is in the engine: nobody looks in here any more. */
  readonly written: boolean;
  find(key: Key): Cell | undefined;
  sortedKeys(operations: ByteOperations): readonly Key[];
}

/**
 * What a flush under way writes. Both halves share it when the range is split meanwhile, each looking only for its own
 * keys; so whoever wrote it says so here, and not to one memtable.
 */
export class FrozenTable implements FrozenRecords {
  readonly table: RecordTable;
  written = false;
  #sorted: readonly Key[] | undefined;

  /** `sorted`: its keys, when somebody has asked for them. */
  constructor(table: RecordTable, sorted: readonly Key[] | undefined) {
    this.table = table;
    this.#sorted = sorted;
  }

  find(key: Key): Cell | undefined {
    return this.table.find(key);
  }

  sortedKeys(operations: ByteOperations): readonly Key[] {
    this.#sorted ??= this.table.sortedKeys(operations);
    return this.#sorted;
  }
}

/** Of two ranges that were merged while a flush of both was under way. A key that is in both has the same record there. */
class JoinedRecords implements FrozenRecords {
  readonly #left: FrozenRecords;
  readonly #right: FrozenRecords;
  #sorted: readonly Key[] | undefined = undefined;

  constructor(left: FrozenRecords, right: FrozenRecords) {
    this.#left = left;
    this.#right = right;
  }

  get written(): boolean {
    return this.#left.written && this.#right.written;
  }

  find(key: Key): Cell | undefined {
    return this.#left.find(key) ?? this.#right.find(key);
  }

  sortedKeys(operations: ByteOperations): readonly Key[] {
    this.#sorted ??= [...new Set([...this.#left.sortedKeys(operations), ...this.#right.sortedKeys(operations)])].sort();
    return this.#sorted;
  }
}

export class Memtable {
  /** Of entries of the current term that this leader proposed. */
  readonly pending: PendingRecords = new PendingRecords();
  readonly #operations: ByteOperations;
  #active: RecordTable = new RecordTable();
  #frozenRecords: FrozenRecords | undefined = undefined;
  #activeBytes = 0;
  #frozenBytes = 0;
  /** Bytes of the entries applied: each record keeps the memory of its whole entry. */
  #activeHeldBytes = 0;
  #frozenHeldBytes = 0;
  /** As they stand in the sums over all ranges of the store (intake.ts). */
  countedBytes = 0;
  countedActiveBytes = 0;
  /** Sorted keys of #active, valid while its size is that of the list. */
  #sorted: Key[] | undefined = undefined;

  constructor(operations: ByteOperations) {
    this.#operations = operations;
  }

  get #frozen(): FrozenRecords | undefined {
    if (this.#frozenRecords?.written === true) this.#forgetFrozen();
    return this.#frozenRecords;
  }

  #forgetFrozen(): void {
    this.#frozenRecords = undefined;
    this.#frozenBytes = 0;
    this.#frozenHeldBytes = 0;
  }

  /** Committed bytes, frozen ones included, as `activeBytes` counts them. */
  get bytes(): number {
    if (this.#frozen === undefined) return this.activeBytes;
    return this.activeBytes + Math.max(this.#frozenBytes, this.#frozenHeldBytes / heldFactor);
  }

  /** What the records take; or, where most of what was applied has been overwritten, a part of what they keep in memory. */
  get activeBytes(): number {
    return Math.max(this.#activeBytes, this.#activeHeldBytes / heldFactor);
  }

  /** An entry of that size, with records in it, is applied. */
  noteEntry(bytes: number): void {
    this.#activeHeldBytes += bytes;
  }

  /** The newest committed record, or undefined: look into the engine. */
  committed(key: Key): Cell | undefined {
    return this.#active.find(key) ?? this.#frozen?.find(key);
  }

  /** An applied entry's effect becomes the newest committed record. Key and record stay where they stand in `bytes`. */
  apply(bytes: Uint8Array, keyAt: number, keyLength: number, recordAt: number, recordLength: number): void {
    const before = this.#active.put(bytes, keyAt, keyLength, recordAt, recordLength);
    this.#activeBytes += before < 0 ? rowBytes + keyLength + recordLength : recordLength - before;
  }

  /** Begins a flush. What is given to the caller stays readable until the caller marks it as written. */
  freeze(): FrozenTable {
    assert(this.#frozen === undefined, "a memtable is frozen while another flush of it is under way");
    const table = this.#active;
    const sorted = this.#sorted?.length === table.size ? this.#sorted : undefined;
    const frozenTable = new FrozenTable(table, sorted);
    this.#frozenRecords = frozenTable;
    this.#frozenBytes = this.#activeBytes;
    this.#frozenHeldBytes = this.#activeHeldBytes;
    // As many as before, or nearly, are likely to come.
    this.#begin(new RecordTable(Math.floor(table.size / 2)));
    return frozenTable;
  }

  #begin(active: RecordTable): void {
    this.#active = active;
    this.#activeBytes = 0;
    this.#activeHeldBytes = 0;
    this.#sorted = undefined;
  }

  /** The state machine is replaced (range snapshot) or gone. A batch under way may still write what was frozen. */
  clear(): void {
    this.#begin(new RecordTable());
    this.pending.clear();
    this.#forgetFrozen();
  }

  /**
   * The range is split: records from `key` on leave for the memtable that is returned. What a flush under way is writing
   * stays readable in both until it is written. Nothing may be pending from there on.
   */
  split(key: Key): Memtable {
    assert(!this.pending.anyFrom(key), "a record is pending in the right half of a split");
    const right = new Memtable(this.#operations);
    const whole = this.#active;
    const heldBytes = this.#activeHeldBytes;
    this.#begin(new RecordTable());
    for (let row = 0; row < whole.size; row++) {
      const half = whole.key(row, this.#operations) < key ? this : right;
      half.apply(
        whole.bytes(row),
        whole.keyAt(row),
        whole.keyLength(row),
        whole.recordAt(row),
        whole.recordLength(row),
      );
    }
    // Of what the records keep in memory, each half gets its share by their number.
    const movedHeldBytes = whole.size === 0 ? 0 : Math.round((heldBytes * right.#active.size) / whole.size);
    this.#activeHeldBytes = heldBytes - movedHeldBytes;
    right.#activeHeldBytes = movedHeldBytes;
    right.#frozenRecords = this.#frozen;
    return right;
  }

  /** A merge: everything of `right`, whose keys are other ones, which is left empty. Nothing may be pending there. */
  absorb(right: Memtable): void {
    assert(right.pending.entries === 0, "a record is pending in a range that is merged away");
    const table = right.#active;
    for (let row = 0; row < table.size; row++)
      this.#active.put(
        table.bytes(row),
        table.keyAt(row),
        table.keyLength(row),
        table.recordAt(row),
        table.recordLength(row),
      );
    this.#activeBytes += right.#activeBytes;
    this.#activeHeldBytes += right.#activeHeldBytes;
    const [own, taken] = [this.#frozen, right.#frozen];
    if (taken !== undefined && taken !== own) {
      this.#frozenRecords = own === undefined ? taken : new JoinedRecords(own, taken);
      this.#frozenBytes += right.#frozenBytes;
      this.#frozenHeldBytes += right.#frozenHeldBytes;
    }
    this.#sorted = undefined;
    right.clear();
  }

  /** The committed records of start ≤ key < end at this moment, in order, the newest one of each key. */
  snapshot(start: Key, end: Key): { readonly keys: Key[]; readonly cells: Cell[] } {
    if (this.#sorted?.length !== this.#active.size) this.#sorted = this.#active.sortedKeys(this.#operations);
    const keys: Key[] = [];
    const cells: Cell[] = [];
    const active = this.#sorted;
    const frozen = this.#frozen?.sortedKeys(this.#operations) ?? [];
    let a = lowerBound(active, start);
    let f = lowerBound(frozen, start);
    for (;;) {
      const activeKey = a < active.length && active[a]! < end ? active[a]! : undefined;
      const frozenKey = f < frozen.length && frozen[f]! < end ? frozen[f]! : undefined;
      const key = activeKey === undefined || (frozenKey !== undefined && frozenKey < activeKey) ? frozenKey : activeKey;
      if (key === undefined) return { keys, cells };
      if (key === frozenKey) f++;
      if (key === activeKey) a++;
      keys.push(key);
      cells.push(this.committed(key)!);
    }
  }
}

/** Index of the first key ≥ `key` in a sorted list. */
export function lowerBound(sorted: readonly Key[], key: Key): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
