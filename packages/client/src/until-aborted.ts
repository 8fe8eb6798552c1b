/** A source of records that is left at once when the call's signal is aborted, even while the source says nothing. */
import type { AbortSignalLike } from "./call.ts";

/** `reason` makes the error that ends the iteration. One promise a record; nothing is kept of the ones before. */
export async function* untilAborted<T>(
  source: AsyncIterable<T>,
  signal: AbortSignalLike,
  reason: () => Error,
): AsyncGenerator<T, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  let reject: ((error: Error) => void) | undefined;
  const onAbort = (): void => reject?.(reason());
  signal.addEventListener("abort", onAbort);
  const next = (): Promise<IteratorResult<T, unknown>> =>
    new Promise((resolve, fail) => {
      reject = fail;
      if (signal.aborted) fail(reason());
      else iterator.next().then(resolve, fail);
    });
  let ended = false;
  try {
    for (;;) {
      const result = await next();
      ended = result.done === true;
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    if (!ended) await leave(iterator, signal);
  }
}

/** A source that is silent may never come to its end: once the call is cancelled nobody waits for it. */
async function leave(iterator: AsyncIterator<unknown>, signal: AbortSignalLike): Promise<void> {
  const left = iterator.return?.();
  if (signal.aborted) left?.catch(() => {});
  else await left;
}
