/**
 * How often the placement driver looks for something to begin. A look goes over all ranges; while nothing changes of what it
 * rests on, and looks have come to nothing, only time can bring something new, and that waits for longer anyway.
 */
const lookMs = 1000;
const restMs = 5000;

export class DecisionPace {
  #lookedMs = -Infinity;
  #sight = "";
  /** Looks at the same sight that began nothing. */
  #inVain = 0;

  /** `sight`: another text when a decision may be another one; `looks`: how many it takes to see all of it. */
  isDue(nowMs: number, sight: string, looks: number): boolean {
    if (nowMs - this.#lookedMs < lookMs) return false;
    if (sight !== this.#sight) {
      this.#sight = sight;
      this.#inVain = 0;
    }
    return this.#inVain < looks || nowMs - this.#lookedMs >= restMs;
  }

  noteLook(nowMs: number): void {
    this.#lookedMs = nowMs;
    this.#inVain++;
  }

  /** What it began changes what the next one sees. */
  noteBegun(): void {
    this.#inVain = 0;
  }

  reset(): void {
    this.#lookedMs = -Infinity;
    this.#inVain = 0;
  }
}
