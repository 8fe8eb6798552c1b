/** Threads that run seeds: each seed by itself in one thread, as many at once as there are threads. */
import { Worker } from "node:worker_threads";
import type { SeedReport } from "../cluster/run-seed.ts";
import { replayCommand } from "./seed-task.ts";
import type { SeedTask } from "./seed-task.ts";

export class SeedPool {
  readonly #threads: number;

  constructor(threads: number) {
    this.#threads = threads;
  }

  /** `onReport` says whether to go on with further tasks. Rejects when a thread fails outside of its simulation. */
  async run(tasks: readonly SeedTask[], onReport: (task: SeedTask, report: SeedReport) => boolean): Promise<void> {
    const waiting = [...tasks].reverse();
    await Promise.all(Array.from({ length: this.#threads }, () => this.#thread(waiting, onReport)));
  }

  #thread(waiting: SeedTask[], onReport: (task: SeedTask, report: SeedReport) => boolean): Promise<void> {
    if (waiting.length === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const worker = new Worker(new URL("./seed-worker.js", import.meta.url));
      let task: SeedTask | undefined;
      const next = (): void => {
        task = waiting.pop();
        if (task === undefined) void worker.terminate();
        else worker.postMessage(task);
      };
      worker.on("message", (report: SeedReport) => {
        if (!onReport(task!, report)) waiting.length = 0;
        next();
      });
      worker.on("error", (error) => reject(new Error(`a thread failed: ${replayCommand(task!)}`, { cause: error })));
      worker.on("exit", () => {
        if (task === undefined) resolve();
        else reject(new Error(`a thread ended: ${replayCommand(task)}`));
      });
      next();
    });
  }
}
