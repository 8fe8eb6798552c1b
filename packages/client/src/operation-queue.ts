/** Operations that wait for room, first come, first served. Bounded by whoever fills it. */
import type { Operation } from "./operation.ts";

export class OperationQueue {
  #items: Operation[] = [];
  #head = 0;
  #bytes = 0;

  get size(): number {
    return this.#items.length - this.#head;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(operation: Operation): void {
    this.#items.push(operation);
    this.#bytes += operation.bytes;
  }

  peek(): Operation | undefined {
    return this.#items[this.#head];
  }

  shift(): Operation | undefined {
    const operation = this.#items[this.#head];
    if (operation === undefined) return undefined;
    this.#head++;
    this.#bytes -= operation.bytes;
    // Taken ones are cut off in bulk, so that each costs constant time on average.
    if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return operation;
  }

  forEach(callback: (operation: Operation) => void): void {
    for (let i = this.#head; i < this.#items.length; i++) callback(this.#items[i]!);
  }

  /** Keeps only those that still wait. */
  discardSettled(): void {
    this.#items = this.#items.slice(this.#head).filter((operation) => operation.state === "queued");
    this.#head = 0;
    this.#bytes = 0;
    for (const operation of this.#items) this.#bytes += operation.bytes;
  }
}
