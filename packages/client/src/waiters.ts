/** Scans, route lookups and admin calls that wait until something changed: a stream, a route, an answer, or time. */
export class Waiters {
  #waiting: { untilMs: number; resolve: () => void }[] = [];

  get size(): number {
    return this.#waiting.length;
  }

  /** Resolves at the next change, or when `tick` is called at `untilMs` or later. Whoever waits looks again. */
  change(untilMs: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push({ untilMs, resolve });
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    if (waiting.length === 0) return;
    this.#waiting = [];
    for (const { resolve } of waiting) resolve();
  }

  tick(nowMs: number): void {
    let due = false;
    for (const waiter of this.#waiting) due ||= waiter.untilMs <= nowMs;
    if (!due) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter((waiter) => waiter.untilMs > nowMs);
    for (const waiter of waiting) if (waiter.untilMs <= nowMs) waiter.resolve();
  }
}
