/** Why a range cannot be served by this store now, in words, with what is known of its leader. */
import { noStore } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { RouteEntry } from "@flotilla/transport";
import type { RoutingRefusal } from "./client-connection.ts";
import type { Replica } from "../replica/replica.ts";

const electingRetryMs = 50;

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
