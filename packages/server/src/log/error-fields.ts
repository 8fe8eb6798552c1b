/** An error as log fields; anything else as it is. */
export function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const { name, message, stack } = error;
  const cause = error.cause === undefined ? {} : { cause: errorFields(error.cause) };
  const code = "code" in error ? { code: error.code } : {};
  return { name, message, ...code, stack, ...cause };
}
