/**
 * A key with versions: get, put and delete, the last two also on condition. Every write has a version above all
 * versions that the key had before. A write without an answer leaves its version open until somebody reads it.
 */
import type { Model, Operation } from "./model.ts";

export type Condition =
  | { readonly kind: "none" }
  | { readonly kind: "if-absent" }
  | { readonly kind: "if-version"; readonly expected: number };

/** `version` undefined: the answer did not tell. With `mismatch` it is the version found, 0 = absent. */
export type KvOperation = Operation &
  (
    | { readonly op: "get"; readonly value: string | null; readonly version: number | undefined }
    | {
        readonly op: "put";
        readonly value: string;
        readonly condition: Condition;
        readonly version: number | undefined;
      }
    | {
        readonly op: "delete";
        readonly condition: Condition;
        readonly version: number | undefined;
        /** Whether there was something to delete; undefined: the answer did not tell. */
        readonly existed: boolean | undefined;
      }
  );

type Presence =
  | "absent"
  | "present"
  /** Either: nothing is known. */
  | "anything";

interface KvState {
  readonly presence: Presence;
  /** Undefined: there is one, and nobody has seen it. Only behind `anything`. */
  readonly value: string | undefined;
  /** Undefined: open, but above `floor`. */
  readonly version: number | undefined;
  /** No later write has a version up to this. */
  readonly floor: number;
}

export class KvModel implements Model<KvOperation> {
  readonly initial: number;
  readonly anything: number;
  readonly #states: KvState[] = [];
  readonly #numbers = new Map<string, number>();

  constructor() {
    this.initial = this.#absent(0);
    this.anything = this.#number({ presence: "anything", value: undefined, version: undefined, floor: 0 });
  }

  #number(state: KvState): number {
    const name = `${state.presence} ${state.version} ${state.floor} ${state.value === undefined ? "" : "=" + state.value}`;
    let number = this.#numbers.get(name);
    if (number === undefined) {
      number = this.#states.length;
      this.#states.push(state);
      this.#numbers.set(name, number);
    }
    return number;
  }

  #absent(floor: number): number {
    return this.#number({ presence: "absent", value: undefined, version: undefined, floor });
  }

  #present(value: string | undefined, version: number | undefined, floor: number): number {
    return this.#number({ presence: "present", value, version, floor });
  }

  step(number: number, operation: KvOperation): number {
    const state = this.#states[number]!;
    if (operation.op === "get") {
      const { value, version } = operation;
      return value === null ? this.#foundAbsent(number, state) : this.#foundPresent(number, state, value, version);
    }
    if (operation.result === "mismatch") return this.#mismatch(number, state, operation.condition, operation.version);
    const floor = floorBehind(state, operation.condition);
    const version = operation.version;
    if (floor < 0 || (version !== undefined && operation.op === "put" && version <= floor)) return -1;
    if (operation.op === "put") return this.#present(operation.value, version, version ?? floor);
    return this.#delete(number, state, operation.existed, version, floor);
  }

  #delete(
    number: number,
    state: KvState,
    existed: boolean | undefined,
    version: number | undefined,
    floor: number,
  ): number {
    if (existed === false) return this.#foundAbsent(number, state);
    if (existed === true && state.presence === "absent") return -1;
    if (existed === undefined && state.presence === "absent") return number;
    if (version !== undefined && version <= floor) return -1;
    return this.#absent(version ?? floor);
  }

  #foundAbsent(number: number, state: KvState): number {
    if (state.presence === "present") return -1;
    return state.presence === "absent" ? number : this.#absent(state.floor);
  }

  /** What was open until now, or not known, is known from now on. */
  #foundPresent(number: number, state: KvState, value: string | undefined, version: number | undefined): number {
    if (state.presence === "absent") return -1;
    if (value !== undefined && state.value !== undefined && value !== state.value) return -1;
    if (version !== undefined && state.version !== undefined && version !== state.version) return -1;
    if (version !== undefined && state.version === undefined && version <= state.floor) return -1;
    const [knownValue, knownVersion] = [state.value ?? value, state.version ?? version];
    if (state.presence === "present" && knownValue === state.value && knownVersion === state.version) return number;
    return this.#present(knownValue, knownVersion, knownVersion ?? state.floor);
  }

  #mismatch(number: number, state: KvState, condition: Condition, found: number | undefined): number {
    if (condition.kind === "none" || found === undefined) return -1;
    const holds = condition.kind === "if-absent" ? found === 0 : found === condition.expected;
    if (holds) return -1;
    return found === 0 ? this.#foundAbsent(number, state) : this.#foundPresent(number, state, undefined, found);
  }

  apply(number: number, operation: KvOperation): number {
    if (operation.op === "get") return -1;
    const state = this.#states[number]!;
    const floor = floorBehind(state, operation.condition);
    if (floor < 0) return -1;
    if (operation.op === "put") return this.#present(operation.value, undefined, floor);
    return state.presence === "absent" ? -1 : this.#absent(floor);
  }

  isObservation(operation: KvOperation): boolean {
    if (operation.op === "get" || operation.result === "mismatch") return true;
    return operation.op === "delete" && operation.existed === false;
  }

  signature(operation: KvOperation): string {
    if (operation.op === "get") return "get";
    const condition = operation.condition;
    const on = condition.kind === "if-version" ? `if-version ${condition.expected}` : condition.kind;
    return operation.op === "put" ? `put ${on} ${operation.value}` : `delete ${on}`;
  }
}

/** Where the condition holds: what the next version must lie above; else -1. */
function floorBehind(state: KvState, condition: Condition): number {
  switch (condition.kind) {
    case "none":
      return state.floor;
    case "if-absent":
      return state.presence === "present" ? -1 : state.floor;
    case "if-version": {
      const { expected } = condition;
      if (state.presence === "absent") return -1;
      if (state.version === expected) return state.floor;
      return state.version === undefined && expected > state.floor ? expected : -1;
    }
    default:
      return condition satisfies never;
  }
}
