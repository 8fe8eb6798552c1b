/**
 * Sends a range snapshot to a follower that the log cannot serve any more (rule: range snapshot). It is exactly two
 * things read from one read view: the range's own records and its interval; the label is the applied index found there.
 */
import { assert } from "@flotilla/base";
import type { ByteOperations, Environment, LogIndex, RangeDescriptor, ReplicaId, StoreId, Term } from "@flotilla/base";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  newestKey,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
} from "@flotilla/storage";
import type { Engine, EngineRecord, ReadView } from "@flotilla/storage";
import type { PeerMessage, SnapshotAnswer } from "@flotilla/transport";
import type { SnapshotLabel } from "@flotilla/raft";
import { isMember } from "../replica/member-change.ts";
import type { Replica } from "../replica/replica.ts";
import type { ByteRate } from "./byte-rate.ts";
import { SnapshotEncoder } from "./snapshot-stream.ts";

/** Without an answer for this long the transfer is given up; Raft asks for another. */
const answerMsMax = 20_000;
/** And for this long before it was accepted. */
const acceptMsMax = 5_000;
const recordsPerRead = 1000;

interface ViewedRange {
  readonly descriptor: RangeDescriptor;
  readonly label: SnapshotLabel;
}

export interface SnapshotSenderHost {
  readonly environment: Environment;
  readonly engine: Engine;
  readonly chunkBytes: number;
  /** What all senders of the store may send. */
  readonly rate: ByteRate;
  /** Brings the engine up to what is applied; false when that cannot be now. */
  flush(): Promise<boolean>;
  /** False when it cannot leave now. */
  send(to: StoreId, message: PeerMessage): boolean;
  onFinished(sender: SnapshotSender, ok: boolean): void;
  onFailure(error: unknown): void;
}

export class SnapshotSender {
  readonly transferId: number;
  readonly replica: Replica;
  readonly to: ReplicaId;
  readonly toStore: StoreId;
  label: SnapshotLabel | undefined = undefined;
  sentBytes = 0;
  /** Nothing leaves before the receiver has said how much it takes. */
  #allowedBytes = 0;
  #finished = false;
  #lastAnswerMs: number;
  #wake: (() => void) | undefined = undefined;
  /** While it waits for its turn in the store's rate. */
  #endDelay: (() => void) | undefined = undefined;
  readonly #term: Term;
  readonly #host: SnapshotSenderHost;

  constructor(transferId: number, replica: Replica, to: ReplicaId, toStore: StoreId, host: SnapshotSenderHost) {
    this.transferId = transferId;
    this.replica = replica;
    this.to = to;
    this.toStore = toStore;
    this.#term = replica.node.term;
    this.#host = host;
    this.#lastAnswerMs = host.environment.clock.monotonicMs();
  }

  start(): void {
    this.#run().catch((error: unknown) => {
      this.finish(false);
      this.#host.onFailure(error);
    });
  }

  onAnswer(answer: SnapshotAnswer): void {
    this.#lastAnswerMs = this.#host.environment.clock.monotonicMs();
    if (answer.state === "refused") this.finish(false);
    else if (answer.state === "done") this.finish(true);
    else this.#allowedBytes = Math.max(this.#allowedBytes, answer.takenBytes + answer.creditBytes);
    this.#wakeUp();
  }

  /** Called now and then: gives up on a receiver that does not answer, and when the term is over. */
  check(): void {
    const { node } = this.replica;
    if (this.replica.retired) return this.finish(false);
    if (node.role !== "leader" || node.term !== this.#term) return this.finish(false);
    if (this.#endDelay !== undefined) return;
    const silentMs = this.#host.environment.clock.monotonicMs() - this.#lastAnswerMs;
    if (silentMs > (this.#allowedBytes === 0 ? acceptMsMax : answerMsMax)) this.finish(false);
  }

  finish(ok: boolean): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#wakeUp();
    this.#endDelay?.();
    this.#host.onFinished(this, ok);
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  async #run(): Promise<void> {
    const { transferId, to, replica } = this;
    const { rangeId, replicaId: from } = replica;
    const { descriptor } = replica;
    const offer = { type: "snapshot-offer", transferId, rangeId, from, to, term: this.#term, descriptor } as const;
    if (!this.#host.send(this.toStore, offer)) return this.finish(false);
    // Only now is anything held or read for it: the other store may have no room.
    if (!(await this.#credit())) return;
    let view = this.#host.engine.readView();
    try {
      let found = this.#read(view);
      if (!this.#serves(found, descriptor)) {
        // Applied, and not in the engine yet: that the receiver became a member, or that the range was split (off).
        await view.close();
        if (!(await this.#host.flush()) || this.#finished) return this.finish(false);
        view = this.#host.engine.readView();
        found = this.#read(view);
        if (!this.#serves(found, descriptor)) return this.finish(false);
      }
      const { label } = found;
      this.label = label;
      await this.#stream(view, found.descriptor, label.index, label.term);
    } finally {
      await view.close();
    }
  }

  /**
   * Bounds, members and label as one view has them (hazards D6, D9): what is in memory may be of another moment.
   * Undefined of a range that was split off and is in no flush yet.
   */
  #read(view: ReadView): ViewedRange | undefined {
    const { rangeId } = this.replica;
    const operations = this.#host.environment.bytes;
    const record = <T>(
      name: string,
      decode: (key: Uint8Array, value: Uint8Array, operations: ByteOperations) => T,
    ): T => {
      const key = rangeRecordKey(rangeId, name, operations);
      const value = view.getNow(key);
      assert(value !== undefined, `range ${rangeId} has no ${name} record to make a snapshot from`);
      return decode(key, value, operations);
    };
    if (view.getNow(rangeRecordKey(rangeId, rangeRecordNames.applied, operations)) === undefined) return undefined;
    const { index, term } = record(rangeRecordNames.applied, decodeApplied);
    const configuration = record(rangeRecordNames.configuration, decodeConfiguration);
    const descriptor = record(rangeRecordNames.descriptor, decodeDescriptor);
    return { descriptor, label: { index, term, configuration } };
  }

  #serves(found: ViewedRange | undefined, offered: RangeDescriptor): found is ViewedRange {
    if (found === undefined) return false;
    return isMember(found.label.configuration, this.to) && found.descriptor.epoch.bounds >= offered.epoch.bounds;
  }

  async #stream(view: ReadView, descriptor: RangeDescriptor, index: LogIndex, term: Term): Promise<void> {
    const operations = this.#host.environment.bytes;
    const encoder = new SnapshotEncoder(operations);
    const { bounds, members } = descriptor.epoch;
    const state = { sequence: 0 };
    if (
      !(await this.#send(encoder.header({ rangeId: descriptor.rangeId, index, term, bounds, members }), state, false))
    )
      return;
    const own = {
      start: rangeRecordKey(descriptor.rangeId, "", operations),
      end: rangeRecordsEnd(descriptor.rangeId, operations),
    };
    const interval = { start: newestKey(descriptor.start, operations), end: newestKey(descriptor.end, operations) };
    for (const { start, end } of [own, interval]) {
      const iterator = this.#host.engine.iterate({ start, end, view });
      try {
        for (;;) {
          const page = await iterator.next(recordsPerRead, this.#host.chunkBytes);
          if (page.length === 0) break;
          for (const records of inChunks(page, this.#host.chunkBytes)) {
            if (!(await this.#send(encoder.chunk(records), state, false))) return;
          }
        }
      } finally {
        await iterator.close();
      }
    }
    await this.#send(encoder.trailer(), state, true);
  }

  /** Waits until more may be sent; false when the transfer is over. */
  async #credit(): Promise<boolean> {
    while (!this.#finished && this.sentBytes >= this.#allowedBytes) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return !this.#finished;
  }

  /** Waits until it is this transfer's turn in the store's rate; false when the transfer is over. */
  async #turn(bytes: number): Promise<boolean> {
    const { clock, scheduler } = this.#host.environment;
    const delayMs = this.#host.rate.take(bytes);
    if (delayMs === 0) return !this.#finished;
    await new Promise<void>((resolve) => {
      const timer = scheduler.after(delayMs, resolve);
      this.#endDelay = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#endDelay = undefined;
    // Nobody owed an answer meanwhile.
    this.#lastAnswerMs = clock.monotonicMs();
    return !this.#finished;
  }

  /** Waits for credit, then sends; false when the transfer is over. */
  async #send(bytes: Uint8Array, state: { sequence: number }, last: boolean): Promise<boolean> {
    if (!(await this.#credit()) || !(await this.#turn(bytes.length))) return false;
    const { transferId } = this;
    if (
      !this.#host.send(this.toStore, { type: "snapshot-chunk", transferId, sequence: state.sequence++, bytes, last })
    ) {
      this.finish(false);
      return false;
    }
    this.sentBytes += bytes.length;
    return true;
  }
}

/** Pages of the engine cut to about `bytes` each, at least one record. */
function inChunks(page: readonly EngineRecord[], bytes: number): EngineRecord[][] {
  const chunks: EngineRecord[][] = [];
  let chunk: EngineRecord[] = [];
  let size = 0;
  for (const record of page) {
    const more = record.key.length + record.value.length;
    if (chunk.length > 0 && size + more > bytes) {
      chunks.push(chunk);
      chunk = [];
      size = 0;
    }
    chunk.push(record);
    size += more;
  }
  if (chunk.length > 0) chunks.push(chunk);
  return chunks;
}
