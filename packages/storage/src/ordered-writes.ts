/**
 * One write after the other, in the order of the calls, and none behind a failed one. LevelDB alone would do neither: jobs
 * of the pool overtake one another, and after a failed append to its log it takes the next batch, so that a hole would
 * reach its tables (hazard F17).
 */
export class OrderedWrites {
  /** Resolves when the last write so far has ended, well or not. */
  #last: Promise<void> = Promise.resolve();
  #failure: unknown = undefined;

  /** Rejects with the error of `write`, or with that of the first write that failed before. */
  run(write: () => Promise<void>): Promise<void> {
    const done = this.#last.then(() => this.#next(write));
    this.#last = done.then(ignore, ignore);
    return done;
  }

  /** Resolves when every write called so far has ended. */
  idle(): Promise<void> {
    return this.#last;
  }

  async #next(write: () => Promise<void>): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    try {
      await write();
    } catch (error) {
      this.#failure = error;
      throw error;
    }
  }
}

const ignore = (): void => {};
