import { Failure } from "@flotilla/base";
import type { PlainError } from "./store-thread-messages.ts";

export function toPlainError(error: unknown): PlainError {
  if (!(error instanceof Error))
    return { name: "Error", message: String(error), code: undefined, hint: "", details: {}, stack: "" };
  const { name, message, stack = "" } = error;
  if (!(error instanceof Failure)) return { name, message, code: undefined, hint: "", details: {}, stack };
  // Details may hold anything; what cannot cross the boundary is left out rather than the error.
  const details = JSON.parse(JSON.stringify(error.details)) as Record<string, unknown>;
  return { name, message, code: error.code, hint: error.hint, details, stack };
}

/** Errors that are no `Failure` come back as `Internal`: something nobody expected. */
export function fromPlainError({ name, message, code, hint, details, stack }: PlainError): Failure {
  if (code !== undefined) return new Failure(code, message, { hint, details: { ...details } });
  const failure = new Failure("Internal", name === "Error" ? message : `${name}: ${message}`, {
    hint,
    details: { ...details },
  });
  failure.stack = stack;
  return failure;
}
