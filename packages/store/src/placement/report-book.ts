/**
 * What the stores last said of themselves and of the ranges they lead, as the placement driver keeps it. A report holds what
 * has changed since an earlier one; it counts only where that one, or a later one, was the last that counted (E18). What it
 * leaves out is as it was.
 */
import { sameEpoch } from "@flotilla/base";
import type { Clock, Incarnation, RangeDescriptor, RangeId, StoreId } from "@flotilla/base";
import type { RangeReport, ReportReceipt, StoreReport, StoreStatus } from "@flotilla/transport";

/** Of one store. */
export interface StoreKnowledge {
  readonly status: StoreStatus;
  /** Those that it leads, as far as it has said. */
  readonly ranges: ReadonlyMap<RangeId, RangeReport>;
}

interface Reported extends StoreKnowledge {
  status: StoreStatus;
  ranges: Map<RangeId, RangeReport>;
  readonly incarnation: Incarnation;
  /** Of the last report that counted. */
  sequence: number;
  atMs: number;
  /** It has said everything. */
  complete: boolean;
  /** Some range has another epoch than when they were last asked for, or is new. */
  descriptorsChanged: boolean;
}

export class ReportBook {
  readonly #clock: Clock;
  readonly #reports: Map<StoreId, Reported> = new Map();
  /** Rises with whatever is said of ranges and was not known. */
  revision = 0;
  /** Ranges of which something was said, or of which nothing is said any more, since `takeChanged` was asked last. */
  #changed: Set<RangeId> = new Set();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is to be answered: up to where the store is known, or 0: it has to say everything. */
  note(report: StoreReport): ReportReceipt {
    const { incarnation, sequence, base, status } = report;
    const known = this.#reports.get(status.storeId);
    const told = known?.incarnation === incarnation ? known : undefined;
    const receipt = (last: number): ReportReceipt => ({ type: "report-receipt", incarnation, sequence: last });
    // Late, or once more; of an earlier process nothing counts any more.
    if (told !== undefined && sequence <= told.sequence) return receipt(told.sequence);
    if (known !== undefined && incarnation < known.incarnation) return receipt(0);
    if (base === 0) this.#takeWhole(report);
    else if (told === undefined || base > told.sequence) return receipt(0);
    else this.#takeChanges(told, report);
    return receipt(sequence);
  }

  #takeWhole({ incarnation, sequence, more, status, ranges }: StoreReport): void {
    this.revision++;
    for (const rangeId of this.#reports.get(status.storeId)?.ranges.keys() ?? []) this.#changed.add(rangeId);
    for (const { descriptor } of ranges) this.#changed.add(descriptor.rangeId);
    this.#reports.set(status.storeId, {
      status,
      ranges: new Map(ranges.map((range) => [range.descriptor.rangeId, range])),
      incarnation,
      sequence,
      atMs: this.#clock.monotonicMs(),
      complete: !more,
      descriptorsChanged: true,
    });
  }

  #takeChanges(known: Reported, { sequence, more, status, ranges, gone }: StoreReport): void {
    known.status = status;
    known.sequence = sequence;
    known.atMs = this.#clock.monotonicMs();
    if (!more) known.complete = true;
    if (ranges.length + gone.length > 0) this.revision++;
    for (const rangeId of gone) {
      known.ranges.delete(rangeId);
      this.#changed.add(rangeId);
    }
    for (const range of ranges) {
      const { descriptor } = range;
      const before = known.ranges.get(descriptor.rangeId)?.descriptor;
      if (before === undefined || !sameEpoch(before.epoch, descriptor.epoch)) known.descriptorsChanged = true;
      known.ranges.set(descriptor.rangeId, range);
      this.#changed.add(descriptor.rangeId);
    }
  }

  /** On the monotonic clock; undefined: never in this process. */
  heardMs(store: StoreId): number | undefined {
    return this.#reports.get(store)?.atMs;
  }

  /** It has said everything, and something at that time or later. */
  isComplete(store: StoreId, sinceMs: number): boolean {
    const known = this.#reports.get(store);
    return known !== undefined && known.complete && known.atMs >= sinceMs;
  }

  report(store: StoreId): StoreKnowledge | undefined {
    return this.#reports.get(store);
  }

  /** Of those who said something not longer than `ms` ago. */
  fresh(ms: number): StoreKnowledge[] {
    return this.#fresh(ms);
  }

  #fresh(ms: number): Reported[] {
    const oldest = this.#clock.monotonicMs() - ms;
    return [...this.#reports.values()].filter(({ atMs }) => atMs >= oldest);
  }

  takeChanged(): ReadonlySet<RangeId> {
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** The ranges of fresh stores that have something new to say of any, or `all`. */
  *takeDescriptors(ms: number, all: boolean): Iterable<RangeDescriptor> {
    for (const known of this.#fresh(ms)) {
      if (!all && !known.descriptorsChanged) continue;
      known.descriptorsChanged = false;
      for (const { descriptor } of known.ranges.values()) yield descriptor;
    }
  }
}

/** What the range's newest leader says; undefined: it has none. */
export function newestRange(id: RangeId, reports: readonly StoreKnowledge[]): RangeReport | undefined {
  let newest: RangeReport | undefined;
  for (const { ranges } of reports) {
    const range = ranges.get(id);
    if (range !== undefined && (newest === undefined || range.term > newest.term)) newest = range;
  }
  return newest;
}

/** For each range what its newest leader says. */
export function newestRanges(reports: readonly StoreKnowledge[]): Map<RangeId, RangeReport> {
  const newest = new Map<RangeId, RangeReport>();
  for (const { ranges } of reports) {
    for (const [rangeId, range] of ranges) {
      const known = newest.get(rangeId);
      if (known === undefined || range.term > known.term) newest.set(rangeId, range);
    }
  }
  return newest;
}
