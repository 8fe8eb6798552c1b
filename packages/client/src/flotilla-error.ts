/** The one error class that a user of the client meets. Nobody has to compare message texts: `code` is stable. */
import type { ErrorCode, Outcome } from "@flotilla/base";

export interface FlotillaErrorOptions {
  /** Writes only. `not-applied`: every attempt was refused before it was proposed. */
  readonly outcome?: Outcome | undefined;
  /** What the user can do about it. */
  readonly hint?: string;
  /** Plain data: limits and sizes, the range, the stores asked. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Stands in the logs of the servers that saw the request. */
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

export class FlotillaError extends Error {
  override readonly name = "FlotillaError";
  readonly code: ErrorCode;
  /** Whether the same call may succeed later without any risk of being applied twice. */
  readonly retryable: boolean;
  /** Writes: `not-applied` or `unknown`. `undefined` for everything that writes nothing. */
  readonly outcome: Outcome | undefined;
  readonly hint: string;
  readonly details: Readonly<Record<string, unknown>>;
  readonly requestId: string | undefined;

  constructor(code: ErrorCode, message: string, options: FlotillaErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retryable = isRetryable(code);
    this.outcome = options.outcome;
    this.hint = options.hint ?? "";
    this.details = options.details ?? {};
    this.requestId = options.requestId;
  }
}

/** `OutcomeUnknown` is not retryable: the first attempt may still take effect, a second call would be another command. */
export function isRetryable(code: ErrorCode): boolean {
  return (
    code === "Busy" || code === "Timeout" || code === "ConnectFailed" || code === "NoQuorum" || code === "DiskFull"
  );
}

/** A refusal that passes by itself: the client asks again until the call's own timeout. */
export function isTransient(code: ErrorCode): boolean {
  return isRetryable(code) || code === "Closed";
}

/** Also of an error from another copy of this code, as in a program that uses both published packages. */
export function isFlotillaError(value: unknown): value is FlotillaError {
  return (
    value instanceof FlotillaError || (value instanceof Error && value.name === "FlotillaError" && "code" in value)
  );
}
