/**
 * The receiving side of a range snapshot: the stream goes to a staging file, all of it is verified and fsynced, and only
 * then Raft hears of it. Before Raft accepts and logs the install, the old replica is untouched.
 *
 * Files under `staging/`: `*.part` while receiving (removed at start), `range-R-I-T.snapshot` when whole, where R is the
 * range and I, T the label. After a crash between the log's install record and the end of loading, the file is loaded again.
 */
import { MalformedError, equalBytes } from "@flotilla/base";
import type {
  ByteOperations,
  Files,
  LogIndex,
  OpenFile,
  RangeDescriptor,
  RangeId,
  ReplicaId,
  Term,
} from "@flotilla/base";
import type { Configuration, SnapshotLabel } from "@flotilla/raft";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  rangeRecordKey,
  rangeRecordNames,
} from "@flotilla/storage";
import { SnapshotDecoder } from "./snapshot-stream.ts";

const directory = "staging";

export interface StagedSnapshot {
  readonly path: string;
  readonly label: SnapshotLabel;
  readonly descriptor: RangeDescriptor;
}

export const stagedPath = (range: RangeId, index: LogIndex, term: Term): string =>
  `${directory}/range-${range}-${index}-${term}.snapshot`;

/** One transfer being received. Chunks are written in order; failures of the disk reject and halt the store. */
export class SnapshotReceipt {
  readonly transferId: number;
  readonly fromReplica: ReplicaId;
  readonly rangeId: RangeId;
  readonly term: Term;
  takenBytes = 0;
  #nextSequence = 0;
  #cancelled = false;
  #file: OpenFile | undefined = undefined;
  #work: Promise<void>;
  readonly #path: string;
  readonly #files: Files;

  constructor(options: { transferId: number; fromReplica: ReplicaId; rangeId: RangeId; term: Term }, files: Files) {
    this.transferId = options.transferId;
    this.fromReplica = options.fromReplica;
    this.rangeId = options.rangeId;
    this.term = options.term;
    this.#files = files;
    this.#path = `${directory}/range-${options.rangeId}-from-${options.fromReplica}-${options.transferId}.part`;
    this.#work = this.#open();
  }

  async #open(): Promise<void> {
    if (await this.#files.exists(this.#path)) await this.#files.remove(this.#path);
    this.#file = await this.#files.open(this.#path, "create");
  }

  /** False when a chunk is missing: the transfer cannot go on. Resolves when it is written. */
  async take(sequence: number, bytes: Uint8Array): Promise<boolean> {
    if (this.#cancelled || sequence !== this.#nextSequence) return false;
    this.#nextSequence++;
    const offset = this.takenBytes;
    this.takenBytes += bytes.length;
    this.#work = this.#work.then(() => this.#file!.write(offset, [bytes]));
    await this.#work;
    return !this.#cancelled;
  }

  /** Everything has come: verifies, syncs, and gives the file its name. Undefined when it is not whole. */
  async complete(operations: ByteOperations): Promise<StagedSnapshot | undefined> {
    await this.#work;
    const file = this.#file!;
    const verified = await verifySnapshot(file, this.rangeId, operations);
    if (verified === undefined || this.#cancelled) {
      await this.cancel();
      return undefined;
    }
    await file.sync();
    await file.close();
    this.#file = undefined;
    const path = stagedPath(this.rangeId, verified.label.index, verified.label.term);
    await this.#files.rename(this.#path, path);
    await this.#files.syncDirectory(directory);
    return { ...verified, path };
  }

  async cancel(): Promise<void> {
    if (this.#cancelled) return;
    this.#cancelled = true;
    // Whatever became of the last write, the file goes.
    await this.#work.catch(() => {});
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return;
    await file.close();
    await this.#files.remove(this.#path);
  }
}

/** Reads the whole file; undefined when anything in it does not hold. */
async function verifySnapshot(
  file: OpenFile,
  range: RangeId,
  operations: ByteOperations,
): Promise<{ label: SnapshotLabel; descriptor: RangeDescriptor } | undefined> {
  const decoder = new SnapshotDecoder((offset, length) => file.read(offset, length), operations);
  try {
    const header = await decoder.header();
    if (header.rangeId !== range) return undefined;
    const keys = {
      descriptor: rangeRecordKey(range, rangeRecordNames.descriptor, operations),
      configuration: rangeRecordKey(range, rangeRecordNames.configuration, operations),
      applied: rangeRecordKey(range, rangeRecordNames.applied, operations),
    };
    let descriptor: RangeDescriptor | undefined;
    let configuration: Configuration | undefined;
    let appliedHolds = false;
    for (;;) {
      const records = await decoder.records();
      if (records === undefined) break;
      for (const { key, value } of records) {
        if (key[0] !== 2) continue;
        if (equalBytes(key, keys.descriptor)) descriptor = decodeDescriptor(key, value, operations);
        else if (equalBytes(key, keys.configuration)) configuration = decodeConfiguration(key, value, operations);
        else if (equalBytes(key, keys.applied)) {
          const applied = decodeApplied(key, value, operations);
          appliedHolds = applied.index === header.index && applied.term === header.term;
        }
      }
    }
    if (descriptor === undefined || configuration === undefined || !appliedHolds) return undefined;
    return { label: { index: header.index, term: header.term, configuration }, descriptor };
  } catch (error) {
    if (error instanceof MalformedError) return undefined;
    throw error;
  }
}

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
