/**
 * LevelDB's asynchronous reads each take a thread of libuv's pool, and the shared log's write and fdatasync need one too: a
 * log that waits behind scans would stall every range of the store (hazard I5). So only so many reads are under way at a
 * time; beside them an engine has at most one batch, one settle or compaction, and one read of a `LevelReader`.
 */
export class JobGate {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  /** `poolThreads` of the process, shared by `engines` engines. */
  constructor(poolThreads: number, engines: number) {
    this.#free = Math.max(1, Math.floor((poolThreads - 2) / engines) - 3);
  }

  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

const poolThreadsDefault = 4;

/** What libuv reads from the environment at its first use. */
export function poolThreads(environment: Readonly<Record<string, string | undefined>>): number {
  const size = Number(environment["UV_THREADPOOL_SIZE"]);
  return Number.isInteger(size) && size > 0 ? Math.min(size, 1024) : poolThreadsDefault;
}
