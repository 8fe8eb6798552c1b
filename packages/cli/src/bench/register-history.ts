/**
 * What a load with `--check` saw of every key, as operations on registers: reads, writes, and compare-and-sets (a write on
 * condition of the version that was read: versions never come twice, so the condition speaks of the value). Every write
 * has a value of its own. Kept in columns, about 40 bytes an operation, and checked key by key when the load is over.
 *
 * When it is full, nothing more is recorded, and what is under way then counts as unanswered. So the record is everything
 * that happened up to an instant, and the verdict holds up to there.
 */
import type { HistoryVerdict, RegisterOperation, Verdict } from "@flotilla/simulator";

export type RegisterKind = "read" | "write" | "compare-and-set";
export type RegisterResult = "ok" | "mismatch" | "fail" | "unknown";

const kinds: readonly RegisterKind[] = ["read", "write", "compare-and-set"];
const results: readonly RegisterResult[] = ["ok", "mismatch", "fail", "unknown"];

/** The register is empty: what a read of a missing key sees. */
export const noValue = 0;
/** A read brought something that no write of this load has written. */
export const foreignValue: number = -1;

const blockOperations = 65_536;
/** Keys are handed to the checker together until they have so many operations. */
const chunkOperations = 50_000;
/** Each step that is remembered costs about 200 bytes. */
const stepsMax = 1_000_000;
/** Keys that did not pass, in full. */
const failuresShownMax = 3;

interface Block {
  readonly key: Uint32Array;
  /** Index in `kinds` × 4 + index in `results`. */
  readonly what: Uint8Array;
  readonly value: Float64Array;
  readonly from: Float64Array;
  readonly invoke: Float64Array;
  readonly return: Float64Array;
}

export interface HistoryCheck {
  readonly verdict: Verdict;
  readonly operations: number;
  readonly keys: number;
  /** False: the record was full before the end of the load. */
  readonly complete: boolean;
  readonly steps: number;
  readonly failures: readonly {
    readonly key: number;
    readonly verdict: Verdict;
    readonly operations: readonly object[];
  }[];
}

export class RegisterHistory {
  readonly #operationsMax: number;
  readonly #keys: number;
  readonly #blocks: Block[] = [];
  #count = 0;
  #nextValue = 1;
  /** When the record became full. */
  #fullAtMs = Infinity;

  constructor(keys: number, operationsMax: number) {
    this.#keys = keys;
    this.#operationsMax = operationsMax;
  }

  get operations(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#fullAtMs !== Infinity;
  }

  /** Of its own for each write. */
  newValue(): number {
    return this.#nextValue++;
  }

  /** An operation has ended. `from`: the value a compare-and-set was made on. Times are of one clock. */
  record(
    key: number,
    kind: RegisterKind,
    value: number,
    from: number,
    invokeMs: number,
    returnMs: number,
    result: RegisterResult,
  ): void {
    let kept = result;
    if (returnMs > this.#fullAtMs) {
      // It was under way at that instant: a write may have been seen by a recorded read.
      if (invokeMs > this.#fullAtMs || kind === "read" || result === "fail") return;
      kept = "unknown";
    }
    this.#append(key, kinds.indexOf(kind) * 4 + results.indexOf(kept), value, from, invokeMs, returnMs);
    if (this.#count === this.#operationsMax) this.#fullAtMs = returnMs;
  }

  #append(key: number, what: number, value: number, from: number, invokeMs: number, returnMs: number): void {
    const at = this.#count % blockOperations;
    if (at === 0) this.#blocks.push(newBlock());
    const block = this.#blocks[this.#blocks.length - 1]!;
    block.key[at] = key;
    block.what[at] = what;
    block.value[at] = value;
    block.from[at] = from;
    block.invoke[at] = invokeMs;
    block.return[at] = returnMs;
    this.#count++;
  }

  /** The checker is loaded only here. Between two portions the event loop gets its turn, and `signal` may end it. */
  async check(signal: AbortSignal): Promise<HistoryCheck> {
    const { RegisterModel, checkHistory } = await import("@flotilla/simulator");
    const failures: HistoryCheck["failures"][number][] = [];
    let steps = 0;
    let keys = 0;
    let verdict: Verdict = "pass";
    for (const operations of this.#portions()) {
      const found: HistoryVerdict<RegisterOperation> = checkHistory(operations, () => new RegisterModel(), {
        stepsMax,
        failFast: false,
      });
      steps += found.steps;
      keys += found.keys;
      verdict = worse(verdict, found.verdict);
      for (const failure of found.failures) {
        if (failures.length < failuresShownMax)
          failures.push({
            key: Number(failure.key),
            verdict: failure.verdict,
            operations: failure.contradiction?.operations ?? [],
          });
      }
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
    }
    return { verdict, operations: this.#count, keys, complete: !this.isFull, steps, failures };
  }

  /** For `npm run check-history -- --model register`, a line each. */
  *lines(): Generator<string, void, undefined> {
    for (let i = 0; i < this.#count; i++) {
      const { key, op, result, invoke, return: returned, ...values } = this.#operation(i);
      const fields: Record<string, unknown> = { client: 1, key, op, result, invoke };
      fields["return"] = returned === Infinity ? null : returned;
      if ("value" in values) fields["value"] = JSON.parse(values.value);
      if ("from" in values) [fields["from"], fields["to"]] = [JSON.parse(values.from), JSON.parse(values.to)];
      yield JSON.stringify(fields) + "\n";
    }
  }

  /** All operations of some keys at a time: sorted by key without a copy of the record. */
  *#portions(): Generator<RegisterOperation[], void, undefined> {
    const starts = new Uint32Array(this.#keys + 1);
    for (let i = 0; i < this.#count; i++) starts[this.#keyOf(i) + 1]!++;
    for (let key = 0; key < this.#keys; key++) starts[key + 1]! += starts[key]!;
    const sorted = new Uint32Array(this.#count);
    const ends = starts.slice();
    for (let i = 0; i < this.#count; i++) sorted[ends[this.#keyOf(i)]!++] = i;
    let portion: RegisterOperation[] = [];
    for (let key = 0; key < this.#keys; key++) {
      for (let at = starts[key]!; at < starts[key + 1]!; at++) portion.push(this.#operation(sorted[at]!));
      if (portion.length < chunkOperations) continue;
      yield portion;
      portion = [];
    }
    if (portion.length > 0) yield portion;
  }

  #keyOf(index: number): number {
    return this.#blocks[Math.floor(index / blockOperations)]!.key[index % blockOperations]!;
  }

  #operation(index: number): RegisterOperation {
    const block = this.#blocks[Math.floor(index / blockOperations)]!;
    const at = index % blockOperations;
    const what = block.what[at]!;
    const kind = kinds[what >> 2]!;
    const result = results[what & 3]!;
    const common = {
      line: index + 1,
      client: "bench",
      key: String(block.key[at]!),
      invoke: block.invoke[at]!,
      return: result === "unknown" ? Infinity : block.return[at]!,
      result,
    };
    const value = textOf(block.value[at]!);
    switch (kind) {
      case "read":
        return { ...common, op: "read", value };
      case "write":
        return { ...common, op: "write", value };
      case "compare-and-set":
        return { ...common, op: "cas", from: textOf(block.from[at]!), to: value, found: undefined };
      default:
        return kind satisfies never;
    }
  }
}

/** As JSON text, which is how the model compares values. */
const textOf = (value: number): string => (value === noValue ? "null" : String(value));

function worse(a: Verdict, b: Verdict): Verdict {
  if (a === "fail" || b === "fail") return "fail";
  return a === "undecided" || b === "undecided" ? "undecided" : "pass";
}

function newBlock(): Block {
  return {
    key: new Uint32Array(blockOperations),
    what: new Uint8Array(blockOperations),
    value: new Float64Array(blockOperations),
    from: new Float64Array(blockOperations),
    invoke: new Float64Array(blockOperations),
    return: new Float64Array(blockOperations),
  };
}
