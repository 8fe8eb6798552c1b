/** A register: read, write, compare-and-set. Values are JSON scalars, compared as JSON text; it begins as `null`. */
import type { Model, Operation } from "./model.ts";

export type RegisterOperation = Operation &
  (
    | { readonly op: "read"; readonly value: string }
    | { readonly op: "write"; readonly value: string }
    /** `found`: with `mismatch` the value that was there, where the answer told it. */
    | { readonly op: "cas"; readonly from: string; readonly to: string; readonly found: string | undefined }
  );

export class RegisterModel implements Model<RegisterOperation> {
  readonly initial = 0;
  readonly anything = 1;
  /** No JSON text is empty. */
  readonly #states = new Map<string, number>([
    ["null", 0],
    ["", 1],
  ]);

  #state(value: string): number {
    let state = this.#states.get(value);
    if (state === undefined) {
      state = this.#states.size;
      this.#states.set(value, state);
    }
    return state;
  }

  #is(state: number, value: string): boolean {
    return state === this.anything || state === this.#state(value);
  }

  step(state: number, operation: RegisterOperation): number {
    switch (operation.op) {
      case "read":
        return this.#is(state, operation.value) ? this.#state(operation.value) : -1;
      case "write":
        return this.#state(operation.value);
      case "cas": {
        const { from, to, found } = operation;
        if (operation.result === "ok") return this.#is(state, from) ? this.#state(to) : -1;
        if (found === undefined) return this.#state(from) === state ? -1 : state;
        return found !== from && this.#is(state, found) ? this.#state(found) : -1;
      }
      default:
        return operation satisfies never;
    }
  }

  apply(state: number, operation: RegisterOperation): number {
    if (operation.op === "write") return this.#state(operation.value);
    if (operation.op === "cas" && this.#is(state, operation.from)) return this.#state(operation.to);
    return -1;
  }

  isObservation(operation: RegisterOperation): boolean {
    return operation.op === "read" || operation.result === "mismatch";
  }

  signature(operation: RegisterOperation): string {
    switch (operation.op) {
      case "read":
        return "read";
      case "write":
        return `write ${operation.value}`;
      case "cas":
        return `cas ${operation.from} ${operation.to}`;
      default:
        return operation satisfies never;
    }
  }
}
