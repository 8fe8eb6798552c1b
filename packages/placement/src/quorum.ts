/** Which changes of members a range can bear (hazard B11: a change that cannot commit, or leaves no majority). */
import type { RangeDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";

export const isVoter = ({ role }: { readonly role: string }): boolean => role === "voter" || role === "incoming";

/** A change of members is under way: proposed, or joint and not left. */
export function isPending({ descriptor, configurationPending }: RangeState): boolean {
  return configurationPending || descriptor.replicas.some(({ role }) => role === "incoming" || role === "outgoing");
}

export function memberOn(
  { replicas }: RangeDescriptor,
  store: StoreId,
): RangeDescriptor["replicas"][number] | undefined {
  return replicas.find(({ storeId }) => storeId === store);
}

/** The replica's store answers, and the range's leader, if there is one, hears from it. */
export function isHealthy(range: RangeState, replica: ReplicaId, store: StoreId, index: ClusterIndex): boolean {
  const load = index.stores.get(store);
  if (load === undefined || load.store.health === "dead" || load.store.membership === "decommissioned") return false;
  const reported = range.replicas.find(({ replicaId }) => replicaId === replica);
  return reported === undefined || reported.active || range.leader === store;
}

/** Healthy, and so near the leader that it can take over, or vote, at once. */
export function isLevel(range: RangeState, replica: ReplicaId, store: StoreId, index: ClusterIndex): boolean {
  const reported = range.replicas.find(({ replicaId }) => replicaId === replica);
  if (reported === undefined || !isHealthy(range, replica, store, index)) return false;
  return reported.state === "replicate" && reported.lag <= index.state.settings.levelEntriesMax;
}

/** Why the range has no majority of healthy voters; undefined when it has. */
export function quorumMissing(range: RangeState, index: ClusterIndex): string | undefined {
  return changeBlocked(range, [], [], index);
}

/** Why a change cannot commit, or would leave the range without a majority of healthy voters; undefined when it may go on. */
export function changeBlocked(
  range: RangeState,
  added: readonly { readonly replicaId: ReplicaId; readonly storeId: StoreId }[],
  removed: readonly ReplicaId[],
  index: ClusterIndex,
): string | undefined {
  const voters = range.descriptor.replicas.filter(isVoter);
  const before = healthyOf(range, voters, index);
  if (before * 2 <= voters.length) return `only ${before} of ${voters.length} voters are healthy`;
  if (added.length === 0 && removed.length === 0) return undefined;
  const after = [...voters.filter(({ replicaId }) => !removed.includes(replicaId)), ...added];
  const healthy = healthyOf(range, after, index);
  if (healthy * 2 > after.length) return undefined;
  return `only ${healthy} of ${after.length} voters would be healthy afterwards`;
}

function healthyOf(
  range: RangeState,
  members: readonly { readonly replicaId: ReplicaId; readonly storeId: StoreId }[],
  index: ClusterIndex,
): number {
  let count = 0;
  for (const { replicaId, storeId } of members) if (isHealthy(range, replicaId, storeId, index)) count++;
  return count;
}
