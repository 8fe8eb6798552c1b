import { Failure } from "@flotilla/base";

/** Whether an engine still serves: after a failed write, and after `close`, every call ends with the same error. */
export class EngineLife {
  #end: Error | undefined;

  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** The first failure is the one that everybody sees. */
  fail(error: Error): void {
    this.#end ??= error;
  }

  close(): void {
    this.#end ??= new Failure("Closed", "the engine is closed");
  }

  /** Throws when the engine has ended. */
  check(): void {
    if (this.#end !== undefined) throw this.#end;
  }
}
