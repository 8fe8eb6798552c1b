/** How long rounds of the driver take, and what they came to. */
export interface RoundFigures {
  readonly rounds: number;
  readonly totalMs: number;
  /** Without what other programs had of the processor meanwhile, where that is known. */
  readonly worstMs: number;
  /** The same of a new driver: its index from nothing. */
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

/** What takes less is not asked about: asking takes a moment, too. */
const tellingMs = 20;

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
    const { tookMs, ownMs } = this.#time(run);
    this.rounds++;
    this.#totalMs += tookMs;
    this.worstMs = Math.max(this.worstMs, ownMs);
  }

  office(run: () => void): void {
    this.#officeWorstMs = Math.max(this.#officeWorstMs, this.#time(run).ownMs);
  }

  #time(run: () => void): { tookMs: number; ownMs: number } {
    const ownBefore = this.#ownTime();
    const beganMs = this.#stopwatch();
    run();
    const tookMs = this.#stopwatch() - beganMs;
    return { tookMs, ownMs: tookMs < tellingMs ? tookMs : Math.min(tookMs, this.#ownTime() - ownBefore) };
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
