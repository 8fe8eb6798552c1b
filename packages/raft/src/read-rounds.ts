/**
 * ReadIndex (thesis §6.4): rounds of heartbeats, numbered through the leader's term. A read is confirmed by a majority
 * that acknowledged a round which started *after* the read arrived, so it always waits for the next round and never
 * joins one that is under way (hazards C2, C3). An acknowledged round confirms all rounds before it.
 */
import { assert } from "@flotilla/base";
import type { LogIndex } from "@flotilla/base";
import type { Outbox } from "./outbox.ts";

/** More unconfirmed reads are refused. The host asks once a turn for all its reads, so this is seconds of silence. */
export const pendingReadsMax = 4096;

interface PendingRead {
  readonly context: number;
  readonly index: LogIndex;
  readonly round: number;
}

export class ReadRounds {
  /** The last round that started; 0 = none. Never reused within the term. */
  #round = 0;
  /** In the order of arrival, so `round` and `index` rise along it. */
  #pending: PendingRead[] = [];
  /** Pending reads from here on; what lies before is confirmed. */
  #head = 0;

  get round(): number {
    return this.#round;
  }

  /** Reads wait for a round that has not started yet. */
  get waiting(): boolean {
    const last = this.#pending[this.#pending.length - 1];
    return last !== undefined && last.round > this.#round;
  }

  /** No read waits for anything. */
  get idle(): boolean {
    return this.#pending.length === 0;
  }

  /** Waits for the next round. False: too many wait already. */
  add(context: number, index: LogIndex): boolean {
    assert(Number.isSafeInteger(context) && context >= 1, () => `read context ${context}`);
    if (this.#pending.length - this.#head >= pendingReadsMax) return false;
    this.#pending.push({ context, index, round: this.#round + 1 });
    return true;
  }

  start(): number {
    return ++this.#round;
  }

  confirm(round: number, outbox: Outbox): void {
    const pending = this.#pending;
    while (this.#head < pending.length && pending[this.#head]!.round <= round) {
      const read = pending[this.#head]!;
      outbox.confirmRead(read.context, read.index);
      this.#head++;
    }
    if (this.#head === pending.length) {
      pending.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#pending = pending.slice(this.#head);
      this.#head = 0;
    }
  }
}
