/**
 * Even load over stores, by leader transfers: what a range costs is for the most part its leader's. Damped in four ways, for
 * loads are measured with a delay: one transfer at a time, and none until the one before shows; only when two stores differ by a
 * share of the mean; only when the transfer takes a good part of that difference away; and no range twice within
 * `moveCooldownMs`. Even counts of leaders never undo it: a hot range goes for their sake only where loads do not get more
 * uneven. So what one of the two has done is no reason for the other, and both end.
 */
import { metaRangeId } from "@flotilla/base";
import type { LoadReport } from "@flotilla/transport";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { Decision } from "./operator.ts";
import { leaderCandidates } from "./range-rules.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import type { StoreLoad } from "./store-load.ts";

/** An operation costs about as much as another KiB of key and value. Whole, so that sums do not drift. */
export const loadUnits = ({ operationsPerSecond, bytesPerSecond }: LoadReport): number =>
  Math.round(operationsPerSecond + bytesPerSecond / 1024);

/** Differences below this are no load to speak of. */
const unitsMin = 100;
/** From a transfer until the rates of both stores show it. */
const settleMs = 30_000;
/** Of the difference between the two stores, what a transfer has to take away. */
const gainMin = 0.25;

/** Whether a transfer that evens counts out would make loads more uneven than they are. */
export function wouldUneven({ load }: RangeState, from: StoreLoad, to: StoreLoad, { state }: ClusterIndex): boolean {
  const units = loadUnits(load);
  return state.settings.balanceLoadPercent > 0 && units >= unitsMin && from.load - to.load < units;
}

const isUsable = ({ store }: StoreLoad): boolean => store.membership === "active" && store.health === "live";

/** At most one decision a round. */
export function balanceLoad(index: ClusterIndex, take: (decision: Decision) => void): void {
  if (index.state.settings.balanceLoadPercent === 0 || settling(index) !== undefined) return;
  const stores = [...index.stores.values()].filter(isUsable).sort((a, b) => b.load - a.load);
  const least = stores.at(-1);
  for (const from of stores) {
    if (from.load - least!.load < unevenLoad(index)) return;
    let best: { decision: Decision; gain: number } | undefined;
    for (const id of from.led) {
      const range = index.ranges.get(id)!;
      if (index.isBusy(id)) continue;
      const found = transferOf(range, from, index);
      if (found !== undefined && "decision" in found && found.gain > (best?.gain ?? 0)) best = found;
    }
    if (best !== undefined) return take(best.decision);
  }
}

function unevenLoad(index: ClusterIndex): number {
  const usable = [...index.stores.values()].filter(isUsable);
  const mean = usable.reduce((sum, { load }) => sum + load, 0) / Math.max(1, usable.length);
  return Math.max(unitsMin, (mean * index.state.settings.balanceLoadPercent) / 100);
}

function settling({ state, history, operatorsForLoad }: ClusterIndex): string | undefined {
  if (operatorsForLoad > 0) return "another transfer for load is under way";
  const lastMs = history.lastForLoadMs;
  if (state.nowMs >= lastMs + settleMs) return undefined;
  return `a transfer for load ended ${Math.round((state.nowMs - lastMs) / 1000)} s ago, and has to show first`;
}

function transferOf(
  range: RangeState,
  from: StoreLoad,
  index: ClusterIndex,
): { decision: Decision; gain: number } | { blocked: string } | undefined {
  const units = loadUnits(range.load);
  const { rangeId } = range.descriptor;
  if (units < unitsMin || rangeId === metaRangeId) return undefined;
  let to: StoreLoad | undefined;
  for (const { storeId } of leaderCandidates(range, index)) {
    const load = index.stores.get(storeId)!;
    if (load !== from && (to === undefined || load.load < to.load)) to = load;
  }
  if (to === undefined) return { blocked: "no other replica can lead now" };
  const difference = from.load - to.load;
  if (difference < unevenLoad(index)) return undefined;
  const gain = difference - Math.abs(difference - 2 * units);
  if (gain < gainMin * difference)
    return { blocked: `its load, ${Math.round(units)}, would only make store ${to.store.storeId} the one with most` };
  const moved = index.history.ledForLoadMs.get(rangeId);
  const { nowMs, settings } = index.state;
  if (moved !== undefined && nowMs < moved + settings.moveCooldownMs)
    return { blocked: `its leader moved for load ${Math.round((nowMs - moved) / 1000)} s ago` };
  const wait = failedLately(rangeId, "leader", index);
  if (wait !== undefined) return { blocked: wait };
  const reason = `store ${from.store.storeId} has a load of ${Math.round(from.load)}, store ${to.store.storeId} of ${Math.round(to.load)}`;
  const goal = { kind: "transfer-leader" as const, to: to.store.storeId };
  return { ...decisionFor(range, goal, "balance-load", reason), gain };
}

/** For `range explain`. */
export function judgeLoadBalance(range: RangeState, index: ClusterIndex): Verdict {
  if (index.state.settings.balanceLoadPercent === 0) return undefined;
  const from = index.stores.get(range.leader);
  if (from === undefined || !isUsable(from)) return undefined;
  const found = transferOf(range, from, index);
  if (found === undefined || "blocked" in found) return found;
  const wait = settling(index);
  return wait === undefined ? { decision: found.decision } : { blocked: wait };
}
