/**
 * The heavy halves of range snapshots: reading a range out of the engine as a stream, and verifying a stream that was
 * received. Neither changes anything, so a server has them done on threads beside the store's, and the store's own thread
 * only passes chunks on. `InlineSnapshotJobs` does the same in place, for simulator and tests.
 */
import { Failure } from "@flotilla/base";
import type { ByteOperations, Files, RangeId } from "@flotilla/base";
import { RangeEncoding } from "./range-encoding.ts";
import type { EncodedPart, ReadableEngine, ViewedRange } from "./range-encoding.ts";
import { verifySnapshot } from "./verify-snapshot.ts";
import type { VerifiedSnapshot } from "./verify-snapshot.ts";

/** One read view of the engine, given out in parts. Must be closed. */
export interface RangeSource {
  /** Undefined of a range that is in no flush yet: then there are no parts. */
  readonly found: ViewedRange | undefined;
  /** The next part, one call at a time; undefined behind the last one. */
  next(): Promise<EncodedPart | undefined>;
  close(): Promise<void>;
}

/** After `close` everything rejects with `Closed`. */
export interface SnapshotJobs {
  /** `chunkBytes`: about how large a chunk becomes. The view is not older than the call. */
  encode(range: RangeId, chunkBytes: number): Promise<RangeSource>;
  /** Reads the whole file, a path within the store's directory; undefined when anything in it does not hold. */
  verify(path: string, range: RangeId): Promise<VerifiedSnapshot | undefined>;
  /** Resolves when none of them uses engine or files any more. */
  close(): Promise<void>;
}

/** The store is being stopped: that a job did not end is no failure then. */
export const isClosed = (error: unknown): boolean => error instanceof Failure && error.code === "Closed";

export class InlineSnapshotJobs implements SnapshotJobs {
  readonly #engine: ReadableEngine;
  readonly #files: Files;
  readonly #operations: ByteOperations;

  constructor(engine: ReadableEngine, files: Files, operations: ByteOperations) {
    this.#engine = engine;
    this.#files = files;
    this.#operations = operations;
  }

  encode(range: RangeId, chunkBytes: number): Promise<RangeSource> {
    return RangeEncoding.open(range, chunkBytes, this.#engine, this.#operations);
  }

  verify(path: string, range: RangeId): Promise<VerifiedSnapshot | undefined> {
    return verifySnapshot(path, range, this.#files, this.#operations);
  }

  async close(): Promise<void> {}
}
