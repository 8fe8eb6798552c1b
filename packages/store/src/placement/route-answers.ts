/**
 * Where ranges are, for clients that ask: what the meta range says, and in front of it what this store's own replicas
 * know better. After a split the halves are known here before the placement driver has written them down (hazard E28).
 */
import { isNewer } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";

/** Descriptors in the order of keys that cover [start, end) as far as anybody here knows, at most `limit`. */
export function overlaid(
  written: readonly RangeDescriptor[],
  own: readonly RangeDescriptor[],
  { start, end, limit }: { readonly start: Key; readonly end: Key; readonly limit: number },
): RangeDescriptor[] {
  const overlapping = own.filter((range) => range.end > start && range.start < end);
  const newer = overlapping.filter((range) =>
    written.some((other) => range.start < other.end && other.start < range.end && isNewer(range, other)),
  );
  if (newer.length === 0) return written.slice(0, limit);
  const kept = written.filter(
    (other) => !newer.some((range) => range.start < other.end && other.start < range.end && isNewer(range, other)),
  );
  const all = [...kept, ...newer].sort((a, b) => (a.start < b.start ? -1 : 1));
  return all.slice(0, limit);
}

/** Of ranges with their starts: those that follow `from` without a gap, at most `limit`. For refusals after a split. */
export function following(
  from: RangeDescriptor,
  own: Iterable<RangeDescriptor>,
  limit: number,
): readonly RangeDescriptor[] {
  const byStart = new Map<Key, RangeDescriptor>();
  for (const range of own) byStart.set(range.start, range);
  const chain: RangeDescriptor[] = [];
  let next = byStart.get(from.end);
  while (next !== undefined && chain.length < limit) {
    chain.push(next);
    next = byStart.get(next.end);
  }
  return chain;
}
