/**
 * Steps of operators and their outcomes, as fields of control messages.
 *
 *     operator-step      operator id, step id, range id, bounds, members, number of the action, list of its fields
 *           0            to
 *           1            list of [replica id, store id, role (0 voter, 1 learner)], list of [removed replica id]
 *           2            list of [key, range id, list of [left replica id, right replica id]]
 *           3            parts, list of [prefix]
 *           4            left range id, its bounds, list of [left replica id, right replica id]
 *           5            right range id, its bounds, its end, index and term of its seal, list of [left, right replica id]
 *           6            right range id, bounds
 *           7            left range id, its proven bounds
 *     step-outcome       operator id, step id, range id, state (0 done, 1 refused, 2 failed), reason, list of [key],
 *                        seal [index, term] or nil, descriptor or nil
 *
 * Actions: 0 transfer-leader, 1 change-members, 2 split, 3 find-split-keys, 4 seal, 5 merge, 6 cancel-merge, 7 unseal.
 */
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, LogIndex, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type { OperatorStep, ReplicaPair, SealLabel, SplitPart, StepAction, StepOutcome } from "../peer-messages.ts";
import { membersMax, splitPartsMax } from "../protocol.ts";
import { optionalDescriptorFields, readEpoch, readOptionalDescriptor } from "./descriptor-fields.ts";
import { keyField, nameNumber } from "./field-reader.ts";
import type { FieldReader } from "./field-reader.ts";
import { boundedText } from "./fields.ts";

const actions: readonly StepAction["kind"][] = [
  "transfer-leader",
  "change-members",
  "split",
  "find-split-keys",
  "seal",
  "merge",
  "cancel-merge",
  "unseal",
];
const addedRoles: readonly ("voter" | "learner")[] = ["voter", "learner"];
const outcomeStates: readonly StepOutcome["state"][] = ["done", "refused", "failed"];

/** How many fields an action has. */
const actionLengths: Readonly<Record<StepAction["kind"], number>> = {
  "transfer-leader": 1,
  "change-members": 2,
  split: 1,
  "find-split-keys": 2,
  seal: 3,
  merge: 6,
  "cancel-merge": 2,
  unseal: 2,
};

export const operatorStepLength = 7;

export const operatorStepFields = (step: OperatorStep, operations: ByteOperations): unknown[] => [
  step.operatorId,
  step.stepId,
  step.rangeId,
  step.epoch.bounds,
  step.epoch.members,
  nameNumber(actions, step.action.kind),
  actionFields(step.action, operations),
];

function actionFields(action: StepAction, operations: ByteOperations): unknown[] {
  switch (action.kind) {
    case "transfer-leader":
      return [action.to];
    case "change-members":
      return [
        action.add.map(({ replicaId, storeId, role }) => [replicaId, storeId, nameNumber(addedRoles, role)]),
        action.remove.map((replicaId) => [replicaId]),
      ];
    case "split":
      return [action.parts.map((part) => partFields(part, operations))];
    case "find-split-keys":
      return [action.parts, action.prefixes.map((prefix) => [keyField(prefix, operations)])];
    case "seal":
      return [action.leftRangeId, action.leftBounds, pairFields(action.replicas)];
    case "merge": {
      const { rightRangeId, rightBounds, end, seal, replicas } = action;
      return [rightRangeId, rightBounds, keyField(end, operations), seal.index, seal.term, pairFields(replicas)];
    }
    case "cancel-merge":
      return [action.rightRangeId, action.bounds];
    case "unseal":
      return [action.leftRangeId, action.provenBounds];
    default:
      throw new InvariantError(`no layout for ${(action satisfies never as StepAction).kind}`);
  }
}

const partFields = (part: SplitPart, operations: ByteOperations): unknown[] => [
  keyField(part.key, operations),
  part.rangeId,
  pairFields(part.replicas),
];

const pairFields = (pairs: readonly ReplicaPair[]): unknown[] => pairs.map(({ left, right }) => [left, right]);

export function readOperatorStep(fields: FieldReader): OperatorStep {
  const operatorId = fields.integer();
  const stepId = fields.integer();
  const rangeId = fields.positive() as RangeId;
  const epoch = readEpoch(fields);
  const kind = fields.oneOf(actions);
  const action = readAction(kind, fields.fields(actionLengths[kind], kind));
  return { type: "operator-step", operatorId, stepId, rangeId, epoch, action };
}

function readAction(kind: StepAction["kind"], fields: FieldReader): StepAction {
  switch (kind) {
    case "transfer-leader":
      return { kind, to: fields.positive() as StoreId };
    case "change-members":
      return {
        kind,
        add: fields.list(membersMax, 3, "added replica", (added) => ({
          replicaId: added.positive() as ReplicaId,
          storeId: added.positive() as StoreId,
          role: added.oneOf(addedRoles),
        })),
        remove: fields.list(membersMax, 1, "removed replica", (removed) => removed.positive() as ReplicaId),
      };
    case "split":
      return { kind, parts: fields.list(splitPartsMax, 3, "split part", readPart) };
    case "find-split-keys":
      return {
        kind,
        parts: fields.integer(splitPartsMax),
        prefixes: fields.list(splitPartsMax, 1, "prefix", (prefix) => prefix.key()),
      };
    case "seal":
      return {
        kind,
        leftRangeId: fields.positive() as RangeId,
        leftBounds: fields.positive(),
        replicas: readPairs(fields),
      };
    case "merge":
      return {
        kind,
        rightRangeId: fields.positive() as RangeId,
        rightBounds: fields.positive(),
        end: fields.key(),
        seal: readSeal(fields),
        replicas: readPairs(fields),
      };
    case "cancel-merge":
      return { kind, rightRangeId: fields.positive() as RangeId, bounds: fields.positive() };
    case "unseal":
      return { kind, leftRangeId: fields.positive() as RangeId, provenBounds: fields.positive() };
    default:
      throw new InvariantError(`no layout for ${kind satisfies never as string}`);
  }
}

const readPart = (fields: FieldReader): SplitPart => ({
  key: fields.key(),
  rangeId: fields.positive() as RangeId,
  replicas: readPairs(fields),
});

const readPairs = (fields: FieldReader): ReplicaPair[] =>
  fields.list(membersMax, 2, "pair of replicas", (pair) => ({
    left: pair.positive() as ReplicaId,
    right: pair.positive() as ReplicaId,
  }));

const readSeal = (fields: FieldReader): SealLabel => ({
  index: fields.positive() as LogIndex,
  term: fields.positive() as Term,
});

export const stepOutcomeLength = 8;

export const stepOutcomeFields = (outcome: StepOutcome, operations: ByteOperations): unknown[] => [
  outcome.operatorId,
  outcome.stepId,
  outcome.rangeId,
  nameNumber(outcomeStates, outcome.state),
  boundedText(outcome.reason, operations),
  outcome.keys.map((key) => [keyField(key, operations)]),
  outcome.seal === undefined ? null : [outcome.seal.index, outcome.seal.term],
  optionalDescriptorFields(outcome.descriptor, operations),
];

export const readStepOutcome = (fields: FieldReader): StepOutcome => ({
  type: "step-outcome",
  operatorId: fields.integer(),
  stepId: fields.integer(),
  rangeId: fields.positive() as RangeId,
  state: fields.oneOf(outcomeStates),
  reason: fields.text(),
  keys: fields.list(splitPartsMax, 1, "key", (key) => key.key()),
  seal: fields.isNull() ? undefined : readSeal(fields.fields(2, "seal")),
  descriptor: readOptionalDescriptor(fields),
});
