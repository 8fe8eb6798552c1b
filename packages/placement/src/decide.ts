/**
 * One round of the placement driver: what should be begun now, and why. It looks at the ranges that a rule has something to say
 * about, and at as many others as balance needs to find what to move.
 */
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import { balanceLeaders } from "./leader-balance.ts";
import { balanceLoad } from "./load-balance.ts";
import type { Decision } from "./operator.ts";
import { quorumRule, rangeRules } from "./range-rules.ts";
import type { RangeRule, RoundLimits } from "./range-rules.ts";
import { balanceReplicas } from "./replica-balance.ts";
import { toEnd } from "./store-load.ts";

/** Ranges that one rule looks at in a round. */
const looksMax = 10_000;

/** At most one decision a range, none for a range that an operator works on. The index is left as it was. */
export function decide(index: ClusterIndex): Decision[] {
  const { settings, paused } = index.state;
  const free = Math.max(0, settings.operatorsMax - index.operatorsOwn);
  const limits: RoundLimits = {
    moves: Math.min(free, settings.movesPerRoundMax),
    transfers: settings.leaderTransfersPerRoundMax,
    splits: Math.min(free, settings.splitsPerRoundMax),
    merges: Math.min(free, settings.mergesPerRoundMax, settings.mergesMax - index.mergesOwn),
  };
  const decisions: Decision[] = [];
  const take = (decision: Decision): void => {
    decisions.push(decision);
    index.foresee(decision);
  };
  try {
    for (const rule of rangeRules) {
      const isPaused = rule.scheduler !== undefined && paused.has(rule.scheduler);
      // Each rule over all ranges before the next one: a repair anywhere goes before a split.
      if (rule !== quorumRule && !isPaused) applyRule(rule, index, limits, take);
    }
    // Even counts are worth nothing while ranges lack replicas: the same snapshots are needed for those.
    const needs = decisions.some(({ goal, source }) => goal.kind === "repair" || source === "admin");
    if (!needs && !paused.has("balance-replicas")) balanceReplicas(index, limits.moves, take);
    if (!paused.has("balance-leaders")) balanceLeaders(index, limits.transfers, take);
    if (!paused.has("balance-load")) balanceLoad(index, take);
  } finally {
    index.forget();
  }
  return decisions;
}

function applyRule(
  rule: RangeRule,
  index: ClusterIndex,
  limits: RoundLimits,
  take: (decision: Decision) => void,
): void {
  const withoutQuorum = index.concerned(quorumRule);
  const ranges = index.concerned(rule);
  let searches = index.state.settings.searchesPerRoundMax;
  const inVain: RangeId[] = [];
  for (const id of ranges) {
    if (limits[rule.begins] <= 0) return;
    if (searches <= 0 || inVain.length >= looksMax) break;
    if (index.isBusy(id)) continue;
    const verdict = withoutQuorum.has(id) ? undefined : rule.judge(index.ranges.get(id)!, index);
    if (verdict !== undefined && "decision" in verdict) {
      limits[rule.begins]--;
      take(verdict.decision);
      continue;
    }
    inVain.push(id);
    if (verdict?.searched === true) searches--;
  }
  // The next round goes on behind those that could not be helped, so that every range has its turn.
  if (inVain.length < ranges.size) for (const id of inVain) toEnd(ranges, id);
}
