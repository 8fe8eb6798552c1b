/**
 * The store's side of the shared log: everything a turn stages goes out as one batch; what waits for its durability is
 * released, in order, when the fsync has returned. One batch is under way at a time, the next one collects meanwhile.
 */
import type { Clock } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { Message, Persistence } from "@flotilla/raft";
import type { Replica } from "./replica/replica.ts";

interface Release {
  /** Undefined: of no replica that lives. */
  readonly replica: Replica | undefined;
  readonly persistence: Persistence | undefined;
  readonly messages: readonly Message[];
  readonly afterDurable: (() => void) | undefined;
}

export interface PersistHost {
  releaseMessages(replica: Replica, messages: readonly Message[]): void;
  /** A batch is durable: look at the replicas that are now dirty. */
  onDurable(): void;
  onFailure(error: unknown): void;
}

const none: readonly Message[] = [];

export class PersistBatches {
  #staged: Release[] = [];
  #underWay: Release[] | undefined = undefined;
  #startedMs = 0;
  readonly #log: SharedLog;
  readonly #clock: Clock;
  readonly #host: PersistHost;

  constructor(log: SharedLog, clock: Clock, host: PersistHost) {
    this.#log = log;
    this.#clock = clock;
    this.#host = host;
  }

  get underWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** Since the batch under way was handed to the log, whatever it waits for there; 0 when none is. */
  get underWayMs(): number {
    return this.#underWay === undefined ? 0 : this.#clock.monotonicMs() - this.#startedMs;
  }

  get idle(): boolean {
    return this.#underWay === undefined && this.#staged.length === 0;
  }

  /** `persistence` and `afterDurable` belong to what the caller has just staged. */
  add(replica: Replica, persistence: Persistence | undefined, afterDurable: (() => void) | undefined): void {
    this.#staged.push({ replica, persistence, messages: none, afterDurable });
  }

  /** As `add`, for what is staged of a replica that does not live yet or any more. */
  addStep(afterDurable: () => void): void {
    this.#staged.push({ replica: undefined, persistence: undefined, messages: none, afterDurable });
  }

  /** Nothing new was staged, but what is said here speaks for everything staged before: it waits for that. */
  addBehind(replica: Replica, persistence: Persistence | undefined, messages: readonly Message[]): void {
    const release = { replica, persistence, messages, afterDurable: undefined };
    if (this.#staged.length > 0) this.#staged.push(release);
    else if (this.#underWay !== undefined) this.#underWay.push(release);
    else this.#release(release);
  }

  #release({ replica, persistence, messages, afterDurable }: Release): void {
    // Whatever a replica that is gone had to say, nobody waits for it.
    if (replica?.retired === false) {
      if (messages.length > 0) this.#host.releaseMessages(replica, messages);
      if (persistence !== undefined) replica.persisted(persistence);
    }
    afterDurable?.();
  }

  /** End of a round: hands the batch to the log unless one is still under way. */
  flush(): void {
    if (this.#underWay !== undefined || this.#staged.length === 0) return;
    const batch = this.#staged;
    this.#staged = [];
    this.#underWay = batch;
    this.#startedMs = this.#clock.monotonicMs();
    this.#log
      .flush()
      .then(() => {
        this.#underWay = undefined;
        for (const release of batch) this.#release(release);
        this.#host.onDurable();
      })
      // Also what the released step runs into.
      .catch((error: unknown) => this.#host.onFailure(error));
  }
}
