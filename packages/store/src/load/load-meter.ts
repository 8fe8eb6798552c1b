/**
 * How hot a range is at its leader, and, once it is half as hot as what splits a range, where its load could be halved. What it
 * measures fades over some windows, so a burst splits nothing; with other bounds, or another leader, it begins anew.
 */
import type { RandomSource } from "@flotilla/base";
import type { LoadReport } from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";
import { halvingKey } from "./halving-key.ts";
import type { HalvingKey } from "./halving-key.ts";
import type { SampleWeight } from "./range-load.ts";

/** In windows of `splitSampleMs`: what is this old counts a third. */
const memoryWindows = 2;

/** A range with more than one of them is split; 0 = never for that reason. */
export interface LoadLimits {
  readonly splitOperationsPerSecond: number;
  readonly splitBytesPerSecond: number;
  readonly splitLoopPercent: number;
  /** How long keys are sampled for one window. */
  readonly splitSampleMs: number;
}

interface Rates {
  operations: number;
  bytes: number;
  loop: number;
}

export class LoadMeter {
  /** Of the leadership and the bounds that all of this belongs to. */
  #term = 0;
  #bounds = 0;
  readonly #smooth: Rates = { operations: 0, bytes: 0, loop: 0 };
  #windowEndsMs = 0;
  #found: HalvingKey | undefined = undefined;
  readonly #limits: LoadLimits;

  constructor(limits: LoadLimits) {
    this.#limits = limits;
  }

  /** `rates`: since the last call, a second; `loop` in percent. */
  measure(replica: Replica, rates: Readonly<Rates>, elapsedMs: number, nowMs: number, random: RandomSource): void {
    const term = replica.leads ? replica.node.term : 0;
    const { bounds } = replica.descriptor.epoch;
    if (term !== this.#term || bounds !== this.#bounds) this.#begin(replica, term, bounds);
    if (term === 0) return;
    const share = 1 - Math.exp(-elapsedMs / (memoryWindows * this.#limits.splitSampleMs));
    const smooth = this.#smooth;
    smooth.operations += (rates.operations - smooth.operations) * share;
    smooth.bytes += (rates.bytes - smooth.bytes) * share;
    smooth.loop += (rates.loop - smooth.loop) * share;
    this.#sample(replica, nowMs, random);
  }

  #begin({ load }: Replica, term: number, bounds: number): void {
    this.#term = term;
    this.#bounds = bounds;
    Object.assign(this.#smooth, { operations: 0, bytes: 0, loop: 0 });
    this.#found = undefined;
    load.endSampling();
  }

  #sample({ load, descriptor }: Replica, nowMs: number, random: RandomSource): void {
    const { by, share } = this.#hottest();
    if (share < 0.5) {
      this.#found = undefined;
      load.endSampling();
      return;
    }
    if (load.sampler === undefined || load.weight !== by) {
      load.sample(random, by);
      this.#found = undefined;
      this.#windowEndsMs = nowMs + this.#limits.splitSampleMs;
      return;
    }
    if (nowMs < this.#windowEndsMs) return;
    this.#windowEndsMs = nowMs + this.#limits.splitSampleMs;
    load.sampler.endWindow();
    const windows = load.sampler.windows();
    this.#found = windows === undefined ? undefined : halvingKey(windows, descriptor.start);
  }

  /** What it is hottest by; `share` of the limit. Time in the loop goes with operations rather than with bytes. */
  #hottest(): { readonly by: SampleWeight; readonly share: number } {
    const { splitOperationsPerSecond, splitBytesPerSecond, splitLoopPercent } = this.#limits;
    const of = (value: number, limit: number): number => (limit === 0 ? 0 : value / limit);
    const operations = Math.max(
      of(this.#smooth.operations, splitOperationsPerSecond),
      of(this.#smooth.loop, splitLoopPercent),
    );
    const bytes = of(this.#smooth.bytes, splitBytesPerSecond);
    return bytes > operations ? { by: "bytes", share: bytes } : { by: "operations", share: operations };
  }

  /** What `report` says of loads is 0, and stays so while nothing comes. */
  get faded(): boolean {
    const { operations, bytes, loop } = this.#smooth;
    return operations < 0.5 && bytes < 0.5 && loop < 0.05;
  }

  /** Nothing will be measured until something comes: what is left of it is gone by then. */
  settle(): void {
    Object.assign(this.#smooth, { operations: 0, bytes: 0, loop: 0 });
  }

  report(): LoadReport {
    const { operations, bytes, loop } = this.#smooth;
    const found = this.#found;
    return {
      operationsPerSecond: Math.round(operations),
      bytesPerSecond: Math.round(bytes),
      loopPercent: Math.round(loop * 10) / 10,
      splitKey: found !== undefined && "key" in found ? found.key : undefined,
      splitReason: found !== undefined && "reason" in found ? found.reason : "",
    };
  }
}
