import { Failure } from "@flotilla/base";
import { FlotillaError } from "@flotilla/client";

/** Whoever embeds a cluster meets one error class, the client's. */
export function toFlotillaError(error: unknown): FlotillaError {
  if (error instanceof FlotillaError) return error;
  if (error instanceof Failure) {
    const { code, message, hint, details } = error;
    return new FlotillaError(code, message, { hint, details, cause: error });
  }
  return new FlotillaError("Internal", error instanceof Error ? error.message : String(error), { cause: error });
}
