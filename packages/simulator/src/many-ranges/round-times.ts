/** How long rounds of the driver take on a real clock, and what they came to. */
export interface RoundFigures {
  readonly rounds: number;
  readonly totalMs: number;
  readonly worstMs: number;
  /** Of a new driver: its index from nothing. */
  readonly officeWorstMs: number;
  /** Virtual time, from the last event until the last operator ended. */
  readonly settledMs: number;
  /** Replicas made on another store. */
  readonly moves: number;
  readonly transfers: number;
  /** At rest, of the mean: by how much the store differs from it that differs most. */
  readonly apartPercent: { readonly replicas: number; readonly leaders: number };
}

export class RoundTimes {
  rounds = 0;
  worstMs = 0;
  settledMs = 0;
  #totalMs = 0;
  #officeWorstMs = 0;
  readonly #stopwatch: () => number;

  constructor(stopwatch: () => number) {
    this.#stopwatch = stopwatch;
  }

  round(run: () => void): void {
    const tookMs = this.#time(run);
    this.rounds++;
    this.#totalMs += tookMs;
    this.worstMs = Math.max(this.worstMs, tookMs);
  }

  office(run: () => void): void {
    this.#officeWorstMs = Math.max(this.#officeWorstMs, this.#time(run));
  }

  #time(run: () => void): number {
    const beganMs = this.#stopwatch();
    run();
    return this.#stopwatch() - beganMs;
  }

  figures(rest: Pick<RoundFigures, "moves" | "transfers" | "apartPercent">): RoundFigures {
    return {
      rounds: this.rounds,
      totalMs: this.#totalMs,
      worstMs: this.worstMs,
      officeWorstMs: this.#officeWorstMs,
      settledMs: this.settledMs,
      ...rest,
    };
  }
}
