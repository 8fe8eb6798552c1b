/**
 * Where ranges are, for clients that ask: what the meta range says, and in front of it what this store's own replicas
 * know better. After a split the halves are known here before the placement driver has written them down (hazard E28).
 */
import { isNewer, metaRangeId, noStore } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import type { RouteEntry, RouteRequest } from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";
import type { MetaDirectory } from "./meta-directory.ts";
import type { MetaWhereabouts } from "./meta-whereabouts.ts";

export class RouteAnswers {
  readonly #meta: MetaWhereabouts;
  readonly #directory: MetaDirectory;
  readonly #replicas: ReadonlyMap<number, Replica>;

  constructor(meta: MetaWhereabouts, directory: MetaDirectory, replicas: ReadonlyMap<number, Replica>) {
    this.#meta = meta;
    this.#directory = directory;
    this.#replicas = replicas;
  }

  async answer(request: RouteRequest): Promise<RouteEntry[]> {
    // Without the meta range here, the way to it is all that can be said.
    if (!this.#replicas.has(metaRangeId)) return [{ descriptor: this.#meta.descriptor, leader: this.#meta.leader }];
    const written = await this.#directory.covering(request.start, request.end, request.limit);
    const own = Array.from(this.#replicas.values(), ({ descriptor }) => descriptor);
    return overlaid(written, own, request).map((descriptor) => ({
      descriptor,
      leader: this.#replicas.get(descriptor.rangeId)?.leaderStore ?? noStore,
    }));
  }
}

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
