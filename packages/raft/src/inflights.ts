/**
 * Appends that were sent to one follower and not yet acknowledged: a ring of their last indexes and their bytes.
 * Bounded in messages and in bytes; when it is full, the leader sends no more entries until one is acknowledged.
 */
import { assert } from "@flotilla/base";
import type { LogIndex } from "@flotilla/base";

export class Inflights {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  /** Of the oldest message in the ring. */
  #start = 0;
  /** 0 ≤ count ≤ messagesMax */
  #count = 0;
  /** Sum of `#bytes` over the messages in the ring. */
  #bytesTotal = 0;
  /** `#indexes[(start + i) % length]` rises with i. Grows up to messagesMax, so that an idle follower costs nothing. */
  #indexes: number[] = [];
  #bytes: number[] = [];

  constructor(messagesMax: number, bytesMax: number) {
    assert(messagesMax >= 1, () => `window of ${messagesMax} messages`);
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.#messagesMax || this.#bytesTotal >= this.#bytesMax;
  }

  /** One message whose last entry is `lastIndex`. The bytes may pass the limit with the last message. */
  add(lastIndex: LogIndex, bytes: number): void {
    assert(!this.full, () => `window is full: ${this.#count} messages, ${this.#bytesTotal} bytes`);
    if (this.#count === this.#indexes.length) this.#grow();
    const at = (this.#start + this.#count) % this.#indexes.length;
    this.#indexes[at] = lastIndex;
    this.#bytes[at] = bytes;
    this.#count++;
    this.#bytesTotal += bytes;
  }

  /** Frees every message up to and with `index`. */
  freeUpTo(index: LogIndex): void {
    while (this.#count > 0 && this.#indexes[this.#start]! <= index) {
      this.#bytesTotal -= this.#bytes[this.#start]!;
      this.#start = (this.#start + 1) % this.#indexes.length;
      this.#count--;
    }
  }

  reset(): void {
    this.#start = 0;
    this.#count = 0;
    this.#bytesTotal = 0;
  }

  #grow(): void {
    const length = Math.min(this.#messagesMax, Math.max(4, this.#indexes.length * 2));
    const indexes = new Array<number>(length).fill(0);
    const bytes = new Array<number>(length).fill(0);
    for (let i = 0; i < this.#count; i++) {
      const at = (this.#start + i) % this.#indexes.length;
      indexes[i] = this.#indexes[at]!;
      bytes[i] = this.#bytes[at]!;
    }
    this.#indexes = indexes;
    this.#bytes = bytes;
    this.#start = 0;
  }
}
