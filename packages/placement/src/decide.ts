/** One round of the placement driver: what should be begun now, and why. Linear in the number of ranges. */
import type { ClusterIndex, StoreLoad } from "./cluster-index.ts";
import { foreseeOperator } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { balanceLeaders } from "./leader-balance.ts";
import type { LedRange } from "./leader-balance.ts";
import { balanceLoad, isHot } from "./load-balance.ts";
import type { Decision, Operator } from "./operator.ts";
import { leaderCandidates, leaderRefused, rangeRules } from "./range-rules.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import { balanceReplicas } from "./replica-balance.ts";
import type { Verdict } from "./range-verdict.ts";

/** What a round may still begin. */
interface Budget {
  moves: number;
  transfers: number;
  splits: number;
  merges: number;
  /** Looks at ranges whose search for a place is long and that came to nothing. */
  searches: number;
}

/**
 * At most one decision a range, none for a range that an operator works on. The index is used up: its counts are moved on as if
 * what was decided had been done.
 */
export function decide(index: ClusterIndex): Decision[] {
  const { settings, operators, paused } = index.state;
  const own = operators.filter(({ source }) => source !== "admin").length;
  const free = Math.max(0, settings.operatorsMax - own);
  const merging = operators.filter(({ source, goal }) => source !== "admin" && goal.kind === "merge").length;
  const budget: Budget = {
    moves: Math.min(free, settings.movesPerRoundMax),
    transfers: settings.leaderTransfersPerRoundMax,
    splits: Math.min(free, settings.splitsPerRoundMax),
    merges: Math.min(free, settings.mergesPerRoundMax, settings.mergesMax - merging),
    searches: settings.searchesPerRoundMax,
  };
  const decisions: Decision[] = [];
  const decided = new Map(index.operators);
  const view: ClusterIndex = { ...index, operators: decided };
  const take = (decision: Decision): void => {
    decisions.push(decision);
    decided.set(decision.rangeId, asOperator(decision));
    if (decision.goal.kind === "merge") decided.set(decision.goal.rightRangeId, asOperator(decision));
    foreseeOperator(decision, index.ranges, index.stores);
  };
  decideNeeds(view, budget, take);
  // Even counts are worth nothing while ranges lack replicas: the same snapshots are needed for those.
  const needs = decisions.some(({ goal, source }) => goal.kind === "repair" || source === "admin");
  if (!needs && !paused.has("balance-replicas")) balanceReplicas(view, budget.moves, take);
  if (!paused.has("balance-leaders")) decideLeaders(view, budget, take);
  if (!paused.has("balance-load")) balanceLoad(view, take);
  return decisions;
}

function asOperator(decision: Decision): Operator {
  return {
    ...decision,
    operatorId: 0,
    createdMs: 0,
    deadlineMs: 0,
    state: "running",
    endsAs: "cancelled",
    outcome: "",
    endedMs: 0,
  };
}

/** The rules of single ranges, each rule over all ranges before the next one: a repair anywhere goes before a split. */
function decideNeeds(index: ClusterIndex, budget: Budget, take: (decision: Decision) => void): void {
  const { ranges, nowMs, paused, settings } = index.state;
  const active = rangeRules.filter(({ scheduler }) => scheduler === undefined || !paused.has(scheduler));
  const able: RangeState[] = [];
  // A round each second goes on where the one before may have stopped, so that every range has its turn.
  const offset = ranges.length === 0 ? 0 : (Math.floor(nowMs / 1000) * settings.searchesPerRoundMax) % ranges.length;
  for (let i = 0; i < ranges.length; i++) {
    const range = ranges[(offset + i) % ranges.length]!;
    if (index.operators.has(range.descriptor.rangeId)) continue;
    if (active[0]!.judge(range, index) === undefined) able.push(range);
  }
  for (const rule of active.slice(1)) {
    for (const range of able) {
      if (budget.searches <= 0) break;
      if (index.operators.has(range.descriptor.rangeId)) continue;
      const verdict = rule.judge(range, index);
      if (verdict === undefined) continue;
      if ("blocked" in verdict) {
        if (verdict.searched === true) budget.searches--;
      } else if (spend(verdict.decision, budget)) take(verdict.decision);
      else break;
    }
    budget.searches = settings.searchesPerRoundMax;
  }
}

/** False when the round has begun enough of this kind. */
function spend({ goal }: Decision, budget: Budget): boolean {
  if (goal.kind === "transfer-leader") return budget.transfers-- > 0;
  if (goal.kind === "split") return budget.splits-- > 0;
  if (goal.kind === "merge") return budget.merges-- > 0;
  return budget.moves-- > 0;
}

function decideLeaders(index: ClusterIndex, budget: Budget, take: (decision: Decision) => void): void {
  const stores = [...index.stores.values()].filter((load) => leaderRefused(load) === undefined);
  const counts = stores.map(({ leaders }) => leaders);
  if (budget.transfers <= 0 || Math.max(...counts) - Math.min(...counts) < 2) return;
  const ranges: LedRange[] = [];
  const fewest = Math.min(...counts);
  // The round's transfers come from the few stores that lead most; the others are not even looked at.
  let sources = 0;
  for (const load of [...stores].sort((a, b) => b.leaders - a.leaders)) {
    if (load.leaders - fewest < 2 || sources >= budget.transfers) break;
    const known = ranges.length;
    for (const range of load.ranges) {
      const led = range.leader === load.store.storeId ? transferable(range, load, index) : undefined;
      if (led !== undefined) ranges.push(led);
    }
    if (ranges.length > known) sources++;
  }
  const leaders = new Map(stores.map((load) => [load.store.storeId, load.leaders]));
  const transfers = balanceLeaders({ stores: [...leaders.keys()], ranges, leaders }, budget.transfers);
  for (const { rangeId, to, reason } of transfers) {
    const goal = { kind: "transfer-leader" as const, to };
    take(decisionFor(index.ranges.get(rangeId)!, goal, "balance-leaders", reason).decision);
  }
}

/** Undefined when no store that could lead it leads fewer. */
function transferable(range: RangeState, leading: StoreLoad, index: ClusterIndex): LedRange | undefined {
  const { rangeId, epoch } = range.descriptor;
  if (index.operators.has(rangeId) || failedLately(rangeId, "leader", index) !== undefined) return undefined;
  if (isHot(range, index)) return undefined;
  const candidates = leaderCandidates(range, index)
    .map(({ storeId }) => storeId)
    .filter((storeId) => leading.leaders - index.stores.get(storeId)!.leaders >= 2);
  return candidates.length === 0 ? undefined : { rangeId, epoch, leader: range.leader, candidates };
}

/** For `range explain`: whether the range's leadership should go to another store for the sake of balance. */
export function judgeLeaderBalance(range: RangeState, index: ClusterIndex): Verdict {
  const leading = index.stores.get(range.leader);
  if (leading === undefined) return { blocked: "no leader has reported" };
  const { rangeId, epoch } = range.descriptor;
  const candidates = leaderCandidates(range, index).filter(({ storeId }) => storeId !== range.leader);
  const better = candidates.filter(({ storeId }) => leading.leaders - index.stores.get(storeId)!.leaders >= 2);
  if (better.length === 0) return undefined;
  const wait =
    (isHot(range, index) ? "it is hot: it moves for the balance of load only" : undefined) ??
    failedLately(rangeId, "leader", index) ??
    (leaderRefused(leading) === undefined ? undefined : "see drain");
  if (wait !== undefined) return { blocked: wait };
  const to = better.reduce((a, b) =>
    index.stores.get(b.storeId)!.leaders < index.stores.get(a.storeId)!.leaders ? b : a,
  ).storeId;
  const reason = `store ${range.leader} leads ${leading.leaders} ranges, store ${to} leads ${index.stores.get(to)!.leaders}`;
  return {
    decision: { rangeId, epoch, goal: { kind: "transfer-leader", to }, source: "balance-leaders", reason, bytes: 0 },
  };
}
