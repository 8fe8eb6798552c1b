/**
 * Where the entries of one group are, as columns of numbers: 24 bytes an entry and no object, for a group may
 * have a million. A deque: new entries at the end, freed ones leave at the front, a conflict cuts the end.
 */
import { assert } from "@flotilla/base";

/** In `segments` of an entry that is staged: its offset counts from the start of its frame's data. */
export const pendingSegment = 0xffffffff;

const configurationBit = 0x80000000;
const capacityMin = 16;

export class EntryColumns {
  /** Index of the first entry present. */
  first = 1;
  count = 0;
  /** Sum of the data lengths of all entries present. */
  dataBytes = 0;
  /** Slot of `first`; head + count ≤ capacity. */
  #head = 0;
  #terms: Float64Array = new Float64Array(0);
  #segments: Uint32Array = new Uint32Array(0);
  #offsets: Uint32Array = new Uint32Array(0);
  /** The top bit says "configuration". */
  #lengths: Uint32Array = new Uint32Array(0);
  #checksums: Uint32Array = new Uint32Array(0);

  /** first - 1 when empty. */
  get last(): number {
    return this.first + this.count - 1;
  }

  has(index: number): boolean {
    return index >= this.first && index < this.first + this.count;
  }

  term(index: number): number {
    return this.#terms[this.#slot(index)]!;
  }

  segment(index: number): number {
    return this.#segments[this.#slot(index)]!;
  }

  offset(index: number): number {
    return this.#offsets[this.#slot(index)]!;
  }

  length(index: number): number {
    return this.#lengths[this.#slot(index)]! & ~configurationBit;
  }

  configuration(index: number): boolean {
    return (this.#lengths[this.#slot(index)]! & configurationBit) !== 0;
  }

  checksum(index: number): number {
    return this.#checksums[this.#slot(index)]!;
  }

  push(term: number, configuration: boolean, length: number, checksum: number, segment: number, offset: number): void {
    let slot = this.#head + this.count;
    if (slot === this.#terms.length) {
      this.#makeRoom();
      slot = this.#head + this.count;
    }
    this.#terms[slot] = term;
    this.#segments[slot] = segment;
    this.#offsets[slot] = offset;
    this.#lengths[slot] = configuration ? length | configurationBit : length;
    this.#checksums[slot] = checksum;
    this.count++;
    this.dataBytes += length;
  }

  /** Gives the entries from `index` on, all staged, their place: the frame's data begins at `dataStart` in `segment`. */
  place(index: number, segment: number, dataStart: number): void {
    const end = this.#head + this.count;
    for (let slot = this.#head + (index - this.first); slot < end; slot++) {
      assert(
        this.#segments[slot] === pendingSegment,
        () => `entry ${slot - this.#head + this.first} has a place already`,
      );
      this.#segments[slot] = segment;
      this.#offsets[slot] = this.#offsets[slot]! + dataStart;
    }
  }

  /** Forgets the entries from `index` on. */
  cutFrom(index: number): void {
    const keep = Math.max(0, index - this.first);
    while (this.count > keep) {
      this.count--;
      this.dataBytes -= this.#lengths[this.#head + this.count]! & ~configurationBit;
    }
  }

  /** Forgets the entries up to and with `index`; the next one is then the first. */
  dropThrough(index: number): void {
    while (this.count > 0 && this.first <= index) {
      this.dataBytes -= this.#lengths[this.#head]! & ~configurationBit;
      this.#head++;
      this.count--;
      this.first++;
    }
    if (this.count === 0) this.reset(Math.max(this.first, index + 1));
  }

  /** Empty, to begin at `first`. */
  reset(first: number): void {
    this.first = first;
    this.count = 0;
    this.dataBytes = 0;
    this.#head = 0;
    if (this.#terms.length > 1024) this.#resize(0);
  }

  /** The last index whose segment is at most `segment`; first - 1 when there is none. Segments never fall with the index. */
  lastWithin(segment: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#segments[this.#head + middle]! <= segment) low = middle + 1;
      else high = middle;
    }
    return this.first + low - 1;
  }

  #slot(index: number): number {
    assert(
      index >= this.first && index < this.first + this.count,
      () => `no entry ${index} in [${this.first}, ${this.last}]`,
    );
    return this.#head + (index - this.first);
  }

  #makeRoom(): void {
    const capacity = this.#terms.length;
    if (this.#head > capacity / 2) this.#resize(capacity);
    else this.#resize(Math.max(capacityMin, capacity * 2));
  }

  /** Moves everything to the front of columns of this capacity. */
  #resize(capacity: number): void {
    const from = this.#head;
    const to = this.#head + this.count;
    this.#terms = moved(this.#terms, new Float64Array(capacity), from, to);
    this.#segments = moved(this.#segments, new Uint32Array(capacity), from, to);
    this.#offsets = moved(this.#offsets, new Uint32Array(capacity), from, to);
    this.#lengths = moved(this.#lengths, new Uint32Array(capacity), from, to);
    this.#checksums = moved(this.#checksums, new Uint32Array(capacity), from, to);
    this.#head = 0;
  }
}

function moved<Column extends Float64Array | Uint32Array>(
  source: Column,
  target: Column,
  from: number,
  to: number,
): Column {
  target.set(source.subarray(from, to));
  return target;
}
