/** Is a history linearizable? Each key by itself: a history is, if and only if each key's part is (Herlihy and Wing 1990). */
import { findContradiction } from "./contradiction.ts";
import type { Contradiction } from "./contradiction.ts";
import { LinearizationSearch } from "./linearization-search.ts";
import type { Model, Operation } from "./model.ts";

export type Verdict = "pass" | "fail" | "undecided";

export interface KeyVerdict<Op extends Operation> {
  readonly key: string;
  readonly verdict: Verdict;
  readonly steps: number;
  /** With `fail`. */
  readonly contradiction: Contradiction<Op> | undefined;
}

export interface HistoryVerdict<Op extends Operation> {
  /** `fail` if a key fails, else `undecided` if one is, else `pass`. Undecided counts as failure. */
  readonly verdict: Verdict;
  readonly operations: number;
  readonly keys: number;
  readonly steps: number;
  /** Keys that did not pass. */
  readonly failures: readonly KeyVerdict<Op>[];
}

export interface CheckOptions {
  /** Steps of the search for each key before it is given up as undecided. About a million a second; see memory below. */
  readonly stepsMax: number;
  /** Ends the check at the first key that fails. */
  readonly failFast: boolean;
}

/** A step that is remembered takes about 200 bytes: this is below 1 GB for one key, and keys come one after the other. */
export const checkOptionsDefault: CheckOptions = { stepsMax: 4_000_000, failFast: false };

/** A new model for each key, since states are numbers of one model. */
export function checkHistory<Op extends Operation>(
  operations: readonly Op[],
  makeModel: () => Model<Op>,
  options: CheckOptions = checkOptionsDefault,
): HistoryVerdict<Op> {
  const byKey = new Map<string, Op[]>();
  for (const operation of operations) {
    const list = byKey.get(operation.key);
    if (list === undefined) byKey.set(operation.key, [operation]);
    else list.push(operation);
  }
  const failures: KeyVerdict<Op>[] = [];
  let steps = 0;
  for (const [key, list] of byKey) {
    const result = checkKey(key, list, makeModel, options.stepsMax);
    steps += result.steps;
    if (result.verdict !== "pass") failures.push(result);
    if (result.verdict === "fail" && options.failFast) break;
  }
  const failed = failures.some((failure) => failure.verdict === "fail");
  const verdict = failed ? "fail" : failures.length > 0 ? "undecided" : "pass";
  return { verdict, operations: operations.length, keys: byKey.size, steps, failures };
}

function checkKey<Op extends Operation>(
  key: string,
  operations: readonly Op[],
  makeModel: () => Model<Op>,
  stepsMax: number,
): KeyVerdict<Op> {
  const relevant = operations.filter((operation) => operation.result !== "fail");
  const found = new LinearizationSearch(makeModel(), relevant, stepsMax).run();
  if (found.verdict !== "fail") return { key, verdict: found.verdict, steps: found.steps, contradiction: undefined };
  const contradiction = findContradiction(relevant, found.failedAt, makeModel);
  return { key, verdict: "fail", steps: found.steps, contradiction };
}
