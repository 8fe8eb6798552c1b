/** Puts, gets and read-modify-writes for the load loop. Operations are made once; nothing is allocated for one of them. */
import { noVersion } from "@flotilla/base";
import type { ClientCore } from "@flotilla/client/internal";
import { Operation } from "@flotilla/client/internal";
import type { OperationOwner } from "@flotilla/client/internal";
import type { BenchKeys } from "./bench-keys.ts";
import type { BenchRandom } from "./bench-random.ts";
import type { KeyDistribution } from "./key-distribution.ts";
import { LoadSlot } from "./load-loop.ts";
import type { LoadDriver, LoadLoop } from "./load-loop.ts";
import { foreignValue, noValue } from "./register-history.ts";
import type { RegisterHistory, RegisterResult } from "./register-history.ts";

export type OperationWorkload = "put" | "get" | "mixed" | "read-modify-write";

export interface OperationDriverParts {
  readonly workload: OperationWorkload;
  readonly loop: LoadLoop<OperationSlot>;
  readonly cores: readonly ClientCore[];
  readonly keys: BenchKeys;
  readonly distribution: KeyDistribution;
  readonly random: BenchRandom;
  /** Written one after the other. With a history each write has a value of its own instead. */
  readonly values: readonly Uint8Array[];
  /** Of `mixed`: from 0 to 100. */
  readonly readPercent: number;
  readonly history: RegisterHistory | undefined;
}

export class OperationSlot extends LoadSlot {
  readonly operation: Operation;
  readonly core: ClientCore;
  keyIndex = 0;
  /** What is written, as a number: see `CheckedValue`. */
  valueNumber: number = noValue;
  /** What was read before it. */
  readNumber: number = noValue;
  /** When the request under way was sent: a read-modify-write has several. */
  requestMs = 0;
  /** With a history: the slot's own value, whose first 8 bytes are the number. */
  value: Uint8Array | undefined = undefined;

  constructor(index: number, core: ClientCore, owner: OperationOwner) {
    super(index);
    this.core = core;
    this.operation = new Operation(owner);
    this.operation.kind = "put";
    this.operation.tag = this;
  }
}

/** A value that says which write it is from. */
export const checkedValueBytesMin = 8;

export function writeNumber(value: Uint8Array, number: number): void {
  new DataView(value.buffer, value.byteOffset).setFloat64(0, number);
}

export function readNumber(value: Uint8Array): number {
  if (value.length < checkedValueBytesMin) return foreignValue;
  const number = new DataView(value.buffer, value.byteOffset).getFloat64(0);
  return Number.isSafeInteger(number) && number > 0 ? number : foreignValue;
}

export class OperationDriver implements LoadDriver<OperationSlot>, OperationOwner {
  /** Read-modify-writes that found another version than they had read, and began again. */
  conflicts = 0;
  readonly #parts: OperationDriverParts;
  #nextValue = 0;

  constructor(parts: OperationDriverParts) {
    this.#parts = parts;
  }

  createSlot(index: number): OperationSlot {
    const { cores, history, values } = this.#parts;
    const slot = new OperationSlot(index, cores[index % cores.length]!, this);
    if (history !== undefined) slot.value = values[index % values.length]!.slice();
    return slot;
  }

  begin(slot: OperationSlot): void {
    const { workload, distribution, keys, random, readPercent } = this.#parts;
    slot.keyIndex = distribution.next();
    slot.operation.key = keys.at(slot.keyIndex);
    const isWrite = workload === "put" || (workload === "mixed" && random.below(100) >= readPercent);
    if (isWrite) this.#write(slot, slot.sentMs);
    else this.#read(slot, slot.sentMs);
  }

  settled(operation: Operation): void {
    const slot = operation.tag as OperationSlot;
    const { history, loop, workload } = this.#parts;
    // A client that is closed settles at once, from inside `submit`; everything else comes from the event loop.
    const nowMs = history === undefined && workload !== "read-modify-write" ? 0 : performance.now();
    if (history !== undefined) this.#record(history, slot, nowMs);
    const { error } = operation;
    if (error === undefined) {
      if (workload === "read-modify-write" && operation.lane === "read") this.#write(slot, nowMs);
      else loop.answered(slot);
    } else if (workload === "read-modify-write" && error.code === "ConditionFailed") {
      this.conflicts++;
      this.#read(slot, nowMs);
    } else loop.failed(slot, error.code, error.outcome === "unknown");
  }

  #read(slot: OperationSlot, nowMs: number): void {
    const { operation } = slot;
    operation.lane = "read";
    slot.requestMs = nowMs;
    slot.core.submit(operation);
  }

  #write(slot: OperationSlot, nowMs: number): void {
    const { operation } = slot;
    const { history, values, workload } = this.#parts;
    if (workload === "read-modify-write") {
      const found = operation.version;
      operation.condition = found === 0 ? "if-absent" : "if-version";
      operation.expected = found === 0 ? noVersion : found;
    }
    operation.lane = "write";
    if (history === undefined) {
      operation.value = values[this.#nextValue]!;
      if (++this.#nextValue === values.length) this.#nextValue = 0;
    } else {
      slot.valueNumber = history.newValue();
      writeNumber(slot.value!, slot.valueNumber);
      operation.value = slot.value!;
    }
    slot.requestMs = nowMs;
    slot.core.submit(operation);
  }

  #record(history: RegisterHistory, slot: OperationSlot, nowMs: number): void {
    const { operation, keyIndex, requestMs } = slot;
    const { error } = operation;
    if (operation.lane === "read") {
      if (error !== undefined) return;
      slot.readNumber = operation.version === 0 ? noValue : readNumber(operation.value);
      history.record(keyIndex, "read", slot.readNumber, noValue, requestMs, nowMs, "ok");
      return;
    }
    let result: RegisterResult = "ok";
    if (error !== undefined) {
      if (error.code === "ConditionFailed") result = "mismatch";
      else result = error.outcome === "not-applied" ? "fail" : "unknown";
    }
    if (this.#parts.workload === "read-modify-write")
      history.record(keyIndex, "compare-and-set", slot.valueNumber, slot.readNumber, requestMs, nowMs, result);
    else history.record(keyIndex, "write", slot.valueNumber, noValue, requestMs, nowMs, result);
  }
}
