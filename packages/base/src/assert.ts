/**
 * A broken invariant: the program's own state is not what it must be. Whoever catches it halts the node
 * (nothing more is acknowledged, sent or retried); it is never an answer to a client.
 */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/**
 * Stays on in production. The message names both operands, so that the log line alone says what was violated.
 * Pass a function for messages that are costly to build.
 */
export function assert(condition: boolean, message: string | (() => string)): asserts condition {
  if (!condition) throw new InvariantError(typeof message === "string" ? message : message());
}

/** For the end of a closed union: `default: unreachable(value)` does not compile while a case is missing. */
export function unreachable(value: never, what = "case"): never {
  throw new InvariantError(`unexpected ${what}: ${JSON.stringify(value)}`);
}
