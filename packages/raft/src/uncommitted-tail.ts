/** Data bytes of a leader's own proposals that are not committed yet, bounded (hazard A16). */
import type { LogIndex } from "@flotilla/base";

export class UncommittedTail {
  readonly #bytesMax: number;
  /** Sum of #sizes[#head …]. */
  #bytes = 0;
  /** Indexes and sizes of uncommitted proposals that have data, oldest at #head. */
  #indexes: number[] = [];
  #sizes: number[] = [];
  #head = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An empty tail takes any one entry; entries without data cost nothing. */
  hasRoomFor(bytes: number): boolean {
    return this.#bytes === 0 || bytes === 0 || this.#bytes + bytes <= this.#bytesMax;
  }

  add(index: LogIndex, bytes: number): void {
    if (bytes === 0) return;
    this.#indexes.push(index);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  committed(index: LogIndex): void {
    const indexes = this.#indexes;
    while (this.#head < indexes.length && indexes[this.#head]! <= index) {
      this.#bytes -= this.#sizes[this.#head]!;
      this.#head++;
    }
    if (this.#head === indexes.length) {
      indexes.length = 0;
      this.#sizes.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#indexes = indexes.slice(this.#head);
      this.#sizes = this.#sizes.slice(this.#head);
      this.#head = 0;
    }
  }
}
