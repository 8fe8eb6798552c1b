/**
 * What happened, twice: folded into a running hash (two runs of one seed must agree on it), and the latest notes in
 * a ring, to be shown when a claim is violated.
 */
export interface TraceNote {
  readonly atMicros: number;
  /** Name of the node; empty for the simulation itself. */
  readonly node: string;
  /** 0 = of no range. */
  readonly rangeId: number;
  readonly text: string;
}

/** Enough to hold the last second of one range among a few. */
const notesMax = 4096;

export class Trace {
  #low = 0x2545f491;
  #high = 0x4f6cdd1d;
  #folded = 0;
  readonly #ring: TraceNote[] = [];
  #next = 0;

  /** How many numbers went into the hash. */
  get folded(): number {
    return this.#folded;
  }

  /** An integer; its low 53 bits count. */
  fold(value: number): void {
    this.#folded++;
    this.#mix(value | 0);
    if (value > 0x7fffffff) this.#mix((value / 4294967296) | 0);
  }

  #mix(word: number): void {
    let low = Math.imul(this.#low ^ word, 0x85ebca6b);
    low ^= low >>> 13;
    let high = Math.imul(this.#high ^ low, 0xc2b2ae35);
    high ^= high >>> 16;
    this.#low = (low + Math.imul(high, 5)) | 0;
    this.#high = (high ^ (word << 7)) | 0;
  }

  foldText(text: string): void {
    this.fold(text.length);
    for (let i = 0; i < text.length; i++) this.#mix(text.charCodeAt(i));
  }

  /** Folds the note too. */
  note(atMicros: number, node: string, rangeId: number, text: string): void {
    this.foldText(text);
    this.fold(rangeId);
    const note = { atMicros, node, rangeId, text };
    if (this.#ring.length < notesMax) this.#ring.push(note);
    else this.#ring[this.#next] = note;
    this.#next = (this.#next + 1) % notesMax;
  }

  /** The latest notes, oldest first; with a range only those of it and those of no range. */
  latest(count: number, rangeId?: number): TraceNote[] {
    const full = this.#ring.length === notesMax;
    const ordered = full ? [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)] : this.#ring;
    const chosen =
      rangeId === undefined ? ordered : ordered.filter((note) => note.rangeId === rangeId || note.rangeId === 0);
    return chosen.slice(-count);
  }

  /** 16 hex digits. */
  digest(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#high) + hex(this.#low);
  }
}

export function printableNote(note: TraceNote): string {
  const seconds = (note.atMicros / 1e6).toFixed(6).padStart(11);
  return `${seconds} s  ${note.node.padEnd(8)}  ${note.text}`;
}
