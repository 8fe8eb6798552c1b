/**
 * Slows writers down before the engine stops them. From twelve files at level zero LevelDB takes nothing until a compaction
 * has ended, which is seconds while it is far behind; so what is evaluated is held to a rate that falls with every file more
 * and rises with every file less, as RocksDB's delayed writes do. The leader's own commands alone are held: a follower takes
 * what its leaders send, and has a pace of its own for what it leads.
 */

/** Files at level zero from which writers are held, and below which they are free again. LevelDB itself stops at 12. */
const heldFrom = 7;
const freeBelow = 5;
const lessShare = 0.8;
const moreShare = 1.25;
const rateMin: number = 1024 * 1024;
/** Weight of the last look in what counts as the rate of today. */
const newShare = 0.1;

export class WritePace {
  /** Bytes per second; Infinity: nothing is held. */
  rate: number = Infinity;
  #allowance: number = Infinity;
  #files = 0;
  #spent = 0;
  #recentRate = 0;
  #lookedMs = 0;

  /** Writers get no more than `rate`. */
  get holds(): boolean {
    return this.rate !== Infinity;
  }

  /** False: what waits to be evaluated waits on. */
  get open(): boolean {
    return this.#allowance > 0;
  }

  /** Bytes of an entry that was proposed. What goes over the allowance is taken from the next ones. */
  spend(bytes: number): void {
    this.#spent += bytes;
    this.#allowance -= bytes;
  }

  /** Every tick. True when what was held goes on. */
  look(nowMs: number, levelZeroFiles: number): boolean {
    const seconds = (nowMs - this.#lookedMs) / 1000;
    this.#lookedMs = nowMs;
    if (seconds <= 0) return false;
    this.#recentRate += (this.#spent / seconds - this.#recentRate) * newShare;
    this.#spent = 0;
    const wasOpen = this.open;
    this.#adjust(levelZeroFiles);
    // What was not used is not kept: a burst is what the pace is against.
    this.#allowance = Math.min(this.#allowance, 0) + this.rate * seconds;
    return this.open && !wasOpen;
  }

  #adjust(files: number): void {
    const before = this.#files;
    this.#files = files;
    if (this.rate === Infinity) {
      if (files >= heldFrom) this.rate = Math.max(rateMin, this.#recentRate * lessShare ** (files - heldFrom + 1));
      return;
    }
    if (files < freeBelow) {
      this.rate = Infinity;
      this.#allowance = Infinity;
      return;
    }
    if (files > before) this.rate = Math.max(rateMin, this.rate * lessShare ** (files - before));
    if (files < before) this.rate *= moreShare ** (before - files);
  }
}
