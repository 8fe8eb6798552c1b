/**
 * Gives operations their numbers and finds the unsettled ones by number: a ring that covers `[floor, next)`.
 *
 * Invariants: `floor ≤ next`; every unsettled operation's number is in `[floor, next)`; the slot at `floor` is taken
 * unless `floor === next`. So for writes `floor` is what goes to the servers: all numbers below are settled.
 */
import { assert } from "@flotilla/base";
import type { Operation } from "./operation.ts";

export class OperationWindow {
  readonly #spanMax: number;
  #slots: (Operation | undefined)[] = new Array<Operation | undefined>(1024).fill(undefined);
  #mask = 1023;
  #floor = 1;
  #next = 1;

  /** `spanMax`: a power of two, at least 1024. One stuck operation holds the floor; past this span nothing new gets in. */
  constructor(spanMax: number) {
    assert(spanMax >= 1024 && (spanMax & (spanMax - 1)) === 0, `span must be a power of two from 1024, got ${spanMax}`);
    this.#spanMax = spanMax;
  }

  get floor(): number {
    return this.#floor;
  }

  get full(): boolean {
    return this.#next - this.#floor >= this.#spanMax;
  }

  add(operation: Operation): void {
    assert(!this.full, "an operation was admitted beyond the window");
    if (this.#next - this.#floor > this.#mask) this.#grow();
    const number = this.#next++;
    operation.number = number;
    this.#slots[number & this.#mask] = operation;
  }

  find(number: number): Operation | undefined {
    if (number < this.#floor || number >= this.#next) return undefined;
    return this.#slots[number & this.#mask];
  }

  remove(operation: Operation): void {
    const { number } = operation;
    assert(this.find(number) === operation, `operation ${number} is not in the window`);
    this.#slots[number & this.#mask] = undefined;
    while (this.#floor < this.#next && this.#slots[this.#floor & this.#mask] === undefined) this.#floor++;
  }

  forEach(callback: (operation: Operation) => void): void {
    for (let number = this.#floor; number < this.#next; number++) {
      const operation = this.#slots[number & this.#mask];
      if (operation !== undefined) callback(operation);
    }
  }

  #grow(): void {
    const mask = this.#slots.length * 2 - 1;
    const slots = new Array<Operation | undefined>(mask + 1).fill(undefined);
    for (let number = this.#floor; number < this.#next; number++)
      slots[number & mask] = this.#slots[number & this.#mask];
    this.#slots = slots;
    this.#mask = mask;
  }
}
