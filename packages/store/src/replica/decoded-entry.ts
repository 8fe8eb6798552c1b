/** A committed entry that cannot be read: other replicas may apply what this one would leave out, so it must not go on. */
import { InvariantError, MalformedError } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";

export function decodedEntry<T>(rangeId: RangeId, entry: Entry, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new InvariantError(
      `range ${rangeId}: entry ${entry.index} of term ${entry.term} cannot be read: ${error.message}`,
    );
  }
}
