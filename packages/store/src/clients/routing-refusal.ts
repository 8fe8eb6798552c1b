/** Why a range cannot be served by this store now, in words, with what is known of its leader. */
import { noStore } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { RouteEntry } from "@flotilla/transport";
import type { RoutingRefusal } from "./client-connection.ts";
import { following } from "../placement/route-answers.ts";
import type { Replica } from "../replica/replica.ts";

const electingRetryMs = 50;
/** Ranges to the right of the one asked that a refusal tells of. */
const followingMax = 16;

/**
 * The client knows other bounds. With the range come those that follow it here: after a split they hold the keys it is
 * looking for, and nobody else may know them yet (hazard E28).
 */
export function epochMismatch(replica: Replica, replicas: Iterable<Replica>, self: StoreId): RoutingRefusal {
  const byRange = new Map(Array.from(replicas, (each) => [each.rangeId, each] as const));
  const descriptors = Array.from(byRange.values(), ({ descriptor }) => descriptor);
  const ranges = [replica.descriptor, ...following(replica.descriptor, descriptors, followingMax)].map(
    (descriptor): RouteEntry => {
      const { leaderStore } = byRange.get(descriptor.rangeId)!;
      // A right half that has no leader yet is about to be led from where the left half is.
      return { descriptor, leader: leaderStore === noStore && replica.leads ? self : leaderStore };
    },
  );
  return {
    reason: "epoch-mismatch",
    code: undefined,
    message: "the range has other bounds",
    retryAfterMs: replica.loading ? 100 : 0,
    ranges,
  };
}

export function routingRefusal(replica: Replica, self: StoreId, alive: (store: StoreId) => boolean): RoutingRefusal {
  const { descriptor, rangeId, leaderStore, leads } = replica;
  const leader = leaderStore === self && !leads ? noStore : leaderStore;
  const ranges: RouteEntry[] = [{ descriptor, leader }];
  if (leader !== noStore && leader !== self) {
    return {
      reason: "not-leader",
      code: undefined,
      message: `store ${leader} leads range ${rangeId}`,
      retryAfterMs: 0,
      ranges,
    };
  }
  const missing = descriptor.replicas.filter(({ storeId }) => !alive(storeId)).map(({ storeId }) => storeId);
  const message =
    missing.length === 0
      ? `range ${rangeId} has no leader at this moment`
      : `range ${rangeId} has no leader; ${missing.length === 1 ? "store" : "stores"} ${missing.join(", ")} ${missing.length === 1 ? "does" : "do"} not answer`;
  return { reason: "not-leader", code: "NoQuorum", message, retryAfterMs: electingRetryMs, ranges };
}
