/**
 * A range's records that are not in the engine yet: committed and applied ones, and in front of them the leader's
 * pending ones, which only conditions see (rules: one synchronous step, memtable).
 *
 * One Map from key to a cell. A flush freezes it: the frozen map stays readable until its batch is written, while new
 * records go into a fresh one. Reads go active → frozen → engine.
 */
import { assert } from "@flotilla/base";
import type { Key } from "@flotilla/base";

/** Bytes that a cell costs beside its key and record; an estimate for back-pressure. */
const cellBytes = 120;
/** How much memory records may keep for each byte of their own, before a flush is worth while for that alone. */
const heldFactor = 2;

export class Cell {
  /** The newest committed record is bytes[offset, offset + length); undefined = none here. */
  bytes: Uint8Array | undefined = undefined;
  offset = 0;
  length = 0;
  /** Log index of the newest pending record; 0 = none. */
  pendingIndex = 0;
  /** Version of the newest pending record, 0 when it is a delete. Only with pendingIndex. */
  pendingVersion = 0;
}

/**
 * What a flush under way writes. Both halves share it when the range is split meanwhile, each looking only for its own
 * keys; so whoever wrote it says so here, and not to one memtable.
 */
export interface FrozenRecords {
  readonly records: ReadonlyMap<Key, Cell>;
  /** The keys, sorted when somebody asked for that. */
  sorted: Key[] | undefined;
  /** The batch is in the engine: nobody looks in here any more. */
  written: boolean;
}

/** Of two ranges that were merged while a flush of both was under way. Their keys are different ones. */
class JoinedRecords implements FrozenRecords {
  readonly records: ReadonlyMap<Key, Cell>;
  sorted: Key[] | undefined = undefined;
  readonly #parts: readonly FrozenRecords[];

  constructor(left: FrozenRecords, right: FrozenRecords) {
    this.records = new Map([...left.records, ...right.records]);
    this.#parts = [left, right];
  }

  get written(): boolean {
    return this.#parts.every(({ written }) => written);
  }
}

export class Memtable {
  /** Invariant: cells of `#active` with pendingIndex > 0 belong to entries of the current term. */
  #active: Map<Key, Cell> = new Map();
  #frozenRecords: FrozenRecords | undefined = undefined;
  #activeBytes = 0;
  #frozenBytes = 0;
  /** Bytes of the entries applied: each record keeps the memory of its whole entry. */
  #activeHeldBytes = 0;
  #frozenHeldBytes = 0;
  /** Sorted keys of #active, valid while its size is #sortedSize. */
  #sorted: Key[] | undefined = undefined;
  #sortedSize = 0;

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
    const cell = this.#active.get(key);
    if (cell !== undefined && cell.bytes !== undefined) return cell;
    return this.#frozen?.records.get(key);
  }

  /** The cell of a key that is being written: made on first write. */
  cellForWrite(key: Key): Cell {
    let cell = this.#active.get(key);
    if (cell === undefined) {
      cell = new Cell();
      this.#active.set(key, cell);
    }
    return cell;
  }

  /** What was written there is taken back. */
  forgetIfEmpty(key: Key): void {
    const cell = this.#active.get(key);
    if (cell !== undefined && cell.bytes === undefined && cell.pendingIndex === 0) {
      this.#active.delete(key);
      this.#sorted = undefined;
    }
  }

  /** The active cell, if there is one: tells of pending records. */
  activeCell(key: Key): Cell | undefined {
    return this.#active.get(key);
  }

  /** An applied entry's effect: becomes the newest committed record. */
  apply(key: Key, bytes: Uint8Array, offset: number, length: number, index: number): void {
    let cell = this.#active.get(key);
    if (cell === undefined) {
      cell = new Cell();
      this.#active.set(key, cell);
      this.#activeBytes += cellBytes + key.length;
    } else if (cell.bytes === undefined) this.#activeBytes += cellBytes + key.length;
    this.#activeBytes += length - cell.length;
    cell.bytes = bytes;
    cell.offset = offset;
    cell.length = length;
    if (cell.pendingIndex === index) cell.pendingIndex = 0;
  }

  /** The entry at `index` was rejected: what it would have written is not pending any more. */
  dropPendingOf(key: Key, index: number): void {
    const cell = this.#active.get(key);
    if (cell?.pendingIndex !== index) return;
    cell.pendingIndex = 0;
    this.forgetIfEmpty(key);
  }

  /** The term ended: nothing pending may be seen any more. */
  dropPending(): void {
    for (const [key, cell] of this.#active) {
      if (cell.bytes === undefined) this.#active.delete(key);
      else cell.pendingIndex = 0;
    }
    this.#sorted = undefined;
  }

  /** Begins a flush. What is given to the caller stays readable until the caller marks it as written. */
  freeze(): FrozenRecords {
    assert(this.#frozen === undefined, "a memtable is frozen while another flush of it is under way");
    const frozen = this.#active;
    const active = new Map<Key, Cell>();
    for (const [key, cell] of frozen) {
      if (cell.pendingIndex === 0) continue;
      const moved = new Cell();
      moved.pendingIndex = cell.pendingIndex;
      moved.pendingVersion = cell.pendingVersion;
      active.set(key, moved);
      if (cell.bytes === undefined) frozen.delete(key);
    }
    const sorted = this.#sortedSize === frozen.size ? this.#sorted : undefined;
    const frozenRecords: FrozenRecords = { records: frozen, sorted, written: false };
    this.#frozenRecords = frozenRecords;
    this.#frozenBytes = this.#activeBytes;
    this.#frozenHeldBytes = this.#activeHeldBytes;
    this.#active = active;
    this.#activeBytes = 0;
    this.#activeHeldBytes = 0;
    this.#sorted = undefined;
    return frozenRecords;
  }

  /** The state machine is replaced (range snapshot) or gone. A batch under way may still write what was frozen. */
  clear(): void {
    this.#active = new Map();
    this.#activeBytes = 0;
    this.#activeHeldBytes = 0;
    this.#sorted = undefined;
    this.#forgetFrozen();
  }

  /**
   * The range is split: records from `key` on leave for the memtable that is returned. What a flush under way is writing
   * stays readable in both until it is written. Nothing may be pending from there on.
   */
  split(key: Key): Memtable {
    const right = new Memtable();
    const before = this.#active.size;
    let movedBytes = 0;
    for (const [each, cell] of this.#active) {
      if (each < key) continue;
      assert(cell.pendingIndex === 0, () => `a record pending at ${cell.pendingIndex} in the right half of a split`);
      this.#active.delete(each);
      right.#active.set(each, cell);
      movedBytes += cellBytes + each.length + cell.length;
    }
    // Of what the records keep in memory, each half gets its share by their number.
    const movedHeldBytes = before === 0 ? 0 : Math.round((this.#activeHeldBytes * right.#active.size) / before);
    this.#activeBytes -= movedBytes;
    this.#activeHeldBytes -= movedHeldBytes;
    right.#activeBytes = movedBytes;
    right.#activeHeldBytes = movedHeldBytes;
    right.#frozenRecords = this.#frozen;
    this.#sorted = undefined;
    return right;
  }

  /** A merge: everything of `right`, whose keys are other ones, which is left empty. Nothing may be pending there. */
  absorb(right: Memtable): void {
    for (const [key, cell] of right.#active) {
      assert(cell.pendingIndex === 0, () => `a record pending at ${cell.pendingIndex} in a range that is merged away`);
      this.#active.set(key, cell);
    }
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
    if (this.#sorted === undefined || this.#sortedSize !== this.#active.size) {
      this.#sorted = [...this.#active.keys()].sort();
      this.#sortedSize = this.#active.size;
    }
    const frozenRecords = this.#frozen;
    if (frozenRecords !== undefined) frozenRecords.sorted ??= [...frozenRecords.records.keys()].sort();
    const keys: Key[] = [];
    const cells: Cell[] = [];
    const active = this.#sorted;
    const frozen = frozenRecords?.sorted ?? [];
    let a = lowerBound(active, start);
    let f = lowerBound(frozen, start);
    for (;;) {
      const activeKey = a < active.length && active[a]! < end ? active[a]! : undefined;
      const frozenKey = f < frozen.length && frozen[f]! < end ? frozen[f]! : undefined;
      const key = activeKey === undefined || (frozenKey !== undefined && frozenKey < activeKey) ? frozenKey : activeKey;
      if (key === undefined) return { keys, cells };
      if (key === frozenKey) f++;
      if (key === activeKey) a++;
      const cell = this.committed(key);
      if (cell === undefined || cell.bytes === undefined) continue;
      // A copy: the cell goes on changing while the scan reads.
      const kept = new Cell();
      kept.bytes = cell.bytes;
      kept.offset = cell.offset;
      kept.length = cell.length;
      keys.push(key);
      cells.push(kept);
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
