/** How long ranges went without an answer: one loop a range, one operation after the other. */
import type { RangeRow } from "./harness.ts";

const betweenMs = 20;

interface Lane {
  readonly rangeId: number;
  lastMs: number;
  longestMs: number;
  answers: number;
}

export class PauseMeter {
  /** Operations that failed; they are not repeated, and count as no answer. */
  readonly errors: unknown[] = [];
  readonly #lanes: Lane[];
  readonly #ended: Promise<void>;
  readonly #stopped = new AbortController();

  /** `operate` gets a key of the range, another one each time. */
  constructor(ranges: readonly RangeRow[], operate: (key: string) => Promise<unknown>) {
    const lastMs = performance.now();
    this.#lanes = ranges
      .filter(({ rangeId }) => rangeId !== 1)
      .map(({ rangeId }) => ({ rangeId, lastMs, longestMs: 0, answers: 0 }));
    const loops = this.#lanes.map((lane) => {
      const { start } = ranges.find(({ rangeId }) => rangeId === lane.rangeId)!;
      return this.#run(lane, `${start}!pause-`, operate);
    });
    this.#ended = Promise.all(loops).then(() => {});
  }

  async #run(lane: Lane, prefix: string, operate: (key: string) => Promise<unknown>): Promise<void> {
    for (let i = 0; !this.#stopped.signal.aborted; i++) {
      try {
        await operate(prefix + i);
        const now = performance.now();
        lane.longestMs = Math.max(lane.longestMs, now - lane.lastMs);
        lane.lastMs = now;
        lane.answers++;
      } catch (error) {
        this.errors.push(error);
      }
      await new Promise((resolve) => setTimeout(resolve, betweenMs));
    }
  }

  /** What was before is forgotten. */
  reset(): void {
    for (const lane of this.#lanes) {
      lane.longestMs = 0;
      lane.answers = 0;
    }
  }

  /** Every range has answered twice since the reset, so that the wait for the first of them is known. */
  get allAnswered(): boolean {
    return this.#lanes.every(({ answers }) => answers >= 2);
  }

  /** Of these ranges, or of all; a wait that still goes on counts. */
  longestMs(ranges?: ReadonlySet<number>): number {
    const now = performance.now();
    const lanes = this.#lanes.filter(({ rangeId }) => ranges === undefined || ranges.has(rangeId));
    return Math.max(...lanes.map(({ longestMs, lastMs }) => Math.max(longestMs, now - lastMs)));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#ended;
  }
}

/** Ids. */
export const rangesNotLedBy = (ranges: readonly RangeRow[], node: number): Set<number> =>
  new Set(ranges.filter(({ leaderStoreId }) => leaderStoreId !== node).map(({ rangeId }) => rangeId));
