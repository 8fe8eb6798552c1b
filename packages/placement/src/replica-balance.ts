/**
 * Even numbers of replicas, and then of bytes, over stores. Each move takes two stores nearer to each other and none
 * apart, so it ends; a range that moved is left alone for a while, so nothing goes to and fro.
 */
import { noReplica } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { ClusterIndex, StoreLoad } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { Decision } from "./operator.ts";
import { isPending, memberOn, quorumMissing } from "./quorum.ts";
import { coolingDown, decisionFor } from "./range-rules.ts";
import type { Verdict } from "./range-rules.ts";
import { crowdingWith, loadsOf, senderBusy, targetBusy, targetRefused } from "./spread.ts";

/** Two stores may differ by less than this. */
export function unevenReplicas(index: ClusterIndex): number {
  let replicas = 0;
  let stores = 0;
  for (const load of index.stores.values()) {
    if (load.store.membership !== "active" || load.store.health === "dead") continue;
    replicas += load.replicas;
    stores++;
  }
  return Math.max(2, Math.ceil((index.state.settings.balanceShare * replicas) / Math.max(1, stores)));
}

/** Moves of one round, best first, at most `limit`. `take` counts each at once, so that the next one sees it. */
export function balanceReplicas(index: ClusterIndex, limit: number, take: (decision: Decision) => void): void {
  const uneven = unevenReplicas(index);
  let searches = index.state.settings.searchesPerRoundMax;
  const stuck = new Set<StoreId>();
  for (let moves = 0; moves < limit && searches > 0;) {
    const from = fullest(index, stuck);
    const to = from === undefined ? undefined : emptiest(index);
    if (from === undefined || to === undefined || from.replicas - to.replicas < uneven) break;
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

function moveFrom(range: RangeState, from: StoreLoad, uneven: number, index: ClusterIndex): Decision | undefined {
  if (index.operators.has(range.descriptor.rangeId)) return undefined;
  const verdict = judgeMove(range, from, uneven, index);
  return verdict !== undefined && "decision" in verdict ? verdict.decision : undefined;
}

/** Whether the range's replica on `from` should go elsewhere for the sake of balance. */
function judgeMove(range: RangeState, from: StoreLoad, uneven: number, index: ClusterIndex): Verdict {
  const { settings } = index.state;
  if (range.descriptor.replicas.some(({ role }) => role !== "voter")) return { blocked: "its members are changing" };
  const wait =
    coolingDown(range, index) ?? (isPending(range) ? "its members are changing" : quorumMissing(range, index));
  if (wait !== undefined) return { blocked: wait };
  const busy = senderBusy(range, index);
  if (busy !== undefined) return { blocked: busy };
  const others = loadsOf(range, index, from.store.storeId);
  const crowded = crowdingWith(from, others);
  let best: StoreLoad | undefined;
  let why = "";
  for (const to of index.stores.values()) {
    if (from.replicas - to.replicas < uneven || memberOn(range.descriptor, to.store.storeId) !== undefined) continue;
    const refused = targetRefused(to, range.sizeBytes, settings) ?? targetBusy(to, settings);
    if (refused !== undefined) why = refused;
    else if (crowdingWith(to, others) > crowded) why = `store ${to.store.storeId} would spread it worse`;
    else if (best === undefined || isBetter(to, best)) best = to;
  }
  if (best === undefined) return why === "" ? undefined : { blocked: why };
  const reason = `store ${from.store.storeId} has ${from.replicas} replicas, store ${best.store.storeId} has ${best.replicas}`;
  const goal = { kind: "move" as const, from: from.store.storeId, to: best.store.storeId, replicaId: noReplica };
  return decisionFor(range, goal, "balance-replicas", reason, range.sizeBytes);
}

/** For `range explain`: the first of its replicas, fullest store first, that should move. */
export function judgeBalance(range: RangeState, index: ClusterIndex): Verdict {
  const uneven = unevenReplicas(index);
  let first: Verdict;
  for (const from of loadsOf(range, index).sort((a, b) => b.replicas - a.replicas)) {
    const verdict = judgeMove(range, from, uneven, index);
    if (verdict !== undefined && "decision" in verdict) return verdict;
    first ??= verdict;
  }
  return first;
}

const isBetter = (a: StoreLoad, b: StoreLoad): boolean =>
  a.replicas !== b.replicas ? a.replicas < b.replicas : a.bytes < b.bytes;

function fullest(index: ClusterIndex, stuck: ReadonlySet<StoreId>): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of index.stores.values()) {
    if (load.store.membership !== "active" || load.store.health !== "live" || stuck.has(load.store.storeId)) continue;
    if (best === undefined || isBetter(best, load)) best = load;
  }
  return best;
}

function emptiest(index: ClusterIndex): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of index.stores.values()) {
    if (targetRefused(load, 0, index.state.settings) !== undefined) continue;
    if (best === undefined || isBetter(load, best)) best = load;
  }
  return best;
}
