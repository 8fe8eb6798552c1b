/**
 * The benchmark's keys: as many in each user range, all of one length. A key is the beginning of its range, one byte that
 * keeps it inside, and a number.
 */
import { Failure, key as logicalKey, userPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";

/** Between a range's first key and the digits: the first that keeps all numbers inside the range. */
const leads = ["", "!", "\x01"];

export function benchKeys(ranges: readonly RangeDescriptor[], count: number, keyBytes: number): Key[] {
  const user = ranges.filter(({ start }) => start >= userPrefix);
  const stems = user
    .map((range) => stemOf(range, keyBytes, Math.ceil(count / user.length)))
    .filter((stem) => stem !== undefined);
  if (stems.length === 0) {
    throw new Failure("InvalidArgument", `no range has room for ${count} keys of ${keyBytes} bytes`, {
      hint: "choose longer keys with --key-bytes, or fewer with --keys",
    });
  }
  const keys: Key[] = [];
  for (let i = 0; i < count; i++) {
    const stem = stems[i % stems.length]!;
    const digits = String(Math.floor(i / stems.length)).padStart(keyBytes - (stem.length - 1), "0");
    keys.push(logicalKey(stem + digits));
  }
  return keys;
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
