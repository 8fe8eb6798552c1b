/** What a rule says of a range. */
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { ChangeKind } from "./operator-history.ts";
import type { Decision, DecisionSource, OperatorGoal } from "./operator.ts";

/** `searched`: it was found out by looking at all stores, so that a round cannot do so for every range. */
export type Verdict =
  | { readonly decision: Decision }
  | { readonly blocked: string; readonly searched?: boolean }
  | undefined;

export function decisionFor(
  range: RangeState,
  goal: OperatorGoal,
  source: DecisionSource,
  reason: string,
  bytes = 0,
): { readonly decision: Decision } {
  const { rangeId, epoch } = range.descriptor;
  return { decision: { rangeId, epoch, goal, source, reason, bytes } };
}

export function failedLately(id: RangeId, kind: ChangeKind, index: ClusterIndex): string | undefined {
  const { nowMs, settings } = index.state;
  const failed = index.history.failedMs[kind].get(id);
  if (failed === undefined || nowMs >= failed + settings.retryAfterMs) return undefined;
  return `an operator on it failed ${Math.round((nowMs - failed) / 1000)} s ago`;
}
