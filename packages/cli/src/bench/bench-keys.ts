/**
 * The benchmark's keys: as many in each user range, all of one length. A key is the beginning of its range, one byte that
 * keeps it inside, and a number. Key i lies in range i modulo the ranges: counting up, every range gets its keys in their
 * order, one range after the other. Keys are made when they are asked for, so that there may be any number of them.
 */
import { Failure, key as logicalKey, userPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";

/** Between a range's first key and the digits: the first that keeps all numbers inside the range. */
const leads = ["", "!", "\x01"];

export class BenchKeys {
  readonly count: number;
  readonly #stems: readonly string[];
  readonly #length: number;

  constructor(ranges: readonly RangeDescriptor[], count: number, keyBytes: number) {
    const user = ranges.filter(({ start }) => start >= userPrefix);
    this.count = count;
    // The logical key's own prefix is no part of what the user counts.
    this.#length = keyBytes + 1;
    this.#stems = stemsFor(user, count, keyBytes);
    if (this.#stems.length === 0) {
      throw new Failure("InvalidArgument", `no range has room for ${count} keys of ${keyBytes} bytes`, {
        hint: "choose longer keys with --key-bytes, or fewer with --keys",
      });
    }
  }

  /** `index` from 0 to `count - 1`. */
  at(index: number): Key {
    const stems = this.#stems;
    const stem = stems[index % stems.length]!;
    return logicalKey(stem + String(Math.floor(index / stems.length)).padStart(this.#length - stem.length, "0"));
  }
}

/** One for each range that has room. The fewer ranges have, the more keys fall to each: until all of them have room. */
function stemsFor(ranges: readonly RangeDescriptor[], count: number, keyBytes: number): string[] {
  let sharing = ranges.length;
  for (;;) {
    const numbers = Math.ceil(count / sharing);
    const stems = ranges.map((range) => stemOf(range, keyBytes, numbers)).filter((stem) => stem !== undefined);
    if (stems.length === sharing || stems.length === 0) return stems;
    sharing = stems.length;
  }
}

/** A logical key without its digits; `undefined` when the range cannot hold the keys. */
function stemOf({ start, end }: RangeDescriptor, keyBytes: number, numbers: number): string | undefined {
  const digitsMin = String(numbers).length;
  for (const lead of leads) {
    const stem = start + lead;
    const digits = keyBytes - (stem.length - 1);
    if (digits < digitsMin) continue;
    const first = stem + "0".repeat(digits);
    const last = stem + "9".repeat(digits);
    if (first >= start && last < end) return stem;
  }
  return undefined;
}
