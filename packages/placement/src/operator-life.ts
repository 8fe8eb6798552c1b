/** From decision to outcome: how an operator begins, goes on, is cancelled and ends. */
import { compareKeys, noReplica } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import type { OperatorStep, SplitPart, StepAction, StepOutcome } from "@flotilla/transport";
import type { ClusterIndex } from "./cluster-index.ts";
import type { IdSource, RangeState } from "./cluster-state.ts";
import {
  apart,
  mergeBroken,
  mergeOutcome,
  moveGoalOf,
  notUp,
  rightOf,
  storeLost,
  unmergeStep,
} from "./merge-operator.ts";
import type { MergeGoal } from "./merge-operator.ts";
import { isEnded } from "./operator.ts";
import type { Decision, Operator, OperatorGoal } from "./operator.ts";
import { catchUpStepId, operatorSteps } from "./operator-steps.ts";
import type { PlacementSettings } from "./placement-settings.ts";
import { changeBlocked, isLevel, isPending, isVoter, memberOn } from "./quorum.ts";
import { splitKeyRefused } from "./split-keys.ts";

/** `operator` is the same object when nothing is to be written. `step` is for the range's leader. */
export interface Advance {
  readonly operator: Operator;
  readonly step: OperatorStep | undefined;
  /** What it waits for when there is no step; empty when it ended. */
  readonly waiting: string;
}

/**
 * The operator, with ids of its own, or why there can be none now. It is written to the meta range before its first step
 * is sent.
 */
export function startOperator(
  decision: Decision,
  operatorId: number,
  index: ClusterIndex,
  ids: IdSource,
): Operator | string {
  const range = index.ranges.get(decision.rangeId);
  if (range === undefined) return `range ${decision.rangeId} is not known`;
  const { goal } = decision;
  for (const rangeId of goal.kind === "merge" ? [decision.rangeId, goal.rightRangeId] : [decision.rangeId]) {
    const running = index.operators.get(rangeId);
    if (running !== undefined) return `operator ${running.operatorId} works on range ${rangeId}`;
  }
  const { epoch } = range.descriptor;
  if (epoch.bounds !== decision.epoch.bounds || epoch.members !== decision.epoch.members)
    return `range ${decision.rangeId} has changed since`;
  const { nowMs, settings } = index.state;
  return {
    operatorId,
    rangeId: decision.rangeId,
    goal: withIds(decision.goal, range.descriptor, ids),
    source: decision.source,
    reason: decision.reason,
    epoch,
    bytes: decision.bytes,
    createdMs: nowMs,
    deadlineMs: nowMs + timeoutMs(decision.goal, settings),
    state: "running",
    endsAs: "cancelled",
    outcome: "",
    endedMs: 0,
  };
}

function withIds(goal: OperatorGoal, descriptor: RangeDescriptor, ids: IdSource): OperatorGoal {
  if (goal.kind === "split") return { ...goal, parts: splitParts(goal.keys, descriptor, ids) };
  if (goal.kind === "merge")
    return { ...goal, moves: goal.moves.map((move) => ({ ...move, replicaId: ids.nextReplicaId() })) };
  if (goal.kind !== "move" && goal.kind !== "repair") return goal;
  return goal.replicaId === noReplica ? { ...goal, replicaId: ids.nextReplicaId() } : goal;
}

function splitParts(keys: readonly Key[], descriptor: RangeDescriptor, ids: IdSource): SplitPart[] {
  return [...keys]
    .sort((a, b) => compareKeys(b, a))
    .map((key) => ({
      key,
      rangeId: ids.nextRangeId(),
      replicas: descriptor.replicas.map(({ replicaId }) => ({ left: replicaId, right: ids.nextReplicaId() })),
    }));
}

function timeoutMs(goal: OperatorGoal, settings: PlacementSettings): number {
  if (goal.kind === "transfer-leader") return settings.transferTimeoutMs;
  return goal.kind === "split" ? settings.splitTimeoutMs : settings.moveTimeoutMs;
}

/** What is to be done now, by what is reported now. Called at each tick for each operator that has not ended. */
export function advanceOperator(operator: Operator, index: ClusterIndex): Advance {
  if (isEnded(operator)) return { operator, step: undefined, waiting: "" };
  const range = index.ranges.get(operator.rangeId);
  if (range === undefined) return ended(operator, "failed", "the range is no more", index);
  if (operator.state === "cancelling")
    return operator.goal.kind === "merge"
      ? undoMerge(operator, operator.goal, range, index)
      : undo(operator, range, index);
  if (operator.goal.kind === "merge") return advanceMerge(operator, operator.goal, range, index);
  const steps = operatorSteps(operator, range, index);
  // What has come into force counts, whatever happened besides.
  const last = steps.at(-1)!;
  if (last.done && !isPending(range)) return ended(operator, "done", "", index);
  const broken = conditionBroken(operator, range);
  if (broken !== undefined) return undo(endOperator(operator, "failed", broken), range, index);
  if (index.state.nowMs >= operator.deadlineMs)
    return undo(endOperator(operator, "timed-out", `not done in time: ${waitingFor(steps)}`), range, index);
  const next = steps.find(({ done }) => !done);
  const lost = next === undefined ? undefined : targetLost(operator, next.stepId, index);
  if (lost !== undefined) return undo(endOperator(operator, "failed", lost), range, index);
  if (next?.action === undefined)
    return { operator, step: undefined, waiting: next?.waiting ?? "a change of members is under way" };
  return { operator, step: stepFor(operator, next.stepId, range, next.action), waiting: "" };
}

function advanceMerge(operator: Operator, goal: MergeGoal, left: RangeState, index: ClusterIndex): Advance {
  const right = rightOf(goal, index);
  if (right === undefined) return ended(operator, "done", "", index);
  const give = (endsAs: Operator["endsAs"], why: string): Advance =>
    undoMerge(endOperator(operator, endsAs, why), goal, left, index);
  const broken = mergeBroken(operator, goal, left, right);
  if (broken !== undefined) return give("failed", broken);
  const steps = operatorSteps(operator, left, index);
  const { nowMs, settings } = index.state;
  // Nobody serves a sealed range: there is no waiting for a member that may be long in coming back.
  const lost = goal.phase === "seal" ? notUp(left, right, index) : storeLost(goal, left, right, index);
  if (lost !== undefined) return give("failed", lost);
  if (nowMs >= operator.deadlineMs) return give("timed-out", `not done in time: ${waitingFor(steps)}`);
  if (goal.phase === "gather" && apart(left, right) === undefined && notUp(left, right, index) === undefined) {
    // From here on clients wait: for as long as that may take, and no longer.
    const deadlineMs = nowMs + settings.mergeTimeoutMs;
    return { operator: { ...operator, goal: { ...goal, phase: "seal" }, deadlineMs }, step: undefined, waiting: "" };
  }
  const next = steps.find(({ done }) => !done)!;
  if (next.action === undefined) return { operator, step: undefined, waiting: next.waiting };
  return { operator, step: stepFor(operator, next.stepId, next.on ?? left, next.action), waiting: "" };
}

/** Ends when the right range is as it was: with its replicas, and sealed for nobody. */
function undoMerge(operator: Operator, goal: MergeGoal, left: RangeState, index: ClusterIndex): Advance {
  const right = rightOf(goal, index);
  if (right === undefined) return ended(operator, "done", `had come into force: ${operator.outcome}`, index);
  const { endsAs, outcome } = operator;
  if (goal.phase === "gather") {
    const at = goal.moves.findLastIndex(({ replicaId }) =>
      right.descriptor.replicas.some((replica) => replica.replicaId === replicaId),
    );
    if (at < 0) return ended(operator, endsAs, outcome, index);
    const { step, waiting, operator: undone } = undo({ ...operator, goal: moveGoalOf(goal, at) }, right, index);
    return isEnded(undone) ? ended(operator, endsAs, outcome, index) : { operator, step, waiting };
  }
  const next = unmergeStep(operator, goal, left, right);
  if (next === undefined) return ended(operator, endsAs, outcome, index);
  return { operator, step: stepFor(operator, next.stepId, next.on, next.action), waiting: "" };
}

/** Cancels, so that the range is left with the replicas it had, or those it should get; the next `advanceOperator` goes on. */
export function cancelOperator(operator: Operator, reason: string): Operator {
  return operator.state === "running" ? endOperator(operator, "cancelled", reason) : operator;
}

/** What a range's leader said about a step. Refusals for an epoch are no failure: the next report tells the new one. */
export function applyOutcome(operator: Operator, outcome: StepOutcome, index: ClusterIndex, ids: IdSource): Operator {
  const { goal } = operator;
  if (goal.kind === "merge" && outcome.operatorId === operator.operatorId) return mergeOutcome(operator, goal, outcome);
  const range = index.ranges.get(operator.rangeId);
  if (operator.state !== "running" || outcome.operatorId !== operator.operatorId || range === undefined)
    return operator;
  if (goal.kind !== "split" || goal.parts.length > 0 || outcome.stepId !== 1) return operator;
  if (outcome.state !== "done")
    return outcome.state === "failed" ? endOperator(operator, "failed", outcome.reason) : operator;
  const keys = [...new Set(outcome.keys)].sort(compareKeys);
  if (keys.length === 0)
    return endOperator(operator, "failed", outcome.reason === "" ? "no useful key to split at" : outcome.reason);
  for (const key of keys) {
    const refused = splitKeyRefused(key, range.descriptor, goal.prefixes);
    if (refused !== undefined) return endOperator(operator, "failed", `the leader's key: ${refused}`);
  }
  return { ...operator, goal: { ...goal, keys, parts: splitParts(keys, range.descriptor, ids) } };
}

function stepFor(operator: Operator, stepId: number, range: RangeState, action: StepAction): OperatorStep {
  const { operatorId } = operator;
  const { rangeId, epoch } = range.descriptor;
  return { type: "operator-step", operatorId, stepId, rangeId, epoch, action };
}

function waitingFor(steps: readonly { done: boolean; text: string; waiting: string }[]): string {
  const next = steps.find(({ done }) => !done);
  if (next === undefined) return "a change of members is under way";
  return next.waiting === "" ? next.text : next.waiting;
}

function endOperator(operator: Operator, endsAs: Operator["endsAs"], outcome: string): Operator {
  return { ...operator, state: "cancelling", endsAs, outcome };
}

function ended(operator: Operator, state: Operator["state"], outcome: string, index: ClusterIndex): Advance {
  return { operator: { ...operator, state, outcome, endedMs: index.state.nowMs }, step: undefined, waiting: "" };
}

/** The range is another than the one planned for, by a change that was none of this operator's. */
function conditionBroken({ goal, epoch }: Operator, { descriptor }: RangeState): string | undefined {
  const now = descriptor.epoch;
  if (goal.kind === "split") {
    if (now.members !== epoch.members) return "the range's members have changed";
    const known = now.bounds === epoch.bounds || goal.parts.some(({ key }) => key === descriptor.end);
    return known ? undefined : "the range's bounds have changed";
  }
  if (goal.kind === "transfer-leader") {
    const member = memberOn(descriptor, goal.to);
    return member !== undefined && isVoter(member) ? undefined : `store ${goal.to} has no voter of the range`;
  }
  if (now.bounds !== epoch.bounds) return "the range's bounds have changed";
  if (goal.kind === "remove-replica" || goal.kind === "merge") return undefined;
  const added = descriptor.replicas.some(({ replicaId }) => replicaId === goal.replicaId);
  return added || now.members === epoch.members ? undefined : "the range's members have changed";
}

/**
 * Where the new replica is to be is gone before that is level: nothing is lost yet by giving up. It would wait for its whole
 * time otherwise, and hold what its leader's store may send at once back from the repair of others.
 */
function targetLost({ goal }: Operator, stepId: number, index: ClusterIndex): string | undefined {
  if ((goal.kind !== "move" && goal.kind !== "repair") || stepId > catchUpStepId) return undefined;
  const target = index.stores.get(goal.to)?.store;
  if (target?.health !== "dead") return undefined;
  return `store ${goal.to} has not been heard of for ${Math.round(target.downMs / 1000)} s`;
}

const undoStepId = 100;

/** Back to the number of replicas from before, by what is there. What cannot be undone in time, repair puts in order. */
function undo(operator: Operator, range: RangeState, index: ClusterIndex): Advance {
  const { goal, endsAs, outcome } = operator;
  const end = (): Advance => ended(operator, endsAs, outcome, index);
  if (goal.kind !== "move" && goal.kind !== "repair") return end();
  const added = range.descriptor.replicas.find(({ replicaId }) => replicaId === goal.replicaId);
  const old = memberOn(range.descriptor, goal.from);
  if (added === undefined) return end();
  if (added.role === "voter" && old === undefined)
    return ended(operator, "done", `had come into force: ${outcome}`, index);
  if (index.state.nowMs >= operator.deadlineMs + index.state.settings.moveTimeoutMs) return end();
  if (isPending(range)) return { operator, step: undefined, waiting: "a change of members is under way" };
  const leads = range.leader === added.storeId && isVoter(added) && old !== undefined;
  const back = leads && isLevel(range, old.replicaId, old.storeId, index);
  // The new one leads and the old one cannot: there is no way back, but the number is right without the old one as well.
  const removed = leads && !back ? old : added;
  const blocked = changeBlocked(range, [], [removed.replicaId], index);
  if (blocked !== undefined) return { operator, step: undefined, waiting: blocked };
  const action: StepAction = back
    ? { kind: "transfer-leader", to: old.storeId }
    : { kind: "change-members", add: [], remove: [removed.replicaId] };
  return { operator, step: stepFor(operator, undoStepId, range, action), waiting: "" };
}
