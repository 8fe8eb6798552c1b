/**
 * Even spread of leaders over stores: from stores that lead many to those that lead few, among the members of a range that could
 * take it over. Each transfer takes two stores nearer to each other, so it ends.
 */
import { metaRangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { wouldUneven } from "./load-balance.ts";
import type { Decision } from "./operator.ts";
import { isLevel, memberOn } from "./quorum.ts";
import { leaderRefused, mayLead } from "./range-rules.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import type { StoreLoad } from "./store-load.ts";

/** Less than this, or less than this share of the mean, is not worth a transfer. */
const differenceMin = 2;
const differenceShare = 0.02;
/** Ranges that a round looks at in vain; the next one goes on with the stores whose turn it was not. */
const vainLooksMax = 1000;

/** What two stores may differ by: less than this. */
function unevenLeaders(able: readonly StoreLoad[]): number {
  const leaders = able.reduce((sum, load) => sum + load.leaders, 0);
  return Math.max(differenceMin, Math.ceil((differenceShare * leaders) / Math.max(1, able.length)));
}

const ableToLead = (index: ClusterIndex): StoreLoad[] => [...index.stores.values()].filter(mayLead);

/** Transfers of one round, at most `limit`. `take` counts each at once, so that the next one sees it. */
export function balanceLeaders(index: ClusterIndex, limit: number, take: (decision: Decision) => void): void {
  if (index.vainTransfers.holds(index)) return;
  const able = ableToLead(index);
  const uneven = unevenLeaders(able);
  const mean = able.reduce((sum, load) => sum + load.leaders, 0) / Math.max(1, able.length);
  const { sources, targets } = index.vainTransfers;
  const looks = { left: vainLooksMax };
  let transfers = 0;
  while (transfers < limit && looks.left > 0) {
    const most = extreme(able, sources, (load) => load.leaders);
    const fewest = extreme(able, targets, (load) => -load.leaders);
    if (most === undefined || fewest === undefined || most.leaders - fewest.leaders < uneven) {
      index.vainTransfers.end(index, transfers === 0);
      return;
    }
    // Whoever is farther from the mean is helped first, by the one that is farthest on the other side.
    const fromMost = most.leaders - mean >= mean - fewest.leaders;
    const others = able.filter((load) =>
      fromMost ? most.leaders - load.leaders >= uneven : load.leaders - fewest.leaders >= uneven,
    );
    const decision = fromMost ? transferFrom(most, others, looks, index) : transferTo(fewest, others, looks, index);
    if (decision === undefined) {
      if (fromMost) sources.add(most);
      else targets.add(fewest);
      continue;
    }
    take(decision);
    transfers++;
  }
}

function extreme(
  able: readonly StoreLoad[],
  vain: ReadonlySet<StoreLoad>,
  of: (load: StoreLoad) => number,
): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const load of able) if (!vain.has(load) && (best === undefined || of(load) > of(best))) best = load;
  return best;
}

/** Of the ranges that the store leads one that goes to a store which leads as few as possible. */
function transferFrom(
  from: StoreLoad,
  others: StoreLoad[],
  looks: { left: number },
  index: ClusterIndex,
): Decision | undefined {
  for (const to of others.sort((a, b) => a.leaders - b.leaders)) {
    const range = between(from, to, looks, index);
    if (range !== undefined) return transfer(range, from, to);
  }
  return undefined;
}

/** Of the ranges with a member on the store one whose leader leads as many as possible. */
function transferTo(
  to: StoreLoad,
  others: StoreLoad[],
  looks: { left: number },
  index: ClusterIndex,
): Decision | undefined {
  for (const from of others.sort((a, b) => b.leaders - a.leaders)) {
    const range = between(from, to, looks, index);
    if (range !== undefined) return transfer(range, from, to);
  }
  return undefined;
}

/** A range that the one leads, and the other could. */
function between(from: StoreLoad, to: StoreLoad, looks: { left: number }, index: ClusterIndex): RangeState | undefined {
  for (const id of from.ledBeside.get(to.store.storeId) ?? []) {
    const range = index.ranges.get(id)!;
    if (!index.isBusy(id) && waits(range, from, to, index) === undefined && canLead(range, to, index)) return range;
    looks.left--;
  }
  return undefined;
}

/** Its replica is a voter and level. */
function canLead(range: RangeState, { store }: StoreLoad, index: ClusterIndex): boolean {
  const member = memberOn(range.descriptor, store.storeId);
  return member?.role === "voter" && isLevel(range, member.replicaId, store.storeId, index);
}

/** Of the stores that could take the range over the one that leads fewest; undefined when none leads so many less. */
function heirOf(range: RangeState, from: StoreLoad, uneven: number, index: ClusterIndex): StoreLoad | undefined {
  let best: StoreLoad | undefined;
  for (const { storeId } of range.descriptor.replicas) {
    const load = index.stores.get(storeId);
    if (load === undefined || from.leaders - load.leaders < uneven) continue;
    if (best !== undefined && load.leaders >= best.leaders) continue;
    if (mayLead(load) && canLead(range, load, index)) best = load;
  }
  return best;
}

function waits(range: RangeState, from: StoreLoad, to: StoreLoad, index: ClusterIndex): string | undefined {
  if (range.descriptor.rangeId === metaRangeId)
    return "it is the meta range: the placement driver would change with it";
  if (wouldUneven(range, from, to, index))
    return "it is hot, and would only make the other store the one with most load";
  return failedLately(range.descriptor.rangeId, "leader", index);
}

function transfer(range: RangeState, from: StoreLoad, to: StoreLoad): Decision {
  const reason = `store ${from.store.storeId} leads ${from.leaders} ranges, store ${to.store.storeId} leads ${to.leaders}`;
  const goal = { kind: "transfer-leader" as const, to: to.store.storeId };
  return decisionFor(range, goal, "balance-leaders", reason).decision;
}

/** For `range explain`: whether the range's leadership should go to another store for the sake of balance. */
export function judgeLeaderBalance(range: RangeState, index: ClusterIndex): Verdict {
  const leading = index.stores.get(range.leader);
  if (leading === undefined) return { blocked: "no leader has reported" };
  const to = heirOf(range, leading, unevenLeaders(ableToLead(index)), index);
  if (to === undefined) return undefined;
  const wait =
    waits(range, leading, to, index) ??
    (mayLead(leading) ? undefined : leading.store.stopping ? leaderRefused(leading) : "see drain");
  return wait === undefined ? { decision: transfer(range, leading, to) } : { blocked: wait };
}
