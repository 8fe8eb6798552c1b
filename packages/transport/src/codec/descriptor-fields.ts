/**
 * Fields that several control messages carry.
 *
 *     descriptor     range id, start, end, bounds, members, list of [replica id, store id, role]
 *     route entry    descriptor, leader
 *     wire error     code, message, hint, details; or nil
 *
 * Roles: 0 voter, 1 learner, 2 incoming, 3 outgoing.
 */
import type { ByteOperations, Epoch, RangeDescriptor, RangeId, ReplicaId, ReplicaRole, StoreId } from "@flotilla/base";
import type { RouteEntry, WireError } from "../client-messages.ts";
import { membersMax } from "../protocol.ts";
import { errorCodeNumber, errorCodeOf } from "./error-code-numbers.ts";
import { keyField, nameNumber } from "./field-reader.ts";
import type { FieldReader } from "./field-reader.ts";
import { boundedText } from "./fields.ts";

const roles: readonly ReplicaRole[] = ["voter", "learner", "incoming", "outgoing"];

export const descriptorLength = 6;

export function descriptorFields(descriptor: RangeDescriptor, operations: ByteOperations): unknown[] {
  return [
    descriptor.rangeId,
    keyField(descriptor.start, operations),
    keyField(descriptor.end, operations),
    descriptor.epoch.bounds,
    descriptor.epoch.members,
    descriptor.replicas.map((replica) => [replica.replicaId, replica.storeId, nameNumber(roles, replica.role)]),
  ];
}

export function readDescriptor(fields: FieldReader): RangeDescriptor {
  return {
    rangeId: fields.positive() as RangeId,
    start: fields.key(),
    end: fields.key(),
    epoch: readEpoch(fields),
    replicas: fields.list(membersMax, 3, "replica", (replica) => ({
      replicaId: replica.positive() as ReplicaId,
      storeId: replica.positive() as StoreId,
      role: replica.oneOf(roles),
    })),
  };
}

/** nil: there is none. */
export const optionalDescriptorFields = (
  descriptor: RangeDescriptor | undefined,
  operations: ByteOperations,
): unknown[] | null => (descriptor === undefined ? null : descriptorFields(descriptor, operations));

export const readOptionalDescriptor = (fields: FieldReader): RangeDescriptor | undefined =>
  fields.isNull() ? undefined : readDescriptor(fields.fields(descriptorLength, "descriptor"));

export const readEpoch = (fields: FieldReader): Epoch => ({ bounds: fields.integer(), members: fields.integer() });

export const routeEntryLength = 2;

export const routeEntryFields = (entry: RouteEntry, operations: ByteOperations): unknown[] => [
  descriptorFields(entry.descriptor, operations),
  entry.leader,
];

export const readRouteEntry = (fields: FieldReader): RouteEntry => ({
  descriptor: readDescriptor(fields.fields(descriptorLength, "descriptor")),
  leader: fields.integer() as StoreId,
});

export const wireErrorFields = (error: WireError | undefined, operations: ByteOperations): unknown[] | null =>
  error === undefined
    ? null
    : [
        errorCodeNumber(error.code),
        boundedText(error.message, operations),
        boundedText(error.hint, operations),
        error.details,
      ];

export function readWireError(fields: FieldReader): WireError | undefined {
  if (fields.isNull()) return undefined;
  const error = fields.fields(4, "error");
  return { code: errorCodeOf(error.integer()), message: error.text(), hint: error.text(), details: error.record() };
}
