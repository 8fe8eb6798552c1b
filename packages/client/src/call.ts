/** A call that waits in steps (a scan, a lookup, an admin call): its deadline, its signal, and what ends it early. */
import type { ClientCore } from "./client-core.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { lacksMajority, missingText, noQuorumHint } from "./outcome-error.ts";
import type { CachedRange } from "./route-cache.ts";
import type { Waiter } from "./waiters.ts";

/** The part of `AbortSignal` that is used; the real one fits. */
export interface AbortSignalLike {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: "abort", listener: () => void): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

export interface CallOptions {
  readonly signal?: AbortSignalLike | undefined;
  /** Default: the client's, 10 s. Scans, deleteRange and putMany: the longest time without progress. */
  readonly timeoutMs?: number | undefined;
}

export class Call {
  readonly #core: ClientCore;
  readonly #what: string;
  readonly #signal: AbortSignalLike | undefined;
  readonly #timeoutMs: number;
  #deadlineMs: number;
  #entered = false;
  #waiter: Waiter | undefined;
  readonly #onAbort = (): void => this.wake();

  constructor(core: ClientCore, what: string, options: CallOptions) {
    this.#core = core;
    this.#what = what;
    this.#signal = options.signal;
    this.#timeoutMs = checkedTimeout(options.timeoutMs) || core.settings.timeoutMs;
    this.#deadlineMs = core.nowMs() + this.#timeoutMs;
  }

  get deadlineMs(): number {
    return this.#deadlineMs;
  }

  /** Between `enter` and `leave` the call counts as work of the client. */
  enter(): void {
    if (this.#entered) return;
    this.#entered = true;
    this.#deadlineMs = this.#core.nowMs() + this.#timeoutMs;
    this.#signal?.addEventListener("abort", this.#onAbort);
    this.#core.enter();
  }

  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    this.#signal?.removeEventListener("abort", this.#onAbort);
    this.#core.leave();
  }

  /** There was progress: the time without it begins again. */
  progressed(): void {
    this.#deadlineMs = this.#core.nowMs() + this.#timeoutMs;
  }

  throwIfCancelled(): void {
    if (this.#signal?.aborted !== true) return;
    throw new FlotillaError("Cancelled", `${this.#what}: the call was cancelled`, { cause: this.#signal.reason });
  }

  /**
   * Throws when the call has to end. `missing` says what it still waits for, in `range` if it has come so far; `needsCluster`
   * false: a node without one will do.
   */
  check(missing: string, range?: CachedRange, needsCluster: boolean = true): void {
    if (this.#core.isClosed) throw new FlotillaError("Closed", `${this.#what}: the client is closed`);
    this.throwIfCancelled();
    const nowMs = this.#core.nowMs();
    const unreachable = this.#core.links.unreachable(nowMs, nowMs < this.#deadlineMs, needsCluster);
    if (unreachable !== undefined) {
      throw new FlotillaError(unreachable.code, `${this.#what}: ${unreachable.message}`, {
        hint: unreachable.hint,
        details: unreachable.details,
      });
    }
    if (nowMs >= this.#deadlineMs) throw this.#timeout(missing, range);
  }

  #timeout(missing: string, range: CachedRange | undefined): FlotillaError {
    const why = `${this.#what}: no answer within ${this.#timeoutMs} ms; ${missing}`;
    if (range === undefined) return new FlotillaError("Timeout", why);
    const { rangeId } = range.descriptor;
    const missingStores = this.#core.missingStores(range);
    const noQuorum = lacksMajority(range, missingStores);
    return new FlotillaError(
      noQuorum ? "NoQuorum" : "Timeout",
      `${why}; range ${rangeId}${missingText(missingStores)}`,
      {
        hint: noQuorum ? noQuorumHint : "",
        details: { rangeId, missingStores },
      },
    );
  }

  /** Waits for any change, at most until `untilMs`. */
  change(untilMs: number = this.#deadlineMs): Promise<void> {
    const until = Math.min(untilMs, this.#deadlineMs);
    this.#core.wakeAt(until);
    return new Promise((resolve) => {
      this.#waiter = { untilMs: until, resolve };
      this.#core.waiters.add(this.#waiter);
    });
  }

  /** Something came for this call alone. */
  wake(): void {
    if (this.#waiter !== undefined) this.#core.waiters.wakeOne(this.#waiter);
  }
}

/** 0 = not given. */
export function checkedTimeout(timeoutMs: number | undefined): number {
  if (timeoutMs === undefined) return 0;
  if (!(timeoutMs > 0) || timeoutMs > 2 ** 31) {
    throw new FlotillaError(
      "InvalidArgument",
      `timeoutMs must be more than 0 and at most 2147483648, got ${timeoutMs}`,
    );
  }
  return timeoutMs;
}
