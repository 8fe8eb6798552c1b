/**
 * Control messages between clients and stores: msgpackr arrays of these fields, in this order.
 *
 *     scan              scan id, range id, bounds, consistency (0 linearizable, 1 stale), start, end, reverse, limit,
 *                       keys only, count only, credit bytes
 *     scan-credit       scan id, credit bytes
 *     scan-cancel       scan id
 *     route             request id, start, end, limit
 *     admin             request id, name, arguments
 *
 *     range-refused     kind (0 commands, 1 reads, 2 scan), id, reason (0 not-leader, 1 epoch-mismatch, 2 error),
 *                       code or nil, message, retry after ms, list of route entries
 *     route-response    request id, cluster id, list of route entries, list of [store id, address]
 *     admin-response    request id, result, error or nil
 *     going-away        nothing
 */
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, RangeId, StoreId } from "@flotilla/base";
import type {
  AdminRequest,
  AdminResponse,
  ClientMessage,
  Consistency,
  RangeRefused,
  RouteRequest,
  RouteResponse,
  ScanRequest,
  ServerMessage,
} from "../client-messages.ts";
import { controlValuesMax } from "../protocol.ts";
import {
  readRouteEntry,
  readWireError,
  routeEntryFields,
  routeEntryLength,
  wireErrorFields,
} from "./descriptor-fields.ts";
import { errorCodeNumber, errorCodeOf } from "./error-code-numbers.ts";
import { FieldReader, keyField, nameNumber } from "./field-reader.ts";
import { boundedText } from "./fields.ts";

export type ClientControlMessage = Exclude<ClientMessage, { type: "commands" | "reads" }>;
type ClientControlType = ClientControlMessage["type"];
export type ServerControlMessage = Exclude<ServerMessage, { type: "command-results" | "read-results" | "scan-page" }>;
type ServerControlType = ServerControlMessage["type"];

const consistencies: readonly Consistency[] = ["linearizable", "stale"];
const refusedKinds: readonly RangeRefused["kind"][] = ["commands", "reads", "scan"];
const refusedReasons: readonly RangeRefused["reason"][] = ["not-leader", "epoch-mismatch", "error"];

export function clientControlFields(message: ClientControlMessage, operations: ByteOperations): unknown[] {
  switch (message.type) {
    case "scan":
      return [
        message.scanId,
        message.rangeId,
        message.bounds,
        nameNumber(consistencies, message.consistency),
        keyField(message.start, operations),
        keyField(message.end, operations),
        message.reverse,
        message.limit,
        message.keysOnly,
        message.countOnly,
        message.creditBytes,
      ];
    case "scan-credit":
      return [message.scanId, message.creditBytes];
    case "scan-cancel":
      return [message.scanId];
    case "route":
      return [message.requestId, keyField(message.start, operations), keyField(message.end, operations), message.limit];
    case "admin":
      return [message.requestId, boundedText(message.name, operations), message.arguments];
    default:
      throw new InvariantError(`no layout for ${(message satisfies never as ClientControlMessage).type}`);
  }
}

export function readClientControl(
  type: ClientControlType,
  values: unknown,
  operations: ByteOperations,
): ClientControlMessage {
  const fields = (length: number): FieldReader => new FieldReader(values, length, type, operations);
  switch (type) {
    case "scan":
      return readScan(fields(11));
    case "scan-credit": {
      const credit = fields(2);
      return { type, scanId: credit.integer(), creditBytes: credit.integer() };
    }
    case "scan-cancel":
      return { type, scanId: fields(1).integer() };
    case "route":
      return readRoute(fields(4));
    case "admin":
      return readAdmin(fields(3));
    default:
      throw new InvariantError(`no layout for ${type satisfies never as string}`);
  }
}

const readScan = (fields: FieldReader): ScanRequest => ({
  type: "scan",
  scanId: fields.integer(),
  rangeId: fields.positive() as RangeId,
  bounds: fields.integer(),
  consistency: fields.oneOf(consistencies),
  start: fields.key(),
  end: fields.key(),
  reverse: fields.boolean(),
  limit: fields.integer(),
  keysOnly: fields.boolean(),
  countOnly: fields.boolean(),
  creditBytes: fields.integer(),
});

const readRoute = (fields: FieldReader): RouteRequest => ({
  type: "route",
  requestId: fields.integer(),
  start: fields.key(),
  end: fields.key(),
  limit: fields.integer(),
});

const readAdmin = (fields: FieldReader): AdminRequest => ({
  type: "admin",
  requestId: fields.integer(),
  name: fields.text(),
  arguments: fields.data(),
});

export function serverControlFields(message: ServerControlMessage, operations: ByteOperations): unknown[] {
  switch (message.type) {
    case "range-refused":
      return [
        nameNumber(refusedKinds, message.kind),
        message.id,
        nameNumber(refusedReasons, message.reason),
        message.code === undefined ? null : errorCodeNumber(message.code),
        boundedText(message.message, operations),
        message.retryAfterMs,
        message.ranges.map((entry) => routeEntryFields(entry, operations)),
      ];
    case "route-response":
      return [
        message.requestId,
        message.clusterId,
        message.ranges.map((entry) => routeEntryFields(entry, operations)),
        message.stores.map(({ storeId, address }) => [storeId, boundedText(address, operations)]),
      ];
    case "admin-response":
      return [message.requestId, message.result, wireErrorFields(message.error, operations)];
    case "going-away":
      return [];
    default:
      throw new InvariantError(`no layout for ${(message satisfies never as ServerControlMessage).type}`);
  }
}

export function readServerControl(
  type: ServerControlType,
  values: unknown,
  operations: ByteOperations,
): ServerControlMessage {
  const fields = (length: number): FieldReader => new FieldReader(values, length, type, operations);
  switch (type) {
    case "range-refused":
      return readRefused(fields(7));
    case "route-response":
      return readRouteResponse(fields(4));
    case "admin-response":
      return readAdminResponse(fields(3));
    case "going-away":
      fields(0);
      return { type };
    default:
      throw new InvariantError(`no layout for ${type satisfies never as string}`);
  }
}

const readRefused = (fields: FieldReader): RangeRefused => ({
  type: "range-refused",
  kind: fields.oneOf(refusedKinds),
  id: fields.integer(),
  reason: fields.oneOf(refusedReasons),
  code: fields.isNull() ? undefined : errorCodeOf(fields.integer()),
  message: fields.text(),
  retryAfterMs: fields.quantity(),
  ranges: fields.list(controlValuesMax, routeEntryLength, "route entry", readRouteEntry),
});

const readRouteResponse = (fields: FieldReader): RouteResponse => ({
  type: "route-response",
  requestId: fields.integer(),
  clusterId: fields.text(64),
  ranges: fields.list(controlValuesMax, routeEntryLength, "route entry", readRouteEntry),
  stores: fields.list(controlValuesMax, 2, "store address", (store) => ({
    storeId: store.integer() as StoreId,
    address: store.text(),
  })),
});

const readAdminResponse = (fields: FieldReader): AdminResponse => ({
  type: "admin-response",
  requestId: fields.integer(),
  result: fields.data(),
  error: readWireError(fields),
});
