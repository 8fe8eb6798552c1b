/** An operator as lists show it: its steps by what the range's leader reports now. */
import { operatorSteps, isEnded } from "@flotilla/placement";
import type { ClusterIndex, Operator } from "@flotilla/placement";
import { utcTime } from "./utc-time.ts";

const stateNames = {
  running: "running",
  cancelling: "cancelling",
  done: "done",
  cancelled: "cancelled",
  failed: "failed",
  "timed-out": "timedOut",
} satisfies Record<Operator["state"], string>;

export function operatorRow(operator: Operator, index: ClusterIndex, waiting: string): object {
  const { operatorId, goal, rangeId, state, reason, outcome, createdMs, endedMs } = operator;
  return {
    operatorId,
    kind: goal.kind,
    rangeId,
    state: stateNames[state],
    reason,
    steps: stepRows(operator, index),
    startedAt: utcTime(createdMs),
    finishedAt: endedMs === 0 ? null : utcTime(endedMs),
    error: outcome === "" ? null : outcome,
    waitingFor: waiting === "" ? null : waiting,
  };
}

function stepRows(operator: Operator, index: ClusterIndex): object[] {
  const range = index.ranges.get(operator.rangeId);
  if (range === undefined) return [];
  const steps = operatorSteps(operator, range, index);
  const current = steps.findIndex(({ done }) => !done);
  return steps.map(({ text, done, action }, i) => {
    const storeId = "to" in operator.goal && action?.kind !== "split" ? operator.goal.to : null;
    const state =
      done || operator.state === "done" ? "done" : i > current ? "pending" : isEnded(operator) ? "failed" : "running";
    return { action: text, storeId, state };
  });
}
