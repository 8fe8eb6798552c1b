/**
 * The steps of an operator, each with a predicate that says by the range's reported state whether it is done. The first that
 * is not done is sent again and again until it is: it names the epoch that it was made for, so only one of them counts.
 */
import { compareKeys, unreachable } from "@flotilla/base";
import type { ReplicaDescriptor, StoreId } from "@flotilla/base";
import type { StepAction } from "@flotilla/transport";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import {
  apart,
  isSealed,
  mergeAction,
  mergeStepId,
  moveGoalOf,
  moveStepId,
  notUp,
  rightOf,
  sealAction,
  sealStepId,
} from "./merge-operator.ts";
import type { MergeGoal, MoveGoal } from "./merge-operator.ts";
import type { Operator, OperatorGoal } from "./operator.ts";
import { changeBlocked, isLevel, isPending, isVoter, memberOn } from "./quorum.ts";

/** `action` undefined: nothing to send, only to wait for; then `waiting` says what for. */
export interface PlannedStep {
  /** Unique within the operator, always the same for the same step. */
  readonly stepId: number;
  readonly text: string;
  readonly done: boolean;
  readonly action: StepAction | undefined;
  readonly waiting: string;
  /** The range whose leader it is for; undefined: the operator's. */
  readonly on?: RangeState;
}

type RemoveGoal = Extract<OperatorGoal, { kind: "remove-replica" }>;
type SplitGoal = Extract<OperatorGoal, { kind: "split" }>;

/** All steps in their order. They are done in it, but for a range whose members others changed. */
export function operatorSteps(operator: Operator, range: RangeState, index: ClusterIndex): PlannedStep[] {
  const { goal } = operator;
  switch (goal.kind) {
    case "move":
    case "repair":
      return moveSteps(goal, range, index);
    case "remove-replica":
      return removeSteps(goal, range, index);
    case "transfer-leader":
      return [transferStep(1, range, range.leader === goal.to, [goal.to], index)];
    case "split":
      return splitSteps(goal, range);
    case "merge":
      return mergeSteps(operator, goal, range, index);
    default:
      return unreachable(goal, "goal");
  }
}

function step(stepId: number, text: string, done: boolean, action: StepAction | string | undefined): PlannedStep {
  if (typeof action === "string") return { stepId, text, done, action: undefined, waiting: action };
  return { stepId, text, done, action, waiting: "" };
}

/** The last one of a move that changes no voters. */
export const catchUpStepId = 2;

function moveSteps(goal: MoveGoal, range: RangeState, index: ClusterIndex): PlannedStep[] {
  const { descriptor } = range;
  const added = descriptor.replicas.find(({ replicaId }) => replicaId === goal.replicaId);
  const old = memberOn(descriptor, goal.from);
  const others = descriptor.replicas.filter((replica) => isVoter(replica) && replica !== added && replica !== old);
  const learner = step(
    1,
    `add a learner on store ${goal.to}`,
    added !== undefined,
    changeUnless(range, changeBlocked(range, [], [], index), {
      kind: "change-members",
      add: [{ replicaId: goal.replicaId, storeId: goal.to, role: "learner" }],
      remove: [],
    }),
  );
  const level = added !== undefined && (isVoter(added) || isLevel(range, added.replicaId, added.storeId, index));
  const catchUp = step(catchUpStepId, `bring it level`, level, `the replica on store ${goal.to} is not level yet`);
  const alone = old !== undefined && others.length === 0;
  const promote = promoteStep(goal, range, alone ? undefined : old, added, index);
  if (old === undefined) return [learner, catchUp, promote];
  const heirs = alone ? (added === undefined ? [] : [added]) : others;
  const away = leaderAwayStep(range, old, heirs, index);
  if (!alone) return [learner, catchUp, away, promote];
  // A single voter cannot leave in the change that brings its successor: it would lead nothing that it could hand over.
  const blocked = changeBlocked(range, [], [old.replicaId], index);
  const remove = step(
    5,
    `remove the replica on store ${goal.from}`,
    false,
    changeUnless(range, blocked, { kind: "change-members", add: [], remove: [old.replicaId] }),
  );
  return [learner, catchUp, promote, away, remove];
}

function promoteStep(
  goal: MoveGoal,
  range: RangeState,
  leaving: ReplicaDescriptor | undefined,
  added: ReplicaDescriptor | undefined,
  index: ClusterIndex,
): PlannedStep {
  const promoted = { replicaId: goal.replicaId, storeId: goal.to, role: "voter" as const };
  const remove = leaving === undefined ? [] : [leaving.replicaId];
  const blocked = changeBlocked(range, added !== undefined && isVoter(added) ? [] : [promoted], remove, index);
  const done = added?.role === "voter" && leaving === undefined;
  const text =
    leaving === undefined
      ? `make the replica on store ${goal.to} a voter`
      : `make the replica on store ${goal.to} a voter in place of the one on store ${goal.from}`;
  const add = added !== undefined && isVoter(added) ? [] : [promoted];
  return step(3, text, done, changeUnless(range, blocked, { kind: "change-members", add, remove }));
}

/** Done also when nobody can take over: the change of members then ends the leadership, and an election follows. */
function leaderAwayStep(
  range: RangeState,
  old: ReplicaDescriptor,
  heirs: readonly ReplicaDescriptor[],
  index: ClusterIndex,
): PlannedStep {
  const able = heirs.filter((heir) => isVoter(heir) && isLevel(range, heir.replicaId, heir.storeId, index));
  const done = range.leader !== old.storeId || able.length === 0;
  const stores = able.map(({ storeId }) => storeId).filter((id) => index.stores.get(id)?.store.membership === "active");
  const to = stores.length > 0 ? stores : able.map(({ storeId }) => storeId);
  return { ...transferStep(4, range, done, to, index), text: `hand the leadership of store ${old.storeId} over` };
}

function transferStep(
  stepId: number,
  range: RangeState,
  done: boolean,
  candidates: readonly StoreId[],
  index: ClusterIndex,
): PlannedStep {
  let best: StoreId | undefined;
  for (const store of candidates) {
    const member = memberOn(range.descriptor, store);
    if (member === undefined || !isLevel(range, member.replicaId, store, index)) continue;
    if (best === undefined || leadersOf(store, index) < leadersOf(best, index)) best = store;
  }
  const text = `make store ${candidates.join(" or ")} the leader`;
  if (best === undefined) return step(stepId, text, done, `store ${candidates.join(", ")} cannot lead yet: not level`);
  return step(stepId, text, done, changeUnless(range, undefined, { kind: "transfer-leader", to: best }));
}

const leadersOf = (store: StoreId, index: ClusterIndex): number => index.stores.get(store)?.leaders ?? 0;

function removeSteps(goal: RemoveGoal, range: RangeState, index: ClusterIndex): PlannedStep[] {
  const { replicas } = range.descriptor;
  const old = replicas.find(({ replicaId }) => replicaId === goal.replicaId);
  const text = `remove the replica on store ${goal.from}`;
  if (old === undefined) return [step(2, text, true, undefined)];
  const away = leaderAwayStep(
    range,
    old,
    replicas.filter((replica) => replica !== old),
    index,
  );
  const last = isVoter(old) && replicas.filter(isVoter).length === 1 ? "it is the range's only voter" : undefined;
  const blocked = last ?? changeBlocked(range, [], [old.replicaId], index);
  const action: StepAction = { kind: "change-members", add: [], remove: [old.replicaId] };
  return [away, step(2, text, false, changeUnless(range, blocked, action))];
}

function splitSteps(goal: SplitGoal, range: RangeState): PlannedStep[] {
  const find: StepAction = { kind: "find-split-keys", parts: goal.count, prefixes: [...goal.prefixes] };
  const first = step(1, `find ${goal.count - 1} keys to split at`, goal.keys.length > 0, find);
  const text = goal.keys.length === 0 ? "split there" : `split into ${goal.keys.length + 1}`;
  // The right parts are made first: what is left to do is what lies inside the range still.
  const left = goal.parts.filter(({ key }) => compareKeys(key, range.descriptor.end) < 0);
  const done = goal.parts.length > 0 && left.length === 0;
  const action: StepAction = { kind: "split", parts: left };
  return [
    first,
    step(2, text, done, goal.parts.length === 0 ? "the keys are not known" : changeUnless(range, undefined, action)),
  ];
}

function mergeSteps(operator: Operator, goal: MergeGoal, left: RangeState, index: ClusterIndex): PlannedStep[] {
  const right = rightOf(goal, index);
  const text = `range ${left.descriptor.rangeId} takes in range ${goal.rightRangeId}`;
  // It is no more: the map says so in the same write in which the left range has its keys.
  if (right === undefined) return [step(mergeStepId, text, true, undefined)];
  const moves = goal.moves.flatMap((_, at) =>
    moveSteps(moveGoalOf(goal, at), right, index).map((each) => ({
      ...each,
      stepId: moveStepId(at, each.stepId),
      on: right,
    })),
  );
  const why = apart(left, right) ?? notUp(left, right, index);
  const sealed = isSealed(goal);
  const seal = step(
    sealStepId,
    `seal range ${goal.rightRangeId}`,
    sealed,
    why ?? (goal.phase === "gather" ? "it is being written down" : sealAction(operator, left, right)),
  );
  const merge = step(mergeStepId, text, false, why ?? (sealed ? mergeAction(goal, left, right) : "it is not sealed"));
  return [...moves, { ...seal, on: right }, merge];
}

function changeUnless(range: RangeState, blocked: string | undefined, action: StepAction): StepAction | string {
  if (isPending(range)) return "a change of members is under way";
  return blocked ?? action;
}
