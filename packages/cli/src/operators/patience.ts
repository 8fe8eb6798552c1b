/** Asking again while the driver is away: it fails over by itself, and nothing is lost by asking twice. */
import type { CommandIo } from "../command-io.ts";
import { errorCodes } from "../error-codes.ts";
import { isCoded } from "../exit-code.ts";

/** Without any answer for so long there is nobody to follow. */
const silenceMsMax = 60_000;

/** Resolves with `undefined` when there was no answer this time; rejects with what does not pass, or has not for too long. */
export function patient<Answer>(
  io: Pick<CommandIo, "nowMs">,
  ask: () => Promise<Answer>,
): () => Promise<Answer | undefined> {
  let silentSinceMs: number | undefined;
  return async () => {
    try {
      const answer = await ask();
      silentSinceMs = undefined;
      return answer;
    } catch (error) {
      silentSinceMs ??= io.nowMs();
      if (!passes(error) || io.nowMs() - silentSinceMs >= silenceMsMax) throw error;
      return undefined;
    }
  };
}

const passes = (error: unknown): boolean =>
  isCoded(error) && Object.hasOwn(errorCodes, error.code) && errorCodes[error.code].retryable;
