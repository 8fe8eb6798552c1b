/**
 * The numbers of one client that a range knows, with what became of each: 32 bytes a number in one array and no object, for
 * every write adds one on every replica, and what lives for a while is what the garbage collector has to copy.
 *
 *     per number, four places of a Float64Array, rising by number:
 *       number    version    first sent    status + 4 when it existed
 *
 * Numbers come nearly in order and leave at the front (a client's floor): a new one goes to the end, others are found by
 * halving. One that belongs in the middle moves what stands behind it: with 65 536 numbers at most, 2 MiB at worst.
 */
import { assert } from "@flotilla/base";

export interface AppliedCommand {
  /** 0 = under way in this leader's term, not applied; else as in the entry. */
  readonly status: number;
  /** Of the record written; for a failed condition of the record found. */
  readonly version: number;
  readonly existed: boolean;
  readonly firstSent: number;
}

const rowLength = 4;
const existedBit = 4;
/** The first array lives among the objects of the heap: most clients have one or two numbers here. */
const capacityMin = 2;
/** Arrays above it give their memory back when they are nearly empty. */
const capacityKept = 64;
const noRows: Float64Array = new Float64Array(0);

export class SessionNumbers {
  #rows: Float64Array = noRows;
  /** Of the first number; head + count ≤ capacity. In numbers, not in places. */
  #head = 0;
  #count = 0;

  get size(): number {
    return this.#count;
  }

  /** The i-th lowest number. */
  at(i: number): number {
    return this.#rows[this.#place(i)]!;
  }

  statusAt(i: number): number {
    return this.#rows[this.#place(i) + 3]! % existedBit;
  }

  existedAt(i: number): boolean {
    return this.#rows[this.#place(i) + 3]! >= existedBit;
  }

  versionAt(i: number): number {
    return this.#rows[this.#place(i) + 1]!;
  }

  firstSentAt(i: number): number {
    return this.#rows[this.#place(i) + 2]!;
  }

  #place(i: number): number {
    assert(i >= 0 && i < this.#count, () => `number ${i} of ${this.#count} of a client`);
    return (this.#head + i) * rowLength;
  }

  /** Where the number stands, or -1. */
  find(number: number): number {
    const i = this.#lowerBound(number);
    return i < this.#count && this.#rows[(this.#head + i) * rowLength] === number ? i : -1;
  }

  has(number: number): boolean {
    return this.find(number) >= 0;
  }

  get(number: number): AppliedCommand | undefined {
    const i = this.find(number);
    if (i < 0) return undefined;
    return {
      status: this.statusAt(i),
      version: this.versionAt(i),
      existed: this.existedAt(i),
      firstSent: this.firstSentAt(i),
    };
  }

  set(number: number, status: number, version: number, existed: boolean, firstSent: number): void {
    const i = this.#lowerBound(number);
    let place = (this.#head + i) * rowLength;
    if (i === this.#count || this.#rows[place] !== number) {
      this.#makeRoom();
      place = (this.#head + i) * rowLength;
      const end = (this.#head + this.#count) * rowLength;
      if (place < end) this.#rows.copyWithin(place + rowLength, place, end);
      this.#count++;
      this.#rows[place] = number;
    }
    this.#rows[place + 1] = version;
    this.#rows[place + 2] = firstSent;
    this.#rows[place + 3] = existed ? status + existedBit : status;
  }

  delete(number: number): void {
    const i = this.find(number);
    if (i < 0) return;
    const place = (this.#head + i) * rowLength;
    this.#rows.copyWithin(place, place + rowLength, (this.#head + this.#count) * rowLength);
    this.#count--;
    this.#giveBack();
  }

  /** Drops what is applied below `floor`; what is under way stays. */
  dropAppliedBelow(floor: number): void {
    let i = 0;
    while (i < this.#count && this.at(i) < floor && this.statusAt(i) !== 0) i++;
    this.#head += i;
    this.#count -= i;
    if (this.#count > 0 && this.at(0) < floor) this.retain((at) => this.at(at) >= floor || this.statusAt(at) === 0);
    else this.#giveBack();
  }

  /** Keeps what `keep` says, asked once for each in rising order. */
  retain(keep: (i: number) => boolean): void {
    let kept = 0;
    for (let i = 0; i < this.#count; i++) {
      if (!keep(i)) continue;
      if (kept < i) {
        const from = (this.#head + i) * rowLength;
        this.#rows.copyWithin((this.#head + kept) * rowLength, from, from + rowLength);
      }
      kept++;
    }
    this.#count = kept;
    this.#giveBack();
  }

  /** The first place whose number is not below. */
  #lowerBound(number: number): number {
    const rows = this.#rows;
    const head = this.#head;
    let high = this.#count;
    // Most are new and the highest so far.
    if (high === 0 || rows[(head + high - 1) * rowLength]! < number) return high;
    let low = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (rows[(head + middle) * rowLength]! < number) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** For one more behind the last. */
  #makeRoom(): void {
    const capacity = this.#rows.length / rowLength;
    if (this.#head + this.#count < capacity) return;
    if (this.#head > capacity / 2) this.#moveTo(this.#rows);
    else this.#moveTo(new Float64Array(Math.max(capacityMin, capacity * 2) * rowLength));
  }

  #giveBack(): void {
    if (this.#count === 0) this.#head = 0;
    const capacity = this.#rows.length / rowLength;
    if (capacity <= capacityKept || this.#count * 8 > capacity) return;
    this.#moveTo(new Float64Array(Math.max(capacityMin, this.#count * 2) * rowLength));
  }

  #moveTo(target: Float64Array): void {
    const from = this.#head * rowLength;
    const end = from + this.#count * rowLength;
    if (target === this.#rows) target.copyWithin(0, from, end);
    else target.set(this.#rows.subarray(from, end));
    this.#rows = target;
    this.#head = 0;
  }
}
