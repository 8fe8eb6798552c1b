/**
 * Everything that is written to the store's engine goes through this one queue, in order, one job at a time (rule:
 * LevelDB always opens as an exact prefix of what we wrote). A job that fails halts the store.
 */
export class EngineQueue {
  #tail: Promise<void> = Promise.resolve();
  #waiting = 0;
  #failed = false;
  readonly #onFailure: (error: unknown) => void;

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  get waiting(): number {
    return this.#waiting;
  }

  /** Resolves when the job is done; never when it failed or a job before it did: the store has halted then. */
  run(job: () => Promise<void>): Promise<void> {
    this.#waiting++;
    const done = this.#tail.then(async () => {
      if (this.#failed) return new Promise<void>(() => {});
      try {
        await job();
        this.#waiting--;
        return undefined;
      } catch (error) {
        this.#failed = true;
        this.#onFailure(error);
        return new Promise<void>(() => {});
      }
    });
    this.#tail = done;
    return done;
  }
}
