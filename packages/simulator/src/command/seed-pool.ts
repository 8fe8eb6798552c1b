/** Threads that run seeds: each seed by itself in one thread, as many at once as there are threads. */
import { Worker } from "node:worker_threads";
import type { SeedReport } from "../cluster/run-seed.ts";

export class SeedPool {
  readonly #threads: number;

  constructor(threads: number) {
    this.#threads = threads;
  }

  /** `onReport` says whether to go on with further seeds. Rejects when a thread fails outside of its simulation. */
  async run(seeds: readonly number[], onReport: (report: SeedReport) => boolean): Promise<void> {
    const waiting = [...seeds];
    await Promise.all(Array.from({ length: this.#threads }, () => this.#thread(waiting, onReport)));
  }

  #thread(waiting: number[], onReport: (report: SeedReport) => boolean): Promise<void> {
    if (waiting.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./seed-worker.js", import.meta.url));
      let seed: number | undefined;
      const next = (): void => {
        seed = waiting.shift();
        if (seed === undefined) void worker.terminate();
        else worker.postMessage(seed);
      };
      worker.on("message", (report: SeedReport) => {
        if (!onReport(report)) waiting.length = 0;
        next();
      });
      worker.on("error", (error) => reject(new Error(`the thread of seed ${String(seed)} failed`, { cause: error })));
      worker.on("exit", () => {
        if (seed === undefined) resolve();
        else reject(new Error(`the thread of seed ${seed} ended`));
      });
      next();
    });
  }
}
