/**
 * An expected failure: typed, with what was wrong, which input, and what to do. Not for broken invariants
 * (`InvariantError`).
 */
import type { ErrorCode } from "./error-code.ts";

export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly code: ErrorCode;
  /** What the user can do about it; empty when the message says it. */
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: { hint?: string; details?: Record<string, unknown>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint ?? "";
    this.details = options.details ?? {};
  }
}

/** A file does not hold what was written to it. Never repaired silently: file and offset go to the operator. */
export class CorruptionError extends Failure {
  override readonly name = "CorruptionError";
  readonly file: string;
  readonly offset: number;

  constructor(file: string, offset: number, what: string, hint: string) {
    super("Corruption", `${file} at byte ${offset}: ${what}`, { hint, details: { file, offset } });
    this.file = file;
    this.offset = offset;
  }
}
