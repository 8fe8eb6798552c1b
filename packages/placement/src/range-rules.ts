/**
 * What a range needs by itself, rule by rule in the order of their weight. A rule says what to do, why it cannot be done, or,
 * with undefined, that all is well. The rounds of the driver and `range explain` ask the same rules.
 */
import { metaRangeId, noReplica, noStore } from "@flotilla/base";
import type { ReplicaDescriptor } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState, SchedulerName } from "./cluster-state.ts";
import { isHotRange, judgeLoadSplit } from "./load-rules.ts";
import { isSmallBesideSmall, judgeMerge } from "./merge-rules.ts";
import type { DecisionSource, OperatorGoal } from "./operator.ts";
import { changeBlocked, isHealthy, isLevel, isPending, isVoter, quorumMissing } from "./quorum.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import {
  bestTarget,
  crowding,
  crowdingText,
  crowdingWith,
  isCrowded,
  loadsOf,
  senderBusy,
  targetBusy,
} from "./spread.ts";
import { unsplittable } from "./split-keys.ts";
import { isDown } from "./store-load.ts";
import type { StoreLoad } from "./store-load.ts";

export interface RangeRule {
  readonly name: string;
  /** Who can be paused to stop it; undefined: nobody. */
  readonly scheduler: SchedulerName | undefined;
  /** What is true when the rule has nothing to do. */
  readonly fine: string;
  readonly judge: (range: RangeState, index: ClusterIndex) => Verdict;
  /** False: `judge` decides nothing; of the first rule, says nothing. Follows from what concerns.ts keeps an eye on, and from nothing else. */
  readonly concerns: (range: RangeState, index: ClusterIndex) => boolean;
  /** Of what a round may begin only so many, those that the rule asks for. */
  readonly begins: keyof RoundLimits;
  /** All that it decides sends a range snapshot from the range's leader: without a sender and a store that takes one, it is not asked. */
  readonly sends: boolean;
}

/** What a round may begin still. */
export interface RoundLimits {
  moves: number;
  transfers: number;
  splits: number;
  merges: number;
}

const blocked = (text: string): Verdict => ({ blocked: text });
const searchedInVain = (text: string): Verdict => ({ blocked: text, searched: true });

/** Voters the range should have, as far as there are nodes for them; an even number between is not begun. */
export function replicasWanted(range: RangeState, index: ClusterIndex): number {
  const { replicas } = index.state.settings;
  const most = range.descriptor.rangeId === metaRangeId ? Math.max(3, replicas) : replicas;
  const { nodes } = index.room;
  if (nodes >= most) return most;
  return Math.max(1, nodes % 2 === 1 ? nodes : nodes - 1);
}

function isGivenUp(replica: ReplicaDescriptor, index: ClusterIndex): string | undefined {
  const load = index.stores.get(replica.storeId);
  if (load === undefined) return `store ${replica.storeId} is not known`;
  if (load.store.membership === "decommissioned") return `store ${replica.storeId} was given up`;
  if (!isDown(load.store, index.state.settings)) return undefined;
  return `store ${replica.storeId} is down for ${Math.round(load.store.downMs / 1000)} s`;
}

function lacksQuorum(range: RangeState, index: ClusterIndex): boolean {
  if (range.leader === noStore || isPending(range)) return true;
  let voters = 0;
  let healthy = 0;
  for (const { role, replicaId, storeId } of range.descriptor.replicas) {
    if (role !== "voter") continue;
    voters++;
    if (isHealthy(range, replicaId, storeId, index)) healthy++;
  }
  return healthy * 2 <= voters;
}

/** Nobody can change a range without a majority, and nobody should while another change is under way. */
function judgeQuorum(range: RangeState, index: ClusterIndex): Verdict {
  const missing = quorumMissing(range, index);
  if (missing !== undefined) return blocked(missing);
  if (range.leader === noStore) return blocked("no leader has reported");
  return isPending(range) ? blocked("a change of members is under way") : undefined;
}

function votersWanted({ descriptor }: RangeState, index: ClusterIndex): number {
  const { replicas } = index.state.settings;
  return descriptor.rangeId === metaRangeId ? Math.max(3, replicas) : replicas;
}

function hasExcess(range: RangeState, index: ClusterIndex): boolean {
  const { replicas } = range.descriptor;
  return replicas.length > votersWanted(range, index) || replicas.some(({ role }) => role === "learner");
}

/** Learners that no operator brought, or that one left behind, and voters too many. */
function judgeExcess(range: RangeState, index: ClusterIndex): Verdict {
  if (!hasExcess(range, index)) return undefined;
  const { replicas } = range.descriptor;
  const stray = replicas.find(({ role }) => role === "learner");
  if (stray !== undefined)
    return removal(range, stray, `store ${stray.storeId} has a learner that no operator needs`, index);
  const voters = replicas.filter(isVoter);
  const wanted = votersWanted(range, index);
  if (voters.length <= wanted) return undefined;
  const worst = leastUseful(range, voters, index);
  return removal(range, worst, `${voters.length} replicas where ${wanted} are wanted`, index);
}

function removal(
  range: RangeState,
  { replicaId, storeId }: ReplicaDescriptor,
  reason: string,
  index: ClusterIndex,
): Verdict {
  const why = changeBlocked(range, [], [replicaId], index) ?? failedLately(range.descriptor.rangeId, "removal", index);
  if (why !== undefined) return blocked(`${reason}; ${why}`);
  return decisionFor(range, { kind: "remove-replica", from: storeId, replicaId }, "repair", reason);
}

/** Given up, not healthy, leaving, crowded, full: in this order; then the one whose store has most replicas. */
function leastUseful(range: RangeState, voters: readonly ReplicaDescriptor[], index: ClusterIndex): ReplicaDescriptor {
  const badness = (replica: ReplicaDescriptor): number => {
    const load = index.stores.get(replica.storeId);
    if (load === undefined || isGivenUp(replica, index) !== undefined) return Infinity;
    const health = load.store.health === "live" ? 0 : 1e15;
    const leaving = load.store.membership === "active" ? 0 : 1e14;
    const leads = range.leader === replica.storeId ? 0 : 0.5;
    return health + leaving + crowdingWith(load, loadsOf(range, index, replica.storeId)) * 1e6 + load.replicas + leads;
  };
  return voters.reduce((a, b) => (badness(b) > badness(a) ? b : a));
}

function lacksReplicas(range: RangeState, index: ClusterIndex): boolean {
  let voters = 0;
  for (const replica of range.descriptor.replicas) {
    if (!isVoter(replica)) continue;
    if (isGivenUp(replica, index) !== undefined) return true;
    voters++;
  }
  return voters < replicasWanted(range, index);
}

function judgeRepair(range: RangeState, index: ClusterIndex): Verdict {
  for (const replica of range.descriptor.replicas) {
    // A learner is nobody's loss: the rule on excess takes it away.
    const reason = isVoter(replica) ? isGivenUp(replica, index) : undefined;
    if (reason !== undefined) return replacement(range, replica, "repair", reason, index);
  }
  const voters = range.descriptor.replicas.filter(isVoter).length;
  const wanted = replicasWanted(range, index);
  if (voters >= wanted) return undefined;
  return addition(range, undefined, "repair", "repair", `${voters} replicas where ${wanted} are wanted`, index);
}

function isLeaving({ descriptor }: RangeState, index: ClusterIndex): boolean {
  return descriptor.replicas.some(
    (replica) => isVoter(replica) && index.stores.get(replica.storeId)?.store.membership === "decommissioning",
  );
}

function judgeDecommission(range: RangeState, index: ClusterIndex): Verdict {
  for (const replica of range.descriptor.replicas) {
    const store = index.stores.get(replica.storeId)?.store;
    if (store?.membership !== "decommissioning" || !isVoter(replica)) continue;
    return replacement(range, replica, "admin", `store ${replica.storeId} is being decommissioned`, index);
  }
  return undefined;
}

/** Makes the replica anew elsewhere. Where there is no place for it, it stays and counts. */
function replacement(
  range: RangeState,
  replica: ReplicaDescriptor,
  source: DecisionSource,
  reason: string,
  index: ClusterIndex,
): Verdict {
  return addition(range, replica, source === "repair" ? "repair" : "move", source, reason, index);
}

function addition(
  range: RangeState,
  old: ReplicaDescriptor | undefined,
  kind: "repair" | "move",
  source: DecisionSource,
  reason: string,
  index: ClusterIndex,
): Verdict {
  // What is known without a search comes first: many ranges wait for the same few senders.
  const wait = failedLately(range.descriptor.rangeId, "members", index) ?? senderBusy(range, index);
  if (wait !== undefined) return blocked(`${reason}; ${wait}`);
  const found = bestTarget(range, loadsOf(range, index, old?.storeId), index);
  if (typeof found === "string") return searchedInVain(`${reason}; ${found}`);
  const to = found.to.store.storeId;
  const removed = old === undefined ? [] : [old.replicaId];
  const why =
    changeBlocked(range, [{ replicaId: noReplica, storeId: to }], removed, index) ??
    targetBusy(found.to, index.state.settings);
  if (why !== undefined) return searchedInVain(`${reason}; ${why}`);
  const goal: OperatorGoal = { kind, from: old?.storeId ?? noStore, to, replicaId: noReplica };
  return decisionFor(range, goal, source, reason, range.sizeBytes);
}

export const mayLead = ({ store }: StoreLoad): boolean =>
  store.membership === "active" && !store.diskFull && !store.stopping && store.health === "live";

/** Why the store should lead nothing; undefined when it may. */
export function leaderRefused({ store }: StoreLoad): string | undefined {
  if (store.membership !== "active") return `store ${store.storeId} is ${store.membership}`;
  if (store.diskFull) return `the disk of store ${store.storeId} is full`;
  if (store.stopping) return `store ${store.storeId} is being stopped`;
  return store.health === "live" ? undefined : `store ${store.storeId} is ${store.health}`;
}

function ledWrongly({ leader }: RangeState, index: ClusterIndex): StoreLoad | undefined {
  const leading = index.stores.get(leader);
  // A store that is being stopped hands over what it leads by itself.
  return leading === undefined || leading.store.stopping || mayLead(leading) ? undefined : leading;
}

function judgeDrain(range: RangeState, index: ClusterIndex): Verdict {
  const leading = ledWrongly(range, index);
  if (leading === undefined) return undefined;
  const reason = leaderRefused(leading)!;
  const wait = failedLately(range.descriptor.rangeId, "leader", index);
  if (wait !== undefined) return blocked(`${reason}; ${wait}`);
  let best: StoreLoad | undefined;
  for (const { storeId } of leaderCandidates(range, index)) {
    const load = index.stores.get(storeId)!;
    if (storeId !== range.leader && (best === undefined || load.leaders < best.leaders)) best = load;
  }
  if (best === undefined) return blocked(`${reason}; no other replica can lead now`);
  return decisionFor(range, { kind: "transfer-leader", to: best.store.storeId }, "admin", reason);
}

/** Level voters on stores that may lead. */
export function leaderCandidates(range: RangeState, index: ClusterIndex): ReplicaDescriptor[] {
  return range.descriptor.replicas.filter((replica) => {
    const load = index.stores.get(replica.storeId);
    if (load === undefined || replica.role !== "voter" || !mayLead(load)) return false;
    return replica.storeId === range.leader || isLevel(range, replica.replicaId, replica.storeId, index);
  });
}

function judgeSpread(range: RangeState, index: ClusterIndex): Verdict {
  if (!isCrowded(range, index)) return undefined;
  const members = loadsOf(range, index);
  const now = crowding(members);
  const wait = failedLately(range.descriptor.rangeId, "members", index);
  let reason = crowdingText(now);
  if (wait !== undefined) return blocked(`${reason}; ${wait}`);
  for (const replica of range.descriptor.replicas) {
    const load = index.stores.get(replica.storeId);
    if (load === undefined || !isVoter(replica)) continue;
    const rests = resting(replica, index);
    if (rests !== undefined) {
      reason = `${crowdingText(now)}; ${rests}`;
      continue;
    }
    const others = members.filter((member) => member !== load);
    const found = bestTarget(range, others, index);
    if (typeof found === "string") {
      reason = `${crowdingText(now)}; ${found}`;
      continue;
    }
    if (found.crowded >= crowdingWith(load, others)) continue;
    return addition(range, replica, "move", "balance-replicas", crowdingText(now), index);
  }
  return searchedInVain(`${reason}; no move makes it better`);
}

/** Why a replica that is well may not move now: it came to its store a moment ago. The others of its range may go meanwhile. */
export function resting({ replicaId, storeId }: ReplicaDescriptor, index: ClusterIndex): string | undefined {
  const { nowMs, settings } = index.state;
  const moved = index.history.movedMs.get(replicaId);
  if (moved === undefined || nowMs >= moved + settings.moveCooldownMs) return undefined;
  return `its replica on store ${storeId} came there ${Math.round((nowMs - moved) / 1000)} s ago`;
}

const isLarge = ({ descriptor, sizeBytes }: RangeState, { state }: ClusterIndex): boolean =>
  descriptor.rangeId !== metaRangeId && sizeBytes > state.settings.splitBytes;

function judgeSplit(range: RangeState, index: ClusterIndex): Verdict {
  if (!isLarge(range, index)) return undefined;
  const { settings, colocatedPrefixes } = index.state;
  const reason = `${range.sizeBytes} bytes, more than ${settings.splitBytes}`;
  const prefix = unsplittable(range.descriptor, colocatedPrefixes);
  if (prefix !== undefined) return blocked(`${reason}; all its keys are co-located`);
  const wait = failedLately(range.descriptor.rangeId, "split", index);
  if (wait !== undefined) return blocked(`${reason}; ${wait}`);
  const count = Math.max(2, Math.min(settings.splitPartsMax, Math.ceil(range.sizeBytes / (settings.splitBytes / 2))));
  const goal: OperatorGoal = { kind: "split", count, keys: [], prefixes: colocatedPrefixes, parts: [] };
  return decisionFor(range, goal, "split", reason);
}

/** What it has something to say about is left alone by all others. */
export const quorumRule: RangeRule = {
  name: "quorum",
  scheduler: undefined,
  fine: "a majority of its voters is healthy",
  judge: judgeQuorum,
  concerns: lacksQuorum,
  begins: "moves",
  sends: false,
};

/** In the order in which they are asked. */
export const rangeRules: readonly RangeRule[] = [
  quorumRule,
  // Before repair: what is too many, and lost, is taken away rather than made anew.
  {
    name: "excess",
    scheduler: "repair",
    fine: "it has no replica too many",
    judge: judgeExcess,
    concerns: hasExcess,
    begins: "moves",
    sends: false,
  },
  {
    name: "repair",
    scheduler: "repair",
    fine: "it has all its replicas, none on a store given up",
    judge: judgeRepair,
    concerns: lacksReplicas,
    begins: "moves",
    sends: true,
  },
  {
    name: "decommission",
    scheduler: undefined,
    fine: "no replica is on a store that leaves",
    judge: judgeDecommission,
    concerns: isLeaving,
    begins: "moves",
    sends: true,
  },
  {
    name: "drain",
    scheduler: undefined,
    fine: "its leader's store may lead",
    judge: judgeDrain,
    concerns: (range, index) => ledWrongly(range, index) !== undefined,
    begins: "transfers",
    sends: false,
  },
  {
    name: "split",
    scheduler: "split",
    fine: "it is no larger than a range should be",
    judge: judgeSplit,
    concerns: isLarge,
    begins: "splits",
    sends: false,
  },
  {
    name: "split-by-load",
    scheduler: "split",
    fine: "it has no more load than a range should, or none is split by load",
    judge: judgeLoadSplit,
    concerns: isHotRange,
    begins: "splits",
    sends: false,
  },
  {
    name: "merge",
    scheduler: "merge",
    fine: "it and its right neighbour are not both small, or none merge by themselves",
    judge: judgeMerge,
    concerns: isSmallBesideSmall,
    begins: "merges",
    sends: false,
  },
  {
    name: "spread",
    scheduler: "balance-replicas",
    fine: "its replicas are spread as well as can be",
    judge: judgeSpread,
    concerns: isCrowded,
    begins: "moves",
    sends: true,
  },
];
