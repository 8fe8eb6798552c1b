/**
 * One put, delete or point read on its way. Plain, monomorphic and reusable: whoever owns it fills it in, submits it, and
 * is told by `owner.settled`. It is itself the `Command` that the codec encodes, so that nothing is copied on the way.
 */
import { noStore, noVersion } from "@flotilla/base";
import type { ErrorCode, Key, StoreId, Version } from "@flotilla/base";
import type { Command } from "@flotilla/transport";
import type { FlotillaError } from "./flotilla-error.ts";
import type { SentBatch } from "./sent-batch.ts";

export type Lane = "write" | "read" | "stale-read";

/**
 * idle → (queued →) pending → sent → idle. `idle`: in nobody's books. `queued`: it waits for room. `pending`: it has room and a number, and waits for
 * a route, a stream or the end of a back-off. `sent`: it is part of `batch`.
 */
export type OperationState = "idle" | "queued" | "pending" | "sent";

export interface OperationOwner {
  /** Exactly once for each submit. The operation may be submitted again from inside. */
  settled(operation: Operation): void;
}

export const noBytes: Uint8Array = new Uint8Array(0);

export class Operation implements Command {
  lane: Lane = "write";
  kind: Command["kind"] = "put";
  condition: Command["condition"] = "none";
  expected: Version = noVersion;
  key: Key = "" as Key;
  /** Must not change until the operation is settled. After a read: a view of what was received. */
  value: Uint8Array = noBytes;
  /** 0 = the client's default. */
  timeoutMs = 0;

  /** Results. Read and write: the record's version, 0 = no record. */
  version: Version = noVersion;
  /** Delete: whether there was a record. */
  existed = false;
  error: FlotillaError | undefined = undefined;

  /** Rises from 1, separately for writes and reads; given when the operation gets room. */
  number = 0;
  firstSent: Version = noVersion;
  state: OperationState = "idle";
  /** What it counts against the limits. */
  bytes = 0;
  /** On the monotonic clock. */
  deadlineMs = 0;
  attempts = 0;
  /** Attempts that nobody answered in their time: each is waited for twice as long as the one before. */
  stalls = 0;
  /** An attempt may have been proposed and its answer is lost. Never goes back to false while the operation lives. */
  fateUnknown = false;
  /** A batch was refused as a whole for the sake of one command in it: this one is sent by itself now. */
  alone = false;
  /** Why the last attempt was refused. */
  lastCode: ErrorCode | undefined = undefined;
  lastMessage = "";
  lastStore: StoreId = noStore;
  /** Every store asked, from the second attempt on. */
  stores: StoreId[] | undefined = undefined;
  /** Defined exactly while `state` is `sent`. */
  batch: SentBatch | undefined = undefined;

  owner: OperationOwner;
  /** For the owner's own use. */
  tag: unknown = undefined;
  resolve: ((value: never) => void) | undefined = undefined;
  reject: ((error: unknown) => void) | undefined = undefined;

  constructor(owner: OperationOwner) {
    this.owner = owner;
  }

  /** Back to what a fresh operation is, apart from what the submitter fills in. */
  begin(bytes: number, deadlineMs: number): void {
    this.version = noVersion;
    this.existed = false;
    this.error = undefined;
    this.number = 0;
    this.firstSent = noVersion;
    this.bytes = bytes;
    this.deadlineMs = deadlineMs;
    this.attempts = 0;
    this.stalls = 0;
    this.fateUnknown = false;
    this.alone = false;
    this.lastCode = undefined;
    this.lastMessage = "";
    this.lastStore = noStore;
    this.stores = undefined;
    this.batch = undefined;
  }

  /** Whether a write may have taken effect as far as the client knows. */
  get mayBeApplied(): boolean {
    return this.lane === "write" && (this.fateUnknown || this.batch !== undefined);
  }
}
