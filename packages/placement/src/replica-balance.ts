/**
 * Even numbers of replicas over stores, and where these are even, of bytes. A move for numbers takes two stores nearer to
 * each other; one for bytes does so in bytes, and never so that a move for numbers would follow. So it ends; a replica that
 * came to its store a moment ago stays for a while, so nothing goes to and fro.
 */
import { noReplica } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { ClusterIndex, StoreLoad } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { Decision } from "./operator.ts";
import { isPending, memberOn, quorumMissing } from "./quorum.ts";
import { resting } from "./range-rules.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import { crowdingWith, loadsOf, senderBusy, targetBusy, targetRefused } from "./spread.ts";

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
}

const measures: readonly Measure[] = [
  { of: ({ replicas }) => replicas, uneven: ({ replicas }) => replicas },
  { of: ({ bytes }) => bytes, uneven: ({ bytes }) => bytes },
];

/** Moves of one round, at most `limit`. `take` counts each at once, so that the next one sees it. */
export function balanceReplicas(index: ClusterIndex, limit: number, take: (decision: Decision) => void): void {
  let searches = index.state.settings.searchesPerRoundMax;
  let moves = 0;
  for (const measure of measures) {
    const stuck = new Set<StoreId>();
    while (moves < limit && searches > 0) {
      const uneven = unevenness(index);
      const from = fullest(index, stuck, measure);
      const to = from === undefined ? undefined : emptiest(index, measure);
      if (from === undefined || to === undefined || measure.of(from) - measure.of(to) < measure.uneven(uneven)) break;
      let decision: Decision | undefined;
      const { ranges } = from;
      // Not always the same ones first, so that those that cannot move do not hide the others for ever.
      const offset = ranges.length === 0 ? 0 : Math.floor(index.state.nowMs / 1000) % ranges.length;
      for (let i = 0; i < ranges.length && decision === undefined && searches > 0; i++, searches--)
        decision = moveFrom(ranges[(offset + i) % ranges.length]!, from, uneven, index);
      if (decision === undefined) {
        stuck.add(from.store.storeId);
        continue;
      }
      take(decision);
      moves++;
    }
  }
}

function moveFrom(range: RangeState, from: StoreLoad, uneven: Unevenness, index: ClusterIndex): Decision | undefined {
  if (index.operators.has(range.descriptor.rangeId)) return undefined;
  const verdict = judgeMove(range, from, uneven, index);
  return verdict !== undefined && "decision" in verdict ? verdict.decision : undefined;
}

/** Whether the range's replica on `from` should go elsewhere for the sake of balance. */
function judgeMove(range: RangeState, from: StoreLoad, uneven: Unevenness, index: ClusterIndex): Verdict {
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
  for (const to of index.stores.values()) {
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
    const verdict = judgeMove(range, from, uneven, index);
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
  return (
    to.replicas + 1 - uneven.replicasMin < uneven.replicas && uneven.replicasMax - from.replicas + 1 < uneven.replicas
  );
}

const isBetter = (a: StoreLoad, b: StoreLoad): boolean =>
  a.replicas !== b.replicas ? a.replicas < b.replicas : a.bytes < b.bytes;

function fullest(index: ClusterIndex, stuck: ReadonlySet<StoreId>, { of }: Measure): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of index.stores.values()) {
    if (load.store.membership !== "active" || load.store.health !== "live" || stuck.has(load.store.storeId)) continue;
    if (best === undefined || of(load) > of(best) || (of(load) === of(best) && isBetter(best, load))) best = load;
  }
  return best;
}

function emptiest(index: ClusterIndex, { of }: Measure): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of index.stores.values()) {
    if (targetRefused(load, 0, index.state.settings) !== undefined) continue;
    if (best === undefined || of(load) < of(best) || (of(load) === of(best) && isBetter(load, best))) best = load;
  }
  return best;
}
