/**
 * The receiving side of a range snapshot: the stream goes to a staging file, all of it is verified and fsynced, and only
 * then Raft hears of it. Before Raft accepts and logs the install, the old replica is untouched.
 *
 * Files under `staging/`: `*.part` while receiving (removed at start), `range-R-I-T.snapshot` when whole, where R is the
 * range and I, T the label. After a crash between the log's install record and the end of loading, the file is loaded again.
 */
import type { Files, LogIndex, OpenFile, RangeId, ReplicaId, Term } from "@flotilla/base";
import type { VerifiedSnapshot } from "./verify-snapshot.ts";

const directory = "staging";

export const stagedPath = (range: RangeId, index: LogIndex, term: Term): string =>
  `${directory}/range-${range}-${index}-${term}.snapshot`;

/**
 * One transfer being received. What is done to its file is done one thing after the other, a cancellation behind all of
 * it; failures of the disk reject.
 */
export class SnapshotReceipt {
  readonly transferId: number;
  readonly fromReplica: ReplicaId;
  readonly toReplica: ReplicaId;
  readonly rangeId: RangeId;
  readonly term: Term;
  /** Bytes that came, the ones not written yet included. */
  takenBytes = 0;
  /** Everything has come and is being verified: from here on the transfer is not given up for another. */
  completing = false;
  /** When the sender was last heard of. */
  touchedMs: number;
  #writtenBytes = 0;
  #nextSequence = 0;
  #cancelled = false;
  #file: OpenFile | undefined = undefined;
  /** Ends when what was begun so far has ended, well or not. */
  #work: Promise<void> = Promise.resolve();
  readonly #path: string;
  readonly #files: Files;

  /** `number` is unique for the life of the process: transfers of a sender that was restarted begin at 1 again. */
  constructor(
    options: {
      transferId: number;
      fromReplica: ReplicaId;
      toReplica: ReplicaId;
      rangeId: RangeId;
      term: Term;
      number: number;
      nowMs: number;
    },
    files: Files,
  ) {
    this.transferId = options.transferId;
    this.fromReplica = options.fromReplica;
    this.toReplica = options.toReplica;
    this.rangeId = options.rangeId;
    this.term = options.term;
    this.touchedMs = options.nowMs;
    this.#files = files;
    this.#path = `${directory}/range-${options.rangeId}-receipt-${options.number}.part`;
  }

  get unwrittenBytes(): number {
    return this.takenBytes - this.#writtenBytes;
  }

  #behind<T>(job: () => Promise<T>): Promise<T> {
    const run = this.#work.then(job);
    this.#work = run.then(ignore, ignore);
    return run;
  }

  /** False when a chunk is missing: the transfer cannot go on. Resolves when it is written. */
  async take(sequence: number, bytes: Uint8Array): Promise<boolean> {
    if (this.#cancelled || this.completing || sequence !== this.#nextSequence) return false;
    this.#nextSequence++;
    const offset = this.takenBytes;
    this.takenBytes += bytes.length;
    return this.#behind(async () => {
      if (this.#cancelled) return false;
      this.#file ??= await this.#files.open(this.#path, "create");
      await this.#file.write(offset, [bytes]);
      this.#writtenBytes += bytes.length;
      return !this.#cancelled;
    });
  }

  /** Has everything that came read by `check`, which gets the file's path; undefined when it does not hold. */
  verify(check: (path: string) => Promise<VerifiedSnapshot | undefined>): Promise<VerifiedSnapshot | undefined> {
    this.completing = true;
    return this.#behind(async () => {
      if (this.#cancelled || this.#file === undefined) return undefined;
      return check(this.#path);
    });
  }

  /** Makes the file durable under its own name; then it is the caller's. False when the transfer was cancelled. */
  publish(path: string): Promise<boolean> {
    return this.#behind(async () => {
      const file = this.#file;
      if (this.#cancelled || file === undefined) return false;
      await file.sync();
      this.#file = undefined;
      await file.close();
      await this.#files.rename(this.#path, path);
      await this.#files.syncDirectory(directory);
      return true;
    });
  }

  /** Nothing of it is left, unless it was published. */
  cancel(): Promise<void> {
    this.#cancelled = true;
    return this.#behind(async () => {
      const file = this.#file;
      if (file === undefined) return;
      this.#file = undefined;
      await file.close();
      await this.#files.remove(this.#path);
    });
  }
}

const ignore = (): void => {};

/**
 * Whole snapshots found at start; what was never finished is removed. Makes the directory, durably: a file in it is only
 * as durable as its own name.
 */
export async function recoverStaging(files: Files): Promise<string[]> {
  await files.makeDirectory(directory);
  await files.syncDirectory("");
  const whole: string[] = [];
  for (const name of await files.list(directory)) {
    if (name.endsWith(".snapshot")) whole.push(`${directory}/${name}`);
    else await files.remove(`${directory}/${name}`);
  }
  return whole;
}
