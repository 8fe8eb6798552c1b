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
  /** Those that are left of all. */
  #left: RangeId[] = [];

  /** The range, or something that a rule looks at for it, has changed. */
  touch(id: RangeId): void {
    this.#touched.add(id);
  }

  /** Something has changed that rules look at for every range. */
  touchAll(): void {
    this.#allTouched = true;
  }

  /** Looks at so many of what has been touched, at what was touched by itself first; false when some are left. */
  examine(index: ClusterIndex, most: number): boolean {
    if (this.#allTouched) this.#left = [...index.ranges.keys()].filter((id) => !this.#touched.has(id)).reverse();
    this.#allTouched = false;
    let looks = most;
    for (const id of this.#touched) {
      if (looks-- <= 0) return false;
      this.#touched.delete(id);
      this.#examine(id, index);
    }
    while (this.#left.length > 0 && looks-- > 0) this.#examine(this.#left.pop()!, index);
    return this.#left.length === 0;
  }

  /** As of when its ranges were examined last. */
  of(rule: RangeRule): Set<RangeId> {
    return this.#ranges[rangeRules.indexOf(rule)]!;
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
