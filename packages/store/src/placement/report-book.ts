/** What the stores last said of themselves and of the ranges they lead, as the placement driver keeps it. */
import type { Clock, RangeId, StoreId } from "@flotilla/base";
import type { RangeReport, StoreReport } from "@flotilla/transport";

export class ReportBook {
  readonly #clock: Clock;
  readonly #reports: Map<StoreId, { readonly report: StoreReport; readonly atMs: number }> = new Map();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  note(report: StoreReport): void {
    this.#reports.set(report.status.storeId, { report, atMs: this.#clock.monotonicMs() });
  }

  /** On the monotonic clock; undefined: never in this process. */
  heardMs(store: StoreId): number | undefined {
    return this.#reports.get(store)?.atMs;
  }

  report(store: StoreId): StoreReport | undefined {
    return this.#reports.get(store)?.report;
  }

  /** Those not older than `ms`. */
  fresh(ms: number): StoreReport[] {
    const oldest = this.#clock.monotonicMs() - ms;
    const fresh: StoreReport[] = [];
    for (const { report, atMs } of this.#reports.values()) if (atMs >= oldest) fresh.push(report);
    return fresh;
  }
}

/** For each range what its newest leader says. */
export function newestRanges(reports: readonly StoreReport[]): Map<RangeId, RangeReport> {
  const newest = new Map<RangeId, RangeReport>();
  for (const { ranges } of reports) {
    for (const range of ranges) {
      const known = newest.get(range.descriptor.rangeId);
      if (known === undefined || range.term > known.term) newest.set(range.descriptor.rangeId, range);
    }
  }
  return newest;
}
