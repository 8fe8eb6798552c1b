/**
 * Which error an operation ends with. The code alone says which of two a write is: `OutcomeUnknown` = its fate is unknown;
 * every other code = every attempt was refused before it was proposed (or none was made).
 */
import { printableKey } from "@flotilla/base";
import type { ErrorCode, StoreId } from "@flotilla/base";
import { FlotillaError } from "./flotilla-error.ts";
import type { Operation } from "./operation.ts";
import type { CachedRange } from "./route-cache.ts";

export interface FailureContext {
  readonly clientId: number;
  readonly range: CachedRange | undefined;
  /** Stores of the range's replicas that cannot be reached, or say nothing. */
  readonly missingStores: readonly StoreId[];
  /** Nothing at all could be reached. */
  readonly unreachable: FlotillaError | undefined;
}

export const noQuorumHint = "check which nodes are down: flotilla node list";

export function describeOperation(operation: Operation): string {
  const key = printableKey(operation.key.slice(1, 65)) + (operation.key.length > 65 ? "…" : "");
  return `${operation.lane === "write" ? operation.kind : "get"} of "${key}"`;
}

function requestIdOf(operation: Operation, context: FailureContext): string | undefined {
  return operation.number === 0 ? undefined : `${context.clientId.toString(16)}-${operation.number}`;
}

function detailsOf(operation: Operation, context: FailureContext): Record<string, unknown> {
  const stores = operation.stores ?? (operation.lastStore === 0 ? [] : [operation.lastStore]);
  return {
    rangeId: context.range?.descriptor.rangeId ?? null,
    storesAsked: [...stores],
    missingStores: [...context.missingStores],
    attempts: operation.attempts,
    lastCode: operation.lastCode ?? null,
  };
}

/** The operation ends now, for the reason `code`, without an answer that settles it. */
export function endedError(
  operation: Operation,
  code: "Timeout" | "Cancelled" | "Closed",
  reason: string,
  context: FailureContext,
  cause?: unknown,
): FlotillaError {
  const details = detailsOf(operation, context);
  const requestId = requestIdOf(operation, context);
  const what = describeOperation(operation);
  const where = context.range === undefined ? "" : ` in range ${context.range.descriptor.rangeId}`;
  if (operation.mayBeApplied) {
    return new FlotillaError(
      "OutcomeUnknown",
      `${what}${where}: ${reason}; it may or may not have been applied${asked(details)}${missingText(context.missingStores)}`,
      {
        outcome: "unknown",
        hint: "read the key to see; a second write would be another command",
        details: { ...details, reason: code },
        requestId,
        cause,
      },
    );
  }
  const outcome = operation.lane === "write" ? "not-applied" : undefined;
  const final = code === "Timeout" ? timeoutCode(operation, context) : code;
  const { unreachable } = context;
  if (code === "Timeout" && unreachable !== undefined) {
    return new FlotillaError(unreachable.code, `${what}: ${unreachable.message}`, {
      outcome,
      requestId,
      hint: unreachable.hint,
      details: { ...details, ...unreachable.details },
    });
  }
  const because = operation.lastMessage === "" ? "" : `; last refusal: ${operation.lastMessage}`;
  const text =
    final === "Timeout" || final === "NoQuorum" ? `${missingText(context.missingStores)}${because}` : because;
  return new FlotillaError(final, `${what}${where}: ${reason}${text}`, {
    outcome,
    requestId,
    details,
    cause,
    hint: final === "NoQuorum" ? noQuorumHint : "",
  });
}

export function lacksMajority(range: CachedRange | undefined, missingStores: readonly StoreId[]): boolean {
  const replicas = range?.descriptor.replicas.length ?? 0;
  return missingStores.length > 0 && 2 * (replicas - missingStores.length) <= replicas;
}

export function missingText(missingStores: readonly StoreId[]): string {
  if (missingStores.length === 0) return "";
  return `; no answer from ${missingStores.length === 1 ? "store" : "stores"} ${missingStores.join(", ")}`;
}

function asked(details: Record<string, unknown>): string {
  return ` (asked stores ${(details["storesAsked"] as number[]).join(", ")})`;
}

function timeoutCode(operation: Operation, context: FailureContext): ErrorCode {
  const { lastCode } = operation;
  if (lastCode === "Busy" || lastCode === "DiskFull" || lastCode === "NoQuorum") return lastCode;
  if (lacksMajority(context.range, context.missingStores)) return "NoQuorum";
  // Without a majority nobody leads: the replicas left refuse, or no replica is left to ask.
  if (operation.batch === undefined && context.range !== undefined && context.missingStores.length > 0)
    return "NoQuorum";
  return "Timeout";
}

/** A store refused this attempt for good. */
export function refusedError(
  operation: Operation,
  code: ErrorCode,
  message: string,
  context: FailureContext,
): FlotillaError {
  const details = detailsOf(operation, context);
  const requestId = requestIdOf(operation, context);
  const what = describeOperation(operation);
  const text = message === "" ? code : message;
  if (operation.lane === "write" && operation.fateUnknown) {
    return new FlotillaError(
      "OutcomeUnknown",
      `${what}: an attempt was lost, and the last was refused: ${text}${asked(details)}`,
      {
        outcome: "unknown",
        hint: "read the key to see; a second write would be another command",
        details: { ...details, reason: code },
        requestId,
      },
    );
  }
  return new FlotillaError(code, `${what}: ${text}`, {
    outcome: operation.lane === "write" ? "not-applied" : undefined,
    details,
    requestId,
  });
}

export function conditionError(operation: Operation, context: FailureContext): FlotillaError {
  const { version } = operation;
  const found = version === 0 ? "there is no record" : `the record has version ${version}`;
  const wanted = operation.condition === "if-absent" ? "no record" : `version ${operation.expected}`;
  return new FlotillaError("ConditionFailed", `${describeOperation(operation)} wanted ${wanted}, ${found}`, {
    outcome: "not-applied",
    details: { version, rangeId: context.range?.descriptor.rangeId ?? null },
    requestId: requestIdOf(operation, context),
  });
}
