/** Why a range is as it is: every rule's verdict, by the code that the rounds use. */
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { judgeLeaderBalance } from "./leader-balance.ts";
import { judgeLoadBalance } from "./load-balance.ts";
import { judgeMerges } from "./merge-rules.ts";
import type { OperatorGoal } from "./operator.ts";
import { isVoter } from "./quorum.ts";
import { rangeRules } from "./range-rules.ts";
import type { RangeRule } from "./range-rules.ts";
import type { Verdict } from "./range-verdict.ts";
import { judgeBalance } from "./replica-balance.ts";

/** `acts`: it would be done now, if nothing weightier is. */
export interface ExplainLine {
  readonly rule: string;
  readonly verdict: "fine" | "acts" | "blocked" | "paused";
  readonly text: string;
}

type ExplainedRule = Pick<RangeRule, "name" | "scheduler" | "fine" | "judge">;

/** Some have more to say than what the rounds decide by. */
function explained(rule: RangeRule): ExplainedRule {
  if (rule.name === "merge") return { ...rule, judge: judgeMerges };
  if (rule.name !== "repair") return rule;
  return { ...rule, judge: (range, index) => rule.judge(range, index) ?? judgeAwaited(range, index) };
}

const explainedRules: readonly ExplainedRule[] = [
  ...rangeRules.map(explained),
  {
    name: "balance-replicas",
    scheduler: "balance-replicas",
    fine: "no other store has so many fewer replicas that a move pays",
    judge: judgeBalance,
  },
  {
    name: "balance-leaders",
    scheduler: "balance-leaders",
    fine: "no other member's store leads so many fewer ranges that a transfer pays",
    judge: judgeLeaderBalance,
  },
  {
    name: "balance-load",
    scheduler: "balance-load",
    fine: "no other member's store has so much less load that a transfer pays, or load is not balanced",
    judge: judgeLoadBalance,
  },
];

/** A store that is silent is waited for before its replicas are made anew: it may be back soon, with all that it has. */
function judgeAwaited({ descriptor }: RangeState, index: ClusterIndex): Verdict {
  const { storeDownMs } = index.state.settings;
  for (const replica of descriptor.replicas) {
    const store = index.stores.get(replica.storeId)?.store;
    if (store === undefined || store.health === "live" || !isVoter(replica)) continue;
    const silent = `store ${store.storeId} has not been heard of for ${seconds(store.downMs)}`;
    return { blocked: `${silent}; its replica is made anew after ${seconds(storeDownMs)}` };
  }
  return undefined;
}

const seconds = (ms: number): string => `${Math.round(ms / 1000)} s`;

/** Undefined when the range is not known. */
export function explainRange(id: RangeId, index: ClusterIndex): ExplainLine[] | undefined {
  const range = index.ranges.get(id);
  if (range === undefined) return undefined;
  const lines: ExplainLine[] = [];
  const running = index.operators.get(id);
  if (running !== undefined) {
    const text = `operator ${running.operatorId} works on it (${goalText(running.goal)}): nothing else is begun`;
    lines.push({ rule: "operator", verdict: "blocked", text });
  }
  for (const { name, scheduler, fine, judge } of explainedRules) {
    const verdict = judge(range, index);
    if (verdict === undefined) lines.push({ rule: name, verdict: "fine", text: fine });
    else if ("blocked" in verdict) lines.push({ rule: name, verdict: "blocked", text: verdict.blocked });
    else {
      const { decision } = verdict;
      const whose = decision.rangeId === id ? "" : `range ${decision.rangeId}: `;
      const text = `${whose}${goalText(decision.goal)}: ${decision.reason}`;
      const paused = scheduler !== undefined && index.state.paused.has(scheduler);
      lines.push({ rule: name, verdict: paused ? "paused" : "acts", text });
    }
  }
  return lines;
}

export function goalText(goal: OperatorGoal): string {
  switch (goal.kind) {
    case "move":
      return `move the replica on store ${goal.from} to store ${goal.to}`;
    case "repair":
      if (goal.from === 0) return `add a replica on store ${goal.to}`;
      return `replace the replica on store ${goal.from} by one on store ${goal.to}`;
    case "remove-replica":
      return `remove the replica on store ${goal.from}`;
    case "transfer-leader":
      return `make store ${goal.to} the leader`;
    case "split":
      return `split into ${goal.keys.length === 0 ? goal.count : goal.keys.length + 1}`;
    case "merge":
      return `take in range ${goal.rightRangeId}`;
    default:
      return goal satisfies never;
  }
}
