/**
 * Where the entries of one group are, as columns of numbers: 24 bytes an entry and no object, for a group may
 * have a million. A deque: new entries at the end, freed ones leave at the front, a conflict cuts the end.
 */
import { assert } from "@flotilla/base";

/** The segment of an entry that is staged: its offset counts from the start of its frame's data. */
export const pendingSegment = 0xffffffff;

const configurationBit = 0x80000000;
/** Of groups that hardly write there are thousands. */
const capacityMin = 4;
/** Numbers of an entry beside its term, in this order: two arrays cost a group that has few entries less than five. */
const stride = 4;
const segmentAt = 0;
const offsetAt = 1;
/** The top bit says "configuration". */
const lengthAt = 2;
const checksumAt = 3;

export class EntryColumns {
  /** Index of the first entry present. */
  first = 1;
  count = 0;
  /** Sum of the data lengths of all entries present. */
  dataBytes = 0;
  /** Slot of `first`; head + count ≤ capacity. */
  #head = 0;
  #terms: Float64Array = new Float64Array(0);
  #numbers: Uint32Array = new Uint32Array(0);

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
    return this.#numbers[stride * this.#slot(index) + segmentAt]!;
  }

  offset(index: number): number {
    return this.#numbers[stride * this.#slot(index) + offsetAt]!;
  }

  length(index: number): number {
    return this.#numbers[stride * this.#slot(index) + lengthAt]! & ~configurationBit;
  }

  configuration(index: number): boolean {
    return (this.#numbers[stride * this.#slot(index) + lengthAt]! & configurationBit) !== 0;
  }

  checksum(index: number): number {
    return this.#numbers[stride * this.#slot(index) + checksumAt]!;
  }

  push(term: number, configuration: boolean, length: number, checksum: number, segment: number, offset: number): void {
    let slot = this.#head + this.count;
    if (slot === this.#terms.length) {
      this.#makeRoom();
      slot = this.#head + this.count;
    }
    this.#terms[slot] = term;
    const numbers = this.#numbers;
    const at = stride * slot;
    numbers[at + segmentAt] = segment;
    numbers[at + offsetAt] = offset;
    numbers[at + lengthAt] = configuration ? length | configurationBit : length;
    numbers[at + checksumAt] = checksum;
    this.count++;
    this.dataBytes += length;
  }

  /** Gives the entries from `index` on, all staged, their place: the frame's data begins at `dataStart` in `segment`. */
  place(index: number, segment: number, dataStart: number): void {
    const numbers = this.#numbers;
    const end = this.#head + this.count;
    for (let slot = this.#head + (index - this.first); slot < end; slot++) {
      const at = stride * slot;
      assert(
        numbers[at + segmentAt] === pendingSegment,
        () => `entry ${slot - this.#head + this.first} has a place already`,
      );
      numbers[at + segmentAt] = segment;
      numbers[at + offsetAt] = numbers[at + offsetAt]! + dataStart;
    }
  }

  /** Forgets the entries from `index` on. */
  cutFrom(index: number): void {
    const keep = Math.max(0, index - this.first);
    while (this.count > keep) {
      this.count--;
      this.dataBytes -= this.#lengthIn(this.#head + this.count);
    }
  }

  /** Forgets the entries up to and with `index`; the next one is then the first. */
  dropThrough(index: number): void {
    while (this.count > 0 && this.first <= index) {
      this.dataBytes -= this.#lengthIn(this.#head);
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
      if (this.#numbers[stride * (this.#head + middle) + segmentAt]! <= segment) low = middle + 1;
      else high = middle;
    }
    return this.first + low - 1;
  }

  #lengthIn(slot: number): number {
    return this.#numbers[stride * slot + lengthAt]! & ~configurationBit;
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

  /** Moves everything to the front of arrays of this capacity, in entries. */
  #resize(capacity: number): void {
    const from = this.#head;
    const to = this.#head + this.count;
    const terms = new Float64Array(capacity);
    const numbers = new Uint32Array(stride * capacity);
    terms.set(this.#terms.subarray(from, to));
    numbers.set(this.#numbers.subarray(stride * from, stride * to));
    this.#terms = terms;
    this.#numbers = numbers;
    this.#head = 0;
  }
}
