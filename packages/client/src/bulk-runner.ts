/** Many operations with a bounded number on their way, over a pool of reused ones. Behind putMany, getMany and deleteRange. */
import type { AbortSignalLike, CallOptions } from "./call.ts";
import { checkedTimeout } from "./call.ts";
import type { ClientCore } from "./client-core.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { Operation } from "./operation.ts";
import type { OperationOwner } from "./operation.ts";
import { untilAborted } from "./until-aborted.ts";

/** How long to wait before looking again when others have filled the client's queue. */
const queueWaitMs = 20;

export class BulkRunner implements OperationOwner {
  readonly #core: ClientCore;
  readonly #what: string;
  readonly #timeoutMs: number;
  readonly #signal: AbortSignalLike | undefined;
  /** Told of every settled operation before it is reused. */
  readonly #done: (operation: Operation) => void;
  readonly #all: Operation[] = [];
  readonly #free: Operation[] = [];
  #inFlight = 0;
  #inFlightBytes = 0;
  #wake: (() => void) | undefined;
  readonly #onAbort = (): void => {
    for (const operation of this.#all) this.#core.cancel(operation, this.#signal?.reason);
  };

  constructor(core: ClientCore, what: string, options: CallOptions, done: (operation: Operation) => void) {
    this.#core = core;
    this.#what = what;
    this.#timeoutMs = checkedTimeout(options.timeoutMs);
    this.#signal = options.signal;
    this.#done = done;
    this.#signal?.addEventListener("abort", this.#onAbort);
  }

  /** Whether `submit` may be called now without waiting; never after the call was cancelled, which `room` then says. */
  get hasRoom(): boolean {
    if (this.#signal?.aborted === true) return false;
    const { bulkInFlightMax, bulkInFlightBytesMax } = this.#core.settings;
    if (this.#inFlight >= bulkInFlightMax || this.#inFlightBytes >= bulkInFlightBytesMax) return false;
    return this.#core.hasRoom || (this.#inFlight === 0 && this.#core.hasQueueRoom);
  }

  /** Throws `Cancelled` when the signal says so. */
  async room(): Promise<void> {
    while (!this.hasRoom) {
      this.check();
      if (this.#inFlight === 0) await this.#wait(queueWaitMs);
      else await this.#settlement();
    }
    this.check();
  }

  check(): void {
    if (this.#signal?.aborted === true) throw this.#cancelled();
    if (this.#core.isClosed) throw new FlotillaError("Closed", `${this.#what}: the client is closed`);
  }

  #cancelled(): FlotillaError {
    return new FlotillaError("Cancelled", `${this.#what}: the call was cancelled`, { cause: this.#signal?.reason });
  }

  /** What the source yields, until the call is cancelled. */
  following<T>(source: AsyncIterable<T>): AsyncIterable<T> {
    return this.#signal === undefined ? source : untilAborted(source, this.#signal, () => this.#cancelled());
  }

  /** To be filled in and given to `submit`. */
  operation(): Operation {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const operation = new Operation(this);
    operation.timeoutMs = this.#timeoutMs;
    this.#all.push(operation);
    return operation;
  }

  submit(operation: Operation): void {
    this.#inFlight++;
    if (operation.lane === "write") this.#inFlightBytes += operation.value.length;
    this.#core.submit(operation);
  }

  settled(operation: Operation): void {
    this.#inFlight--;
    if (operation.lane === "write") this.#inFlightBytes -= operation.value.length;
    this.#done(operation);
    operation.tag = undefined;
    this.#free.push(operation);
    this.#wake?.();
  }

  #wait(ms: number): Promise<void> {
    const untilMs = this.#core.nowMs() + ms;
    this.#core.wakeAt(untilMs);
    return new Promise((resolve) => this.#core.waiters.add({ untilMs, resolve }));
  }

  #settlement(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }

  async drain(): Promise<void> {
    while (this.#inFlight > 0) await this.#settlement();
  }

  /** Call once, whatever happened. */
  finish(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}
