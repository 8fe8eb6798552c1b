/**
 * Operations behind promises: one promise an operation and nothing else. `Promise` runs its executor at once, so one shared
 * executor can hand resolve and reject to the operation that was named just before.
 */
import type { FlotillaError } from "./flotilla-error.ts";
import { Operation } from "./operation.ts";
import type { OperationOwner } from "./operation.ts";

let naming: Operation;

function executor(resolve: (value: never) => void, reject: (error: unknown) => void): void {
  naming.resolve = resolve;
  naming.reject = reject;
}

/** The promise that `operation` settles through `settleWith`. */
export function promiseOf<T>(operation: Operation): Promise<T> {
  naming = operation;
  return new Promise<T>(executor as (resolve: (value: T) => void, reject: (error: unknown) => void) => void);
}

/** Owners differ only in what they make of a finished operation. */
export class PromiseOwner implements OperationOwner {
  readonly #resultOf: (operation: Operation) => unknown;

  constructor(resultOf: (operation: Operation) => unknown) {
    this.#resultOf = resultOf;
  }

  create(): Operation {
    return new Operation(this);
  }

  settled(operation: Operation): void {
    const error: FlotillaError | undefined = operation.error;
    if (error !== undefined) {
      operation.reject!(error);
      return;
    }
    let result: unknown;
    try {
      result = this.#resultOf(operation);
    } catch (failure) {
      operation.reject!(failure);
      return;
    }
    operation.resolve!(result as never);
  }
}
