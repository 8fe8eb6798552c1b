/**
 * What a load did: latencies, throughput second by second, errors, and the longest time in which nothing was answered.
 *
 * An operation belongs to the window in which it was *due*; its latency counts from then, also when it could only be sent
 * later, and also when its answer comes after the window's end. Throughput is what was answered inside the window.
 */
import { build } from "hdr-histogram-js";
import type { Histogram } from "hdr-histogram-js";
import type { LoadSlot } from "./load-loop.ts";

export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** One second of the window. */
export interface LoadSecond {
  readonly operations: number;
  readonly errors: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const highestMicros = 120_000_000;
const secondMs = 1000;
/** Of operations that were due and never sent, at most so many are counted one by one. */
const unsentCountedMax = 1_000_000;

function newHistogram(numberOfSignificantValueDigits: 2 | 3): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: highestMicros,
    numberOfSignificantValueDigits,
    useWebAssembly: false,
  });
}

export class LoadMeter {
  readonly errorCodes: Map<string, number> = new Map();
  /** From the moment an operation was due. */
  readonly #latencies = newHistogram(3);
  /** From the moment it was sent. */
  readonly #serviceTimes: Histogram | undefined;
  readonly #ofSecond = newHistogram(2);
  readonly #seconds: LoadSecond[] = [];
  #secondEndsMs = 0;
  #secondOperations = 0;
  #secondErrors = 0;
  #startedMs = 0;
  #endedMs = Infinity;
  #operations = 0;
  #errors = 0;
  #unknown = 0;
  #lastAnswerMs = 0;
  #longestPauseMs = 0;
  #longestPauseAtMs = 0;

  /** `withServiceTimes`: the load is open, so that being due and being sent are two things. */
  constructor(withServiceTimes: boolean) {
    this.#serviceTimes = withServiceTimes ? newHistogram(3) : undefined;
  }

  get operations(): number {
    return this.#operations;
  }

  get errors(): number {
    return this.#errors;
  }

  /** Among the errors: writes of unknown outcome. */
  get unknown(): number {
    return this.#unknown;
  }

  get startedMs(): number {
    return this.#startedMs;
  }

  /** Since the window began, and on to its end if it has ended. */
  elapsedMs(nowMs: number): number {
    return Math.min(nowMs, this.#endedMs) - this.#startedMs;
  }

  /** A window begins; what was counted before is forgotten. */
  begin(nowMs: number): void {
    this.#latencies.reset();
    this.#serviceTimes?.reset();
    this.#ofSecond.reset();
    this.errorCodes.clear();
    this.#seconds.length = 0;
    this.#secondEndsMs = nowMs + secondMs;
    this.#secondOperations = 0;
    this.#secondErrors = 0;
    this.#startedMs = nowMs;
    this.#endedMs = Infinity;
    this.#operations = 0;
    this.#errors = 0;
    this.#unknown = 0;
    this.#lastAnswerMs = nowMs;
    this.#longestPauseMs = 0;
    this.#longestPauseAtMs = nowMs;
  }

  end(nowMs: number): void {
    this.#turnSeconds(nowMs);
    this.#noteAnswer(nowMs);
    this.#endedMs = nowMs;
  }

  answered(slot: LoadSlot, nowMs: number): void {
    const latency = microsBetween(slot.dueMs, nowMs);
    if (slot.dueMs >= this.#startedMs && slot.dueMs < this.#endedMs) {
      this.#latencies.recordValue(latency);
      this.#serviceTimes?.recordValue(microsBetween(slot.sentMs, nowMs));
    }
    if (nowMs > this.#endedMs) return;
    if (nowMs >= this.#secondEndsMs) this.#turnSeconds(nowMs);
    this.#operations++;
    this.#secondOperations++;
    this.#ofSecond.recordValue(latency);
    this.#noteAnswer(nowMs);
  }

  failed(slot: LoadSlot, code: string, isUnknown: boolean, nowMs: number): void {
    if (slot.dueMs >= this.#endedMs) return;
    if (nowMs < this.#endedMs && nowMs >= this.#secondEndsMs) this.#turnSeconds(nowMs);
    this.#errors++;
    this.#secondErrors++;
    if (isUnknown) this.#unknown++;
    this.errorCodes.set(code, (this.errorCodes.get(code) ?? 0) + 1);
  }

  /**
   * After the end: operations that were due from `firstDueMs` on, `intervalMs` apart, and were never sent count with the
   * age they had reached by now, which is the least their latency would have been.
   */
  countUnsent(count: number, firstDueMs: number, intervalMs: number, nowMs: number): void {
    const step = Math.max(1, Math.ceil(count / unsentCountedMax));
    for (let i = 0; i < count; i += step) {
      const dueMs = firstDueMs + i * intervalMs;
      if (dueMs < this.#startedMs) continue;
      this.#latencies.recordValueWithCount(microsBetween(dueMs, nowMs), Math.min(step, count - i));
    }
  }

  get latencyMs(): Latencies {
    return latenciesOf(this.#latencies);
  }

  /** From sending to answer; `undefined` for a closed load, where it is the same. */
  get serviceMs(): Latencies | undefined {
    return this.#serviceTimes === undefined ? undefined : latenciesOf(this.#serviceTimes);
  }

  /** Pairs of percentile and milliseconds, denser towards the slow end: what a plot needs. */
  get distribution(): readonly (readonly [number, number])[] {
    if (this.#latencies.totalCount === 0) return [];
    return plottedPercentiles.map((percentile) => [percentile, atPercentile(this.#latencies, percentile)] as const);
  }

  get seconds(): readonly LoadSecond[] {
    return this.#seconds;
  }

  /** The longest time without any answer, and when it began, from the window's start. */
  get longestPause(): { readonly ms: number; readonly atMs: number } {
    return { ms: rounded(this.#longestPauseMs), atMs: rounded(this.#longestPauseAtMs - this.#startedMs) };
  }

  #noteAnswer(nowMs: number): void {
    const pauseMs = nowMs - this.#lastAnswerMs;
    if (pauseMs > this.#longestPauseMs) {
      this.#longestPauseMs = pauseMs;
      this.#longestPauseAtMs = this.#lastAnswerMs;
    }
    this.#lastAnswerMs = nowMs;
  }

  /** Whole seconds that have passed are closed; the window's last, incomplete one is left out. */
  #turnSeconds(nowMs: number): void {
    while (nowMs >= this.#secondEndsMs) {
      const histogram = this.#ofSecond;
      const isEmpty = histogram.totalCount === 0;
      this.#seconds.push({
        operations: this.#secondOperations,
        errors: this.#secondErrors,
        p50Ms: isEmpty ? 0 : atPercentile(histogram, 50),
        p99Ms: isEmpty ? 0 : atPercentile(histogram, 99),
        maxMs: isEmpty ? 0 : rounded(histogram.maxValue / 1000),
      });
      if (!isEmpty) histogram.reset();
      this.#secondOperations = 0;
      this.#secondErrors = 0;
      this.#secondEndsMs += secondMs;
    }
  }
}

const plottedPercentiles: readonly number[] = [
  ...[0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90],
  ...[92, 94, 95, 96, 97, 98, 98.5, 99, 99.2, 99.4, 99.5, 99.6, 99.7, 99.8, 99.9, 99.95, 99.99, 99.999],
];

function latenciesOf(histogram: Histogram): Latencies {
  if (histogram.totalCount === 0) return { p50: 0, p90: 0, p99: 0, p999: 0, max: 0 };
  return {
    p50: atPercentile(histogram, 50),
    p90: atPercentile(histogram, 90),
    p99: atPercentile(histogram, 99),
    p999: atPercentile(histogram, 99.9),
    max: rounded(histogram.maxValue / 1000),
  };
}

const atPercentile = (histogram: Histogram, percentile: number): number =>
  rounded(histogram.getValueAtPercentile(percentile) / 1000);

function microsBetween(startMs: number, endMs: number): number {
  const micros = Math.round((endMs - startMs) * 1000);
  return micros < 1 ? 1 : micros > highestMicros ? highestMicros : micros;
}

const rounded = (value: number): number => Math.round(value * 1000) / 1000;
