/** How late the event loop of this thread runs, and what garbage collection costs it. */
import { PerformanceObserver, monitorEventLoopDelay, performance } from "node:perf_hooks";
import type { EventLoopUtilization, IntervalHistogram } from "node:perf_hooks";
import type { LoopStatistics } from "./store-thread-messages.ts";

/** Each look wakes the thread, also one that has nothing to do: a loop that is held up for longer is always seen. */
const resolutionMs = 50;

export class LoopMeter {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #observer: PerformanceObserver;
  #collections = 0;
  #collectionMs = 0;
  #utilization: EventLoopUtilization = performance.eventLoopUtilization();

  constructor() {
    this.#delay.enable();
    this.#observer = new PerformanceObserver((entries) => {
      for (const entry of entries.getEntries()) {
        this.#collections++;
        this.#collectionMs += entry.duration;
      }
    });
    this.#observer.observe({ entryTypes: ["gc"] });
  }

  /** Ever. */
  get busyMs(): number {
    return performance.eventLoopUtilization().active;
  }

  /** The delays start anew with each call. */
  take(): LoopStatistics {
    // The histogram holds the distance between ticks of its own timer; its resolution is no delay.
    const late = (nanoseconds: number): number =>
      Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / 1e9 - resolutionMs / 1000) : 0;
    const now = performance.eventLoopUtilization();
    const statistics: LoopStatistics = {
      delayMeanSeconds: late(this.#delay.mean),
      delayP99Seconds: late(this.#delay.percentile(99)),
      delayMaxSeconds: this.#delay.max === 0 ? 0 : late(this.#delay.max),
      utilization: performance.eventLoopUtilization(now, this.#utilization).utilization,
      garbageCollections: this.#collections,
      garbageCollectionSeconds: this.#collectionMs / 1000,
      heapUsedBytes: process.memoryUsage().heapUsed,
    };
    this.#utilization = now;
    this.#delay.reset();
    return statistics;
  }

  close(): void {
    this.#delay.disable();
    this.#observer.disconnect();
  }
}
