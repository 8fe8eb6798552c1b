/** Where a range may be split: strictly inside, and never between keys that an administrator wants together. */
import { prefixEnd, printableKey, userKeyOf, userPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";

/** Why the range cannot be split at this key; undefined when it can. */
export function splitKeyRefused(
  at: Key,
  { start, end }: Pick<RangeDescriptor, "start" | "end">,
  prefixes: readonly Key[],
): string | undefined {
  if (at === start) return `the range begins at ${shownKey(at)} already`;
  if (at === end) return `the range ends at ${shownKey(at)} already`;
  if (at < start || at > end) return `${shownKey(at)} lies outside of the range`;
  const prefix = prefixAround(at, prefixes);
  if (prefix !== undefined) return `${shownKey(at)} lies inside the co-located prefix ${shownKey(prefix)}`;
  return undefined;
}

/** The prefix whose keys a split at `at` would part; its own first key, and the first key after it, part nothing. */
export function prefixAround(at: Key, prefixes: readonly Key[]): Key | undefined {
  return prefixes.find((prefix) => {
    const end = prefixEnd(prefix);
    return at > prefix && (end === undefined || at < end);
  });
}

/** Every key of the range has the same co-located prefix: there is nowhere to split it. */
export function unsplittable(
  { start, end }: Pick<RangeDescriptor, "start" | "end">,
  prefixes: readonly Key[],
): Key | undefined {
  return prefixes.find((prefix) => {
    const after = prefixEnd(prefix);
    return start >= prefix && (after === undefined || end <= after);
  });
}

/** As its user wrote it: without the prefix of user keys. */
export const shownKey = (key: Key): string => printableKey(key.startsWith(userPrefix) ? userKeyOf(key) : key);
