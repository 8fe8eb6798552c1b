/** How long rounds of the driver take, and what they came to. */
export interface RoundFigures {
  readonly rounds: number;
  readonly totalMs: number;
  /** Without what other programs had of the processor meanwhile, where that is known. */
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

/** For the figures alone: nothing depends on them. */
export interface RoundClocks {
  /** Milliseconds of a real clock. */
  readonly stopwatch: () => number;
  /** Milliseconds that this thread has run, where the system tells it. */
  readonly ownTime?: (() => number) | undefined;
}

export class RoundTimes {
  rounds = 0;
  worstMs = 0;
  settledMs = 0;
  #totalMs = 0;
  #officeWorstMs = 0;
  readonly #stopwatch: () => number;
  readonly #ownTime: () => number;

  constructor({ stopwatch, ownTime = stopwatch }: RoundClocks) {
    this.#stopwatch = stopwatch;
    this.#ownTime = ownTime;
  }

  round(run: () => void): void {
    const ownMs = this.#ownTime();
    const tookMs = this.#time(run);
    this.rounds++;
    this.#totalMs += tookMs;
    if (tookMs > this.worstMs) this.worstMs = Math.max(this.worstMs, Math.min(tookMs, this.#ownTime() - ownMs));
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
