/** What the process says to whoever started it (docs/cli.md). */
import type { ErrorCode, Outcome } from "@flotilla/base";
import { errorCodes } from "./error-codes.ts";

export const exitDone = 0;
/** Not done because of the cluster's state, or done in part: what was left out is listed. */
export const exitNotDone = 1;
/** What the user gave is wrong. */
export const exitWrongInput = 2;
/** The outcome of a write is unknown. */
export const exitUnknown = 3;

/** The fields that every expected error of ours has, whichever package threw it. */
export interface CodedError extends Error {
  readonly code: ErrorCode;
  readonly hint?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly retryable?: boolean;
  readonly outcome?: Outcome | undefined;
}

/** By shape: the client has an error class of its own. Errors of the platform (`ENOENT`) have codes in capitals. */
export function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && "code" in error && typeof error.code === "string" && /^[A-Z][a-z]/.test(error.code);
}

/** `refusalsAreInput`: for verbs that work on directories, where a refusal is about the directory the user named. */
export function exitCodeOf(error: unknown, refusalsAreInput: boolean = false): number {
  if (!isCoded(error)) return exitNotDone;
  if (refusalsAreInput && (error.code === "Refused" || error.code === "WrongCluster")) return exitWrongInput;
  if (error.outcome === "unknown" || error.code === "OutcomeUnknown") return exitUnknown;
  return Object.hasOwn(errorCodes, error.code) ? errorCodes[error.code].exitCode : exitNotDone;
}
