/**
 * For each rule the ranges that it may decide something about, kept up while ranges and stores change, so that a round looks at
 * these alone. What a rule decides may depend on time, on limits and on other operators; whether it may decide anything does not:
 * it follows from the range, its right neighbour, the stores that it is on, and the room that there is (`RangeRule.concerns`).
 */
import type { RangeId } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import { rangeRules } from "./range-rules.ts";
import type { RangeRule } from "./range-rules.ts";

export class Concerns {
  /** In the order in which they came to concern the rule; a round that looks in vain moves them to the end. */
  readonly #ranges: readonly Set<RangeId>[] = rangeRules.map(() => new Set());
  readonly #touched: Set<RangeId> = new Set();
  #allTouched = false;

  /** The range, or something that a rule looks at for it, has changed. */
  touch(id: RangeId): void {
    if (!this.#allTouched) this.#touched.add(id);
  }

  /** Something has changed that rules look at for every range. */
  touchAll(): void {
    this.#allTouched = true;
    this.#touched.clear();
  }

  /** Up to date until something is touched. */
  of(rule: RangeRule, index: ClusterIndex): Set<RangeId> {
    if (this.#allTouched) this.#examineAll(index);
    else for (const id of this.#touched) this.#examine(id, index);
    this.#allTouched = false;
    this.#touched.clear();
    return this.#ranges[rangeRules.indexOf(rule)]!;
  }

  #examineAll(index: ClusterIndex): void {
    for (const ranges of this.#ranges) for (const id of ranges) if (!index.ranges.has(id)) ranges.delete(id);
    for (const id of index.ranges.keys()) this.#examine(id, index);
  }

  #examine(id: RangeId, index: ClusterIndex): void {
    const range = index.ranges.get(id);
    for (let i = 0; i < rangeRules.length; i++) {
      const ranges = this.#ranges[i]!;
      if (range !== undefined && rangeRules[i]!.concerns(range, index)) ranges.add(id);
      else if (ranges.size > 0) ranges.delete(id);
    }
  }
}
