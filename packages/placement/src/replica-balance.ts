/**
 * Even numbers of replicas over stores, and where these are even, of bytes. A move for numbers takes two stores nearer to
 * each other; one for bytes does so in bytes, and never so that a move for numbers would follow. So it ends; a replica that
 * came to its store a moment ago stays for a while, so nothing goes to and fro.
 */
import { noReplica } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { Decision } from "./operator.ts";
import { isPending, memberOn, quorumMissing } from "./quorum.ts";
import { resting } from "./range-rules.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import { canSendNow, canTakeNow, crowdingWith, loadsOf, senderBusy, targetBusy, targetRefused } from "./spread.ts";
import { toEnd } from "./store-load.ts";
import type { StoreLoad } from "./store-load.ts";

/** What two stores may differ by, and the extremes that there are. */
export interface Unevenness {
  /** Less than this in replicas. */
  readonly replicas: number;
  /** Less than this in bytes. */
  readonly bytes: number;
  readonly replicasMin: number;
  readonly replicasMax: number;
}

export function unevenness(index: ClusterIndex): Unevenness {
  const { balanceShare, splitBytes } = index.state.settings;
  let [replicas, bytes, stores] = [0, 0, 0];
  let [replicasMin, replicasMax] = [Infinity, 0];
  for (const load of index.stores.values()) {
    if (load.store.membership !== "active" || load.store.health === "dead") continue;
    replicas += load.replicas;
    bytes += load.bytes;
    stores++;
    replicasMin = Math.min(replicasMin, load.replicas);
    replicasMax = Math.max(replicasMax, load.replicas);
  }
  const share = balanceShare / Math.max(1, stores);
  return {
    replicas: Math.max(2, Math.ceil(share * replicas)),
    bytes: Math.max(splitBytes, share * bytes),
    replicasMin,
    replicasMax,
  };
}

/** By what a store is the fullest. */
interface Measure {
  readonly of: (load: StoreLoad) => number;
  readonly uneven: (unevenness: Unevenness) => number;
  /** It may give, or take, one for the sake of this. */
  readonly gives: (load: StoreLoad, unevenness: Unevenness) => boolean;
  readonly takes: (load: StoreLoad, unevenness: Unevenness) => boolean;
}

const measures: readonly Measure[] = [
  { of: ({ replicas }) => replicas, uneven: ({ replicas }) => replicas, gives: () => true, takes: () => true },
  { of: ({ bytes }) => bytes, uneven: ({ bytes }) => bytes, gives: givesOne, takes: takesOne },
];

/** Moves of one round, at most `limit`. `take` counts each at once, so that the next one sees it. */
export function balanceReplicas(index: ClusterIndex, limit: number, take: (decision: Decision) => void): void {
  if (limit <= 0 || index.vainMoves.holds(index)) return;
  const { settings } = index.state;
  const searches = { left: settings.searchesPerRoundMax };
  let moves = 0;
  let looked = false;
  for (const measure of measures) {
    const stuck = new Set<StoreLoad>();
    while (moves < limit && searches.left > 0) {
      const uneven = unevenness(index);
      const able = [...index.stores.values()].filter(
        (load) => canTakeNow(load, settings) && measure.takes(load, uneven),
      );
      const from = fullest(index, stuck, measure, uneven);
      if (from === undefined) break;
      const targets = able.filter((to) => measure.of(from) - measure.of(to) >= measure.uneven(uneven));
      if (targets.length === 0) break;
      const decision = moveFrom(from, targets, uneven, index, searches);
      if (decision === undefined) {
        stuck.add(from);
        continue;
      }
      take(decision);
      moves++;
    }
    looked ||= stuck.size > 0;
  }
  // With ranges not looked at for want of searches the next round goes on.
  if (moves === 0 && looked && searches.left > 0) index.vainMoves.note(index);
}

/** Of the ranges on the store, those that are there longest first, one that should move and can. */
function moveFrom(
  from: StoreLoad,
  targets: readonly StoreLoad[],
  uneven: Unevenness,
  index: ClusterIndex,
  searches: { left: number },
): Decision | undefined {
  const inVain: RangeId[] = [];
  for (const id of from.ranges) {
    if (searches.left-- <= 0) break;
    const range = index.ranges.get(id)!;
    const verdict =
      index.isBusy(id) || !canSendNow(range, index) ? undefined : judgeMove(range, from, targets, uneven, index);
    if (verdict !== undefined && "decision" in verdict) return verdict.decision;
    inVain.push(id);
  }
  // The next round goes on behind those that cannot move, so that they do not hide the others for ever.
  if (inVain.length < from.ranges.size) for (const id of inVain) toEnd(from.ranges, id);
  return undefined;
}

/** Whether the range's replica on `from` should go elsewhere for the sake of balance. */
function judgeMove(
  range: RangeState,
  from: StoreLoad,
  targets: Iterable<StoreLoad>,
  uneven: Unevenness,
  index: ClusterIndex,
): Verdict {
  const { settings } = index.state;
  const { rangeId, replicas } = range.descriptor;
  const old = memberOn(range.descriptor, from.store.storeId);
  if (old === undefined) return undefined;
  if (replicas.some(({ role }) => role !== "voter")) return { blocked: "its members are changing" };
  const wait =
    resting(old, index) ??
    failedLately(rangeId, "members", index) ??
    (isPending(range) ? "its members are changing" : quorumMissing(range, index));
  if (wait !== undefined) return { blocked: wait };
  const busy = senderBusy(range, index);
  if (busy !== undefined) return { blocked: busy };
  const others = loadsOf(range, index, from.store.storeId);
  const crowded = crowdingWith(from, others);
  let best: StoreLoad | undefined;
  let why = "";
  for (const to of targets) {
    if (memberOn(range.descriptor, to.store.storeId) !== undefined || !evens(from, to, range.sizeBytes, uneven))
      continue;
    const refused = targetRefused(to, range.sizeBytes, settings) ?? targetBusy(to, settings);
    if (refused !== undefined) why = refused;
    else if (crowdingWith(to, others) > crowded) why = `store ${to.store.storeId} would spread it worse`;
    else if (best === undefined || isBetter(to, best)) best = to;
  }
  if (best === undefined) return why === "" ? undefined : { blocked: why };
  const unit = from.replicas - best.replicas >= uneven.replicas ? "replicas" : "bytes";
  const reason = `store ${from.store.storeId} has ${from[unit]} ${unit}, store ${best.store.storeId} has ${best[unit]}`;
  const goal = { kind: "move" as const, from: from.store.storeId, to: best.store.storeId, replicaId: noReplica };
  return decisionFor(range, goal, "balance-replicas", reason, range.sizeBytes);
}

/** For `range explain`: the first of its replicas, fullest store first, that should move. */
export function judgeBalance(range: RangeState, index: ClusterIndex): Verdict {
  const uneven = unevenness(index);
  let first: Verdict;
  for (const from of loadsOf(range, index).sort((a, b) => b.replicas - a.replicas)) {
    const verdict = judgeMove(range, from, index.stores.values(), uneven, index);
    if (verdict !== undefined && "decision" in verdict) return verdict;
    first ??= verdict;
  }
  return first;
}

/** Whether a move would take the two nearer to each other in replicas; or in bytes, and leave all even enough in replicas. */
function evens(from: StoreLoad, to: StoreLoad, sizeBytes: number, uneven: Unevenness): boolean {
  if (from.replicas - to.replicas >= uneven.replicas) return true;
  const difference = from.bytes - to.bytes;
  if (difference < uneven.bytes || sizeBytes === 0 || 2 * sizeBytes > difference) return false;
  return takesOne(to, uneven) && givesOne(from, uneven);
}

/** All are even enough in replicas also when the store has one more, or one less. */
function takesOne({ replicas }: StoreLoad, uneven: Unevenness): boolean {
  return replicas + 1 - uneven.replicasMin < uneven.replicas;
}
function givesOne({ replicas }: StoreLoad, uneven: Unevenness): boolean {
  return uneven.replicasMax - replicas + 1 < uneven.replicas;
}

const isBetter = (a: StoreLoad, b: StoreLoad): boolean =>
  a.replicas !== b.replicas ? a.replicas < b.replicas : a.bytes < b.bytes;

function fullest(
  index: ClusterIndex,
  stuck: ReadonlySet<StoreLoad>,
  { of, gives }: Measure,
  uneven: Unevenness,
): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of index.stores.values()) {
    if (load.store.membership !== "active" || load.store.health !== "live" || stuck.has(load)) continue;
    if (!gives(load, uneven)) continue;
    if (best === undefined || of(load) > of(best) || (of(load) === of(best) && isBetter(best, load))) best = load;
  }
  return best;
}
