/** Sends a range snapshot to a follower that the log cannot serve any more, as far as credit and rate let it. */
import type { Environment, RangeDescriptor, ReplicaId, StoreId, Term } from "@flotilla/base";
import type { PeerMessage, SnapshotAnswer } from "@flotilla/transport";
import type { SnapshotLabel } from "@flotilla/raft";
import { isMember } from "../replica/member-change.ts";
import type { Replica } from "../replica/replica.ts";
import type { ByteRate } from "./byte-rate.ts";
import type { EncodedPart, ViewedRange } from "./range-encoding.ts";
import { isClosed } from "./snapshot-jobs.ts";
import type { RangeSource, SnapshotJobs } from "./snapshot-jobs.ts";

/** Without an answer for this long the transfer is given up; Raft asks for another. */
const answerMsMax = 20_000;
/** And for this long before it was accepted. */
const acceptMsMax = 5_000;

export interface SnapshotSenderHost {
  readonly environment: Environment;
  readonly jobs: SnapshotJobs;
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
      if (!isClosed(error)) this.#host.onFailure(error);
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
    const { jobs, chunkBytes } = this.#host;
    let source = await jobs.encode(rangeId, chunkBytes);
    try {
      if (!this.#serves(source.found, descriptor)) {
        // Applied, and not in the engine yet: that the receiver became a member, or that the range was split (off).
        await source.close();
        if (!(await this.#host.flush()) || this.#finished) return this.finish(false);
        source = await jobs.encode(rangeId, chunkBytes);
        if (!this.#serves(source.found, descriptor)) return this.finish(false);
      }
      this.label = source.found.label;
      await this.#stream(source);
    } finally {
      await source.close();
    }
  }

  #serves(found: ViewedRange | undefined, offered: RangeDescriptor): found is ViewedRange {
    if (found === undefined) return false;
    return isMember(found.label.configuration, this.to) && found.descriptor.epoch.bounds >= offered.epoch.bounds;
  }

  async #stream(source: RangeSource): Promise<void> {
    for (let sequence = 0; ; sequence++) {
      const part = await source.next();
      if (part === undefined || !(await this.#send(part, sequence))) return;
    }
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
  async #send({ bytes, last }: EncodedPart, sequence: number): Promise<boolean> {
    if (!(await this.#credit()) || !(await this.#turn(bytes.length))) return false;
    const { transferId } = this;
    if (!this.#host.send(this.toStore, { type: "snapshot-chunk", transferId, sequence, bytes, last })) {
      this.finish(false);
      return false;
    }
    this.sentBytes += bytes.length;
    return true;
  }
}
