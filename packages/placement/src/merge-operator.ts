/**
 * How a merge goes on (decision 0010): the right range's replicas are gathered where the left one's are, then it is sealed,
 * then the left range takes it in. Once it may be sealed the operator ends only when it is known whether it was taken in: what
 * is given up is cancelled in the left range's log, and the right range unsealed by the proof of that.
 */
import type { ReplicaPair, StepAction, StepOutcome } from "@flotilla/transport";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { Operator, OperatorGoal } from "./operator.ts";
import { isHealthy, isPending, memberOn } from "./quorum.ts";

export type MergeGoal = Extract<OperatorGoal, { kind: "merge" }>;
export type MoveGoal = Extract<OperatorGoal, { kind: "move" | "repair" }>;

export const sealStepId = 1;
export const mergeStepId = 2;
export const cancelStepId = 101;
export const unsealStepId = 102;

/** Room for the steps of a move between two numbers. */
const movesApart = 10;

export const moveGoalOf = (goal: MergeGoal, at: number): MoveGoal => ({ kind: "move", ...goal.moves[at]! });
export const moveStepId = (at: number, stepId: number): number => movesApart * (at + 1) + stepId;

/** Undefined: it was merged away, or is not known yet. */
export const rightOf = (goal: MergeGoal, index: ClusterIndex): RangeState | undefined =>
  index.ranges.get(goal.rightRangeId);

/** Both on the same stores, all of them voters and nothing under way: why not, or undefined. */
export function apart(left: RangeState, right: RangeState): string | undefined {
  for (const range of [left, right]) {
    const { rangeId, replicas } = range.descriptor;
    if (isPending(range)) return `a change of members of range ${rangeId} is under way`;
    const other = replicas.find(({ role }) => role !== "voter");
    if (other !== undefined) return `the replica of range ${rangeId} on store ${other.storeId} is no voter`;
  }
  const stores = left.descriptor.replicas.map(({ storeId }) => storeId);
  const alone = stores.find((store) => memberOn(right.descriptor, store) === undefined);
  if (alone !== undefined) return `range ${right.descriptor.rangeId} has no replica on store ${alone}`;
  if (right.descriptor.replicas.length === stores.length) return undefined;
  return `range ${right.descriptor.rangeId} has more replicas than range ${left.descriptor.rangeId}`;
}

/** A merge needs every member of both; which one is missing, or undefined. */
export function notUp(left: RangeState, right: RangeState, index: ClusterIndex): string | undefined {
  for (const range of [left, right]) {
    const { rangeId, replicas } = range.descriptor;
    for (const { replicaId, storeId } of replicas) {
      if (!isHealthy(range, replicaId, storeId, index))
        return `the replica of range ${rangeId} on store ${storeId} does not answer`;
    }
  }
  return undefined;
}

/** A store that the gathering needs: repair waits for the merge to end, for it is the only operator on both ranges. */
export function storeLost(
  { moves }: MergeGoal,
  left: RangeState,
  right: RangeState,
  { stores, state }: ClusterIndex,
): string | undefined {
  const { storeDeadMs, storeDownMs } = state.settings;
  for (const { storeId } of [...left.descriptor.replicas, ...right.descriptor.replicas]) {
    const store = stores.get(storeId)?.store;
    // Where a replica is to be made nothing is there yet that is worth waiting for.
    const patienceMs = moves.some(({ to }) => to === storeId) ? storeDeadMs : storeDownMs;
    if (store === undefined || store.downMs < patienceMs) continue;
    return `store ${storeId} has not been heard of for ${Math.round(store.downMs / 1000)} s`;
  }
  return undefined;
}

const pairs = (left: RangeState, right: RangeState): ReplicaPair[] =>
  right.descriptor.replicas.map(({ replicaId, storeId }) => ({
    left: memberOn(left.descriptor, storeId)!.replicaId,
    right: replicaId,
  }));

/** `apart` and `notUp` have nothing against it. */
export function sealAction({ epoch }: Operator, left: RangeState, right: RangeState): StepAction {
  const { rangeId } = left.descriptor;
  return { kind: "seal", leftRangeId: rangeId, leftBounds: epoch.bounds, replicas: pairs(left, right) };
}

export function mergeAction(goal: MergeGoal, left: RangeState, right: RangeState): StepAction {
  const { rangeId, end, epoch } = right.descriptor;
  const { seal } = goal;
  return {
    kind: "merge",
    rightRangeId: rangeId,
    rightBounds: epoch.bounds,
    end,
    seal,
    replicas: pairs(left, right),
  };
}

export const isSealed = ({ seal }: MergeGoal): boolean => seal.index > 0;

/** One of the two is another than the one planned for, by a change that was none of this operator's. */
export function mergeBroken(
  { epoch }: Operator,
  goal: MergeGoal,
  left: RangeState,
  right: RangeState,
): string | undefined {
  if (left.descriptor.epoch.bounds !== epoch.bounds) return "the left range's bounds have changed";
  if (right.descriptor.epoch.bounds !== goal.rightBounds) return "the right range's bounds have changed";
  for (const [range, other] of [
    [left, right],
    [right, left],
  ] as const) {
    for (const { storeId } of range.descriptor.replicas) {
      const isMoved = goal.moves.some(({ from, to }) => from === storeId || to === storeId);
      if (memberOn(other.descriptor, storeId) === undefined && !isMoved)
        return `store ${storeId} has a replica of range ${range.descriptor.rangeId} alone`;
    }
  }
  return undefined;
}

/** What leaders said that is to be kept: where the seal stands, and that the right range is proven not to be taken in. */
export function mergeOutcome(operator: Operator, goal: MergeGoal, { stepId, state, seal }: StepOutcome): Operator {
  if (state !== "done") return operator;
  if (stepId === sealStepId && seal !== undefined && operator.state === "running")
    return { ...operator, goal: { ...goal, seal: { index: seal.index, term: seal.term } } };
  if (stepId === cancelStepId && operator.state === "cancelling")
    return { ...operator, goal: { ...goal, provenBounds: operator.epoch.bounds + 1 } };
  return operator;
}

/** Of an operator that is given up, when the right range may be sealed: what is to be done for it, and with which range. */
export function unmergeStep(
  { epoch }: Operator,
  goal: MergeGoal,
  left: RangeState,
  right: RangeState,
): { readonly stepId: number; readonly on: RangeState; readonly action: StepAction } | undefined {
  const { rangeId: leftRangeId } = left.descriptor;
  const { rightRangeId, provenBounds } = goal;
  if (provenBounds === 0)
    return { stepId: cancelStepId, on: left, action: { kind: "cancel-merge", rightRangeId, bounds: epoch.bounds } };
  // Higher ones it has by the unseal, or had before it could be sealed under those of the plan.
  if (right.descriptor.epoch.bounds !== goal.rightBounds) return undefined;
  return { stepId: unsealStepId, on: right, action: { kind: "unseal", leftRangeId, provenBounds } };
}
