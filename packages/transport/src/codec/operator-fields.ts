/**
 * Steps of operators and their outcomes, as fields of control messages.
 *
 *     operator-step      operator id, step id, range id, bounds, members, number of the action, list of its fields
 *           0            to
 *           1            list of [replica id, store id, role (0 voter, 1 learner)], list of [removed replica id]
 *           2            list of [key, range id, list of [left replica id, right replica id]]
 *           3            parts, list of [prefix]
 *     step-outcome       operator id, step id, range id, state (0 done, 1 refused, 2 failed), reason, list of [key],
 *                        descriptor or nil
 *
 * Actions: 0 transfer-leader, 1 change-members, 2 split, 3 find-split-keys.
 */
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { OperatorStep, SplitPart, StepAction, StepOutcome } from "../peer-messages.ts";
import { membersMax, splitPartsMax } from "../protocol.ts";
import { optionalDescriptorFields, readEpoch, readOptionalDescriptor } from "./descriptor-fields.ts";
import { keyField, nameNumber } from "./field-reader.ts";
import type { FieldReader } from "./field-reader.ts";
import { boundedText } from "./fields.ts";

const actions: readonly StepAction["kind"][] = ["transfer-leader", "change-members", "split", "find-split-keys"];
const addedRoles: readonly ("voter" | "learner")[] = ["voter", "learner"];
const outcomeStates: readonly StepOutcome["state"][] = ["done", "refused", "failed"];

/** How many fields an action has. */
const actionLengths: Readonly<Record<StepAction["kind"], number>> = {
  "transfer-leader": 1,
  "change-members": 2,
  split: 1,
  "find-split-keys": 2,
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
    default:
      throw new InvariantError(`no layout for ${(action satisfies never as StepAction).kind}`);
  }
}

const partFields = (part: SplitPart, operations: ByteOperations): unknown[] => [
  keyField(part.key, operations),
  part.rangeId,
  part.replicas.map(({ left, right }) => [left, right]),
];

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
    default:
      throw new InvariantError(`no layout for ${kind satisfies never as string}`);
  }
}

const readPart = (fields: FieldReader): SplitPart => ({
  key: fields.key(),
  rangeId: fields.positive() as RangeId,
  replicas: fields.list(membersMax, 2, "pair of replicas", (pair) => ({
    left: pair.positive() as ReplicaId,
    right: pair.positive() as ReplicaId,
  })),
});

export const stepOutcomeLength = 7;

export const stepOutcomeFields = (outcome: StepOutcome, operations: ByteOperations): unknown[] => [
  outcome.operatorId,
  outcome.stepId,
  outcome.rangeId,
  nameNumber(outcomeStates, outcome.state),
  boundedText(outcome.reason, operations),
  outcome.keys.map((key) => [keyField(key, operations)]),
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
  descriptor: readOptionalDescriptor(fields),
});
