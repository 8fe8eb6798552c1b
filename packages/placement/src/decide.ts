/**
 * One round of the placement driver: what should be begun now, and why. It looks at the ranges that a rule has something to say
 * about, and at as many others as balance needs to find what to move.
 */
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { balanceLeaders } from "./leader-balance.ts";
import { balanceLoad } from "./load-balance.ts";
import type { Decision } from "./operator.ts";
import { quorumRule, rangeRules } from "./range-rules.ts";
import type { RangeRule, RoundLimits } from "./range-rules.ts";
import type { Verdict } from "./range-verdict.ts";
import { balanceReplicas } from "./replica-balance.ts";
import { canSendNow, someCanTake } from "./spread.ts";
import { toEnd } from "./store-load.ts";

/** Ranges that a round examines anew: with very many a change that concerns all of them takes several rounds to be seen. */
const examinedMax = 10_000;
/** Ranges that one rule looks at in a round. */
const looksMax = 4000;

/** At most one decision a range, none for a range that an operator works on. The index is left as it was. */
export function decide(index: ClusterIndex): Decision[] {
  const { settings, paused } = index.state;
  const isSeen = index.examine(examinedMax);
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
    // Nor while it is not known which do.
    const needs = !isSeen || decisions.some(({ goal, source }) => goal.kind === "repair" || source === "admin");
    if (!needs && !paused.has("balance-replicas")) balanceReplicas(index, limits.moves, take);
    if (isSeen && !paused.has("balance-leaders")) balanceLeaders(index, limits.transfers, take);
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
  const isOver = (): boolean => limits[rule.begins] <= 0 || (rule.sends && !someCanTake(index));
  if (ranges.size === 0 || isOver()) return;
  for (const id of ranges) {
    if (searches <= 0 || inVain.length >= looksMax) {
      // The next round goes on behind those that could not be helped, so that every range has its turn.
      for (const vain of inVain) toEnd(ranges, vain);
      return;
    }
    if (index.isBusy(id)) continue;
    const range = index.ranges.get(id);
    const verdict = range === undefined || withoutQuorum.has(id) ? undefined : judge(rule, range, index);
    if (verdict !== undefined && "decision" in verdict && quorumRule.judge(range!, index) === undefined) {
      limits[rule.begins]--;
      take(verdict.decision);
      if (isOver()) return;
      continue;
    }
    inVain.push(id);
    if (verdict !== undefined && "searched" in verdict && verdict.searched) searches--;
  }
}

/** Without the words of what is plain: thousands of ranges may wait for the same few stores. */
const judge = (rule: RangeRule, range: RangeState, index: ClusterIndex): Verdict =>
  rule.sends && !canSendNow(range, index) ? undefined : rule.judge(range, index);
