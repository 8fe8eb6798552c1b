/**
 * Shows why a history is not linearizable: a small set of its operations that contradict each other.
 *
 * An operation is not simply left out, for then every reader of what it wrote would look like a contradiction. Two ways
 * of giving up knowledge only allow more orders, so what still contradicts afterwards is a contradiction of the whole:
 *
 *  - *Cut* at a time: what returned before it is forgotten, and nothing is known about the state there. What spans it
 *    is weakened.
 *  - *Weaken* an operation to one whose answer never came; of an observation nothing is left then.
 *
 * First the latest cut is looked for, then what is left is weakened by halves, quarters and so on, as in delta debugging
 * (Zeller and Hildebrandt 2002), under a bound on the work.
 */
import { LinearizationSearch } from "./linearization-search.ts";
import type { Model, Operation } from "./model.ts";

/** Steps for one try. One that is not decided by then counts as no contradiction: its operations stay. */
const stepsPerTry = 20_000;
const stepsMax = 500_000;

export interface Contradiction<Op extends Operation> {
  /** By time of invocation. Leaving one out, the others agree (unless the search for it was bounded). */
  readonly operations: readonly Op[];
  /** They contradict each other whatever happened before this time; -Infinity: from the initial state on. */
  readonly cut: number;
}

/** `failedAt`: no order has a place for all operations that returned up to here. */
export function findContradiction<Op extends Operation>(
  operations: readonly Op[],
  failedAt: number,
  makeModel: () => Model<Op>,
): Contradiction<Op> {
  return new Reduction(operations, failedAt, makeModel).run();
}

class Reduction<Op extends Operation> {
  readonly #makeModel: () => Model<Op>;
  /** Those that never had an answer, or had it too late to matter. */
  readonly #optional: Op[] = [];
  readonly #strict: Op[] = [];
  #steps = 0;

  constructor(operations: readonly Op[], failedAt: number, makeModel: () => Model<Op>) {
    this.#makeModel = makeModel;
    for (const operation of operations) {
      if (operation.invoke > failedAt) continue;
      (operation.return > failedAt ? this.#optional : this.#strict).push(operation);
    }
  }

  run(): Contradiction<Op> {
    const cut = this.#findCut();
    const operations = this.#reduce(
      this.#strict.filter((operation) => operation.invoke >= cut),
      cut,
    );
    // One that nothing at all explains needs no cut and no company.
    const alone = operations.find((operation) => this.#contradicts(new Set([operation]), -Infinity));
    if (alone !== undefined) return { operations: [alone], cut: -Infinity };
    return { operations: operations.sort((a, b) => a.invoke - b.invoke), cut };
  }

  #contradicts(strict: ReadonlySet<Op>, cut: number): boolean {
    const model = this.#makeModel();
    const history: Op[] = [];
    const weaken = (operation: Op): void => {
      if (!model.isObservation(operation)) history.push({ ...operation, return: Infinity, result: "unknown" });
    };
    for (const operation of this.#optional) weaken(operation);
    for (const operation of this.#strict) {
      if (operation.return < cut) continue;
      if (strict.has(operation) && operation.invoke >= cut) history.push(operation);
      else weaken(operation);
    }
    const start = cut === -Infinity ? model.initial : model.anything;
    const found = new LinearizationSearch(model, history, stepsPerTry, start).run();
    this.#steps += found.steps;
    return found.verdict === "fail";
  }

  /** The later the cut, the more is forgotten: the last one that still contradicts is found by bisection. */
  #findCut(): number {
    const strict = new Set(this.#strict);
    const cuts = [...new Set(this.#strict.map((operation) => operation.invoke))].sort((a, b) => a - b);
    let low = -1;
    let high = cuts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#contradicts(strict, cuts[middle]!)) low = middle;
      else high = middle;
    }
    return cuts[low] ?? -Infinity;
  }

  #reduce(all: Op[], cut: number): Op[] {
    let kept = all;
    let pieces = 2;
    while (kept.length > 1 && this.#steps < stepsMax) {
      const size = Math.ceil(kept.length / pieces);
      let smaller: Op[] | undefined;
      for (let at = 0; at < kept.length && smaller === undefined && this.#steps < stepsMax; at += size) {
        const rest = [...kept.slice(0, at), ...kept.slice(at + size)];
        if (this.#contradicts(new Set(rest), cut)) smaller = rest;
      }
      if (smaller !== undefined) {
        kept = smaller;
        pieces = Math.max(2, pieces - 1);
      } else if (size === 1) break;
      else pieces = Math.min(kept.length, pieces * 2);
    }
    return kept;
  }
}
