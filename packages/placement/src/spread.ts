/** How well members are spread over nodes, hosts and zones, and where another one goes best. */
import type { StoreId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { PlacementSettings } from "./placement-settings.ts";
import { leastCrowding } from "./store-load.ts";
import type { StoreLoad } from "./store-load.ts";

const sameNode = 1_000_000;
const sameHost = 1_000;
const sameZone = 1;

/** What two members have in common that should not fail at once; 0 = nothing. */
function shared(a: StoreLoad, b: StoreLoad): number {
  if (a.node === b.node) return sameNode;
  if (a.host >= 0 && a.host === b.host) return sameHost;
  return a.zone >= 0 && a.zone === b.zone ? sameZone : 0;
}

/** Over all pairs of stores; lower is better. */
export function crowding(members: readonly StoreLoad[]): number {
  let sum = 0;
  for (let i = 1; i < members.length; i++) for (let j = 0; j < i; j++) sum += shared(members[i]!, members[j]!);
  return sum;
}

/** More than has to be with the stores that there are. */
export function isCrowded({ descriptor }: RangeState, { stores, room }: ClusterIndex): boolean {
  const { replicas } = descriptor;
  let members = 0;
  let sum = 0;
  for (let i = 0; i < replicas.length; i++) {
    const load = stores.get(replicas[i]!.storeId);
    if (load === undefined) continue;
    members++;
    for (let j = 0; j < i; j++) {
      const other = stores.get(replicas[j]!.storeId);
      if (other !== undefined) sum += shared(load, other);
    }
  }
  return sum > leastCrowding(members, room);
}

/** What `store` adds to the crowding of the others. */
export function crowdingWith(store: StoreLoad, others: readonly StoreLoad[]): number {
  let sum = 0;
  for (const other of others) sum += shared(store, other);
  return sum;
}

export function crowdingText(crowded: number): string {
  if (crowded >= sameNode) return "two replicas on one node";
  if (crowded >= sameHost) return "two replicas on one host";
  return crowded > 0 ? "two replicas in one zone" : "no two replicas on one node or host, or in one zone";
}

export function loadsOf(range: RangeState, index: ClusterIndex, without?: StoreId): StoreLoad[] {
  const loads: StoreLoad[] = [];
  for (const { storeId } of range.descriptor.replicas) {
    const load = index.stores.get(storeId);
    if (load !== undefined && storeId !== without) loads.push(load);
  }
  return loads;
}

function isTarget({ store }: StoreLoad, sizeBytes: number, settings: PlacementSettings): boolean {
  if (store.membership !== "active" || store.health !== "live") return false;
  if (store.diskFull || store.stopping) return false;
  return store.freeBytes - sizeBytes >= settings.storeFreeBytesMin;
}

/** Why the store gets no new replicas at all; undefined when it may. */
export function targetRefused(load: StoreLoad, sizeBytes: number, settings: PlacementSettings): string | undefined {
  if (isTarget(load, sizeBytes, settings)) return undefined;
  const { store } = load;
  if (store.membership !== "active") return `store ${store.storeId} is ${store.membership}`;
  if (store.health !== "live") return `store ${store.storeId} is ${store.health}`;
  if (store.stopping) return `store ${store.storeId} is being stopped`;
  return `store ${store.storeId} has no room: ${store.freeBytes} bytes free`;
}

/** Snapshots that it takes, by what operators need or by what it reports, whichever is more. */
const receivingOf = ({ receiving, store }: StoreLoad): number => Math.max(receiving, store.snapshotsReceiving);
const sendingOf = ({ sending, store }: StoreLoad): number => Math.max(sending, store.snapshotsSending);

/** It may get replicas, and one now. */
export function canTakeNow(load: StoreLoad, settings: PlacementSettings): boolean {
  return isTarget(load, 0, settings) && receivingOf(load) < settings.snapshotsReceivingPerStoreMax;
}

export function someCanTake({ stores, state }: ClusterIndex): boolean {
  for (const load of stores.values()) if (canTakeNow(load, state.settings)) return true;
  return false;
}

export function canSendNow(range: RangeState, index: ClusterIndex): boolean {
  const load = index.stores.get(range.leader);
  return load !== undefined && sendingOf(load) < index.state.settings.snapshotsSendingPerStoreMax;
}

/** Why it gets none now; it may later. */
export function targetBusy(load: StoreLoad, settings: PlacementSettings): string | undefined {
  const receiving = receivingOf(load);
  if (receiving < settings.snapshotsReceivingPerStoreMax) return undefined;
  return `store ${load.store.storeId} receives ${receiving} range snapshots, the limit`;
}

export function senderBusy(range: RangeState, index: ClusterIndex): string | undefined {
  const load = index.stores.get(range.leader);
  if (load === undefined) return "the range has no known leader";
  const sending = sendingOf(load);
  if (sending < index.state.settings.snapshotsSendingPerStoreMax) return undefined;
  return `store ${range.leader}, its leader, sends ${sending} range snapshots, the limit`;
}

/** The best store for another member beside `others`: least crowded, then fewest replicas, then fewest bytes. */
export function bestTarget(
  range: RangeState,
  others: readonly StoreLoad[],
  index: ClusterIndex,
  without?: ReadonlySet<StoreId>,
): { readonly to: StoreLoad; readonly crowded: number } | string {
  const { settings } = index.state;
  const { replicas } = range.descriptor;
  let best: StoreLoad | undefined;
  let bestCrowded = 0;
  let refused = "every store has a replica of it already";
  for (const load of index.stores.values()) {
    const { storeId } = load.store;
    if (replicas.some((replica) => replica.storeId === storeId) || without?.has(storeId) === true) continue;
    const why = targetRefused(load, range.sizeBytes, settings);
    if (why !== undefined) {
      refused = why;
      continue;
    }
    const crowded = crowdingWith(load, others);
    // Two members on one node fall together: fewer are better than that.
    if (crowded >= sameNode) {
      refused = `the node of store ${load.store.storeId} has a replica of it already`;
      continue;
    }
    if (best === undefined || crowded < bestCrowded || (crowded === bestCrowded && isEmptier(load, best, settings))) {
      best = load;
      bestCrowded = crowded;
    }
  }
  return best === undefined ? `no store can take it: ${refused}` : { to: best, crowded: bestCrowded };
}

/** A store that can begin at once before one that is at its limit of snapshots. */
function isEmptier(a: StoreLoad, b: StoreLoad, settings: PlacementSettings): boolean {
  const [busyA, busyB] = [targetBusy(a, settings) !== undefined, targetBusy(b, settings) !== undefined];
  if (busyA !== busyB) return busyB;
  return a.replicas !== b.replicas ? a.replicas < b.replicas : a.bytes < b.bytes;
}
