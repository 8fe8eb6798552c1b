/**
 * The client without codecs and promises: takes operations, gives them room and numbers, and settles each exactly once.
 * The world comes in through `ClientDependencies`, so that the simulator runs the same code on its network and clock.
 *
 * An operation's books: `#queue` while it waits for room; then the window of its kind (`#writes`, `#reads`), which holds
 * its number, and the dispatcher's lists or a batch. `#settle` takes it out of all of them before its owner hears of it.
 */
import { assert, incarnation, nodeId, noStore, systemPrefix } from "@flotilla/base";
import type { Environment, Key, StoreId } from "@flotilla/base";
import { protocolMax, protocolMin } from "@flotilla/transport";
import type { Codec, Dialer, Hello, RouteResponse } from "@flotilla/transport";
import { Alarm } from "./alarm.ts";
import { noEvents } from "./client-events.ts";
import type { ClientEventSink } from "./client-events.ts";
import { resolveSettings } from "./client-settings.ts";
import type { ClientSettings, ConnectionOptions } from "./client-settings.ts";
import { Dispatcher } from "./dispatcher.ts";
import { FlotillaError } from "./flotilla-error.ts";
import { noBytes } from "./operation.ts";
import type { Operation } from "./operation.ts";
import { OperationQueue } from "./operation-queue.ts";
import { OperationWindow } from "./operation-window.ts";
import { conditionError, describeOperation, endedError, refusedError } from "./outcome-error.ts";
import type { FailureContext } from "./outcome-error.ts";
import { RouteCache } from "./route-cache.ts";
import type { CachedRange } from "./route-cache.ts";
import { RouteFetcher } from "./route-fetcher.ts";
import type { StoreLink } from "./store-link.ts";
import { StoreLinks } from "./store-links.ts";
import { VersionClock } from "./version-clock.ts";
import { Waiters } from "./waiters.ts";

export interface ClientDependencies {
  readonly environment: Environment;
  readonly dialer: Dialer;
  readonly codec: Codec;
  readonly events?: ClientEventSink | undefined;
  /** Called with true when the first call is under way, with false when none is left: the real one keeps the process alive. */
  readonly onBusy?: ((busy: boolean) => void) | undefined;
}

/** Numbers that one stuck operation can hold back: at 50 000 writes a second about the default timeout. */
const writeSpanMax = 2 ** 19;
const readSpanMax = 2 ** 21;

/** Counted for every operation besides its key and value. */
const operationOverheadBytes = 64;
/** While anything is under way the client looks at its streams this often. */
const tickMs = 100;

export class ClientCore {
  readonly settings: ClientSettings;
  readonly environment: Environment;
  /** Random, 53 bits: whose numbers these are. */
  readonly clientId: number;
  readonly links: StoreLinks;
  readonly routes: RouteCache;
  readonly fetcher: RouteFetcher;
  readonly dispatcher: Dispatcher;
  readonly waiters: Waiters = new Waiters();
  readonly versions: VersionClock = new VersionClock();
  /** Resolves when `close` is done. */
  readonly closed: Promise<void>;

  readonly #events: ClientEventSink;
  readonly #onBusy: ((busy: boolean) => void) | undefined;
  readonly #alarm: Alarm;
  readonly #writes = new OperationWindow(writeSpanMax);
  readonly #reads = new OperationWindow(readSpanMax);
  readonly #queue = new OperationQueue();
  readonly #posted: StoreLink[] = [];
  #inFlight = 0;
  #inFlightBytes = 0;
  /** Scans, lookups and admin calls under way. */
  #callers = 0;
  #busy = false;
  #nextDeadlineMs = Infinity;
  #flushScheduled = false;
  #isClosed = false;
  #resolveClosed: () => void = () => {};

  constructor(options: ConnectionOptions, dependencies: ClientDependencies) {
    const { environment, dialer, codec } = dependencies;
    this.settings = resolveSettings(options);
    this.environment = environment;
    this.#events = dependencies.events ?? noEvents;
    this.#onBusy = dependencies.onBusy;
    const { random, clock, scheduler } = environment;
    this.clientId = Math.max(1, (random.uint32() >>> 11) * 4294967296 + random.uint32());
    this.#alarm = new Alarm(clock, scheduler, () => this.#tick());
    const { settings } = this;
    this.links = new StoreLinks(
      { settings, environment, dialer, codec, owner: this.#linkOwner() },
      random.uint32() % settings.endpoints.length,
    );
    this.routes = new RouteCache(settings.routesMax, settings.readBatchKeysMax);
    this.fetcher = new RouteFetcher(settings, environment, this.links, {
      learn: (response, wanted) => this.#learnRoutes(response, wanted),
      metaRange: () => this.routes.find(systemPrefix),
      wakeAt: (atMs) => this.wakeAt(atMs),
      changed: () => this.#changed(),
    });
    this.dispatcher = new Dispatcher({
      settings,
      environment,
      clientId: this.clientId,
      links: this.links,
      routes: this.routes,
      fetcher: this.fetcher,
      writes: this.#writes,
      versions: this.versions,
      sink: {
        answered: (operation) => this.#settle(operation),
        conditionFailed: (operation, range) =>
          this.#fail(operation, conditionError(operation, this.#contextOf(operation, range))),
        refused: (operation, result, range) =>
          this.#fail(
            operation,
            refusedError(operation, result.code ?? "Internal", result.message, this.#contextOf(operation, range)),
          ),
        wakeAt: (atMs) => this.wakeAt(atMs),
        scheduleFlush: () => this.scheduleFlush(),
        retried: (operation, reason) => this.#retried(operation, reason),
      },
    });
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether an operation would be sent in this turn instead of waiting for room: what bulk work asks before it submits. */
  get hasRoom(): boolean {
    return (
      this.#queue.size === 0 &&
      this.#inFlight < this.settings.inFlightMax &&
      this.#inFlightBytes < this.settings.inFlightBytesMax
    );
  }

  /** Whether the queue is at most half full. */
  get hasQueueRoom(): boolean {
    return this.#queue.size * 2 <= this.settings.queuedMax && this.#queue.bytes * 2 <= this.settings.queuedBytesMax;
  }

  /** Operations under way and waiting; for tests and metrics. */
  get load(): { readonly inFlight: number; readonly inFlightBytes: number; readonly queued: number } {
    return { inFlight: this.#inFlight, inFlightBytes: this.#inFlightBytes, queued: this.#queue.size };
  }

  nowMs(): number {
    return this.environment.clock.monotonicMs();
  }

  /**
   * Takes an operation whose lane, key, value and condition are filled in; limits were checked by the caller. Its owner is
   * told exactly once, possibly before this call returns (client closed, queue full). Commands of one turn for one range
   * go out in the order they were submitted.
   */
  submit(operation: Operation): void {
    assert(operation.state === "idle", `an operation was submitted while it is ${operation.state}`);
    if (operation.lane !== "write") operation.value = noBytes;
    const timeoutMs = operation.timeoutMs === 0 ? this.settings.timeoutMs : operation.timeoutMs;
    operation.begin(operationOverheadBytes + operation.key.length + operation.value.length, this.nowMs() + timeoutMs);
    if (this.#isClosed) {
      this.#refuse(
        operation,
        new FlotillaError("Closed", `${describeOperation(operation)}: the client is closed`, {
          outcome: outcomeBefore(operation),
        }),
      );
      return;
    }
    if (this.#queue.size === 0 && this.#fits(operation)) this.#admit(operation);
    else if (
      this.#queue.size >= this.settings.queuedMax ||
      this.#queue.bytes + operation.bytes > this.settings.queuedBytesMax
    ) {
      this.#refuse(operation, this.#queueFull(operation));
      return;
    } else {
      operation.state = "queued";
      this.#queue.push(operation);
    }
    if (operation.deadlineMs < this.#nextDeadlineMs) {
      this.#nextDeadlineMs = operation.deadlineMs;
      this.#alarm.at(operation.deadlineMs);
    }
    this.#checkBusy();
  }

  #queueFull(operation: Operation): FlotillaError {
    const { queuedMax, queuedBytesMax, inFlightMax } = this.settings;
    return new FlotillaError(
      "Busy",
      `${describeOperation(operation)}: ${this.#queue.size} operations (${this.#queue.bytes} bytes) wait already`,
      {
        outcome: outcomeBefore(operation),
        hint: "await earlier calls before starting more, or use putMany, which waits for room",
        details: { queuedMax, queuedBytesMax, inFlightMax },
      },
    );
  }

  #refuse(operation: Operation, error: FlotillaError): void {
    operation.error = error;
    this.#publishError(operation, error);
    operation.owner.settled(operation);
  }

  #fits(operation: Operation): boolean {
    const { inFlightMax, inFlightBytesMax } = this.settings;
    if (this.#inFlight === 0) return true;
    const window = operation.lane === "write" ? this.#writes : this.#reads;
    return this.#inFlight < inFlightMax && this.#inFlightBytes + operation.bytes <= inFlightBytesMax && !window.full;
  }

  #admit(operation: Operation): void {
    const window = operation.lane === "write" ? this.#writes : this.#reads;
    window.add(operation);
    this.#inFlight++;
    this.#inFlightBytes += operation.bytes;
    operation.state = "pending";
    this.dispatcher.add(operation);
    this.scheduleFlush();
  }

  #admitQueued(): void {
    for (;;) {
      const operation = this.#queue.peek();
      if (operation === undefined || !this.#fits(operation)) return;
      this.#queue.shift();
      this.#admit(operation);
    }
  }

  /** Out of all books, then to the owner. The operation carries its result or error. */
  #settle(operation: Operation): void {
    const { state } = operation;
    operation.batch?.release(operation);
    operation.state = "idle";
    if (state === "queued") this.#queue.discardSettled();
    else {
      if (state === "pending") this.dispatcher.discardSettled();
      this.#leave(operation);
    }
    operation.owner.settled(operation);
  }

  #leave(operation: Operation): void {
    (operation.lane === "write" ? this.#writes : this.#reads).remove(operation);
    this.#inFlight--;
    this.#inFlightBytes -= operation.bytes;
    if (this.#queue.size > 0) this.#admitQueued();
  }

  #fail(operation: Operation, error: FlotillaError): void {
    operation.error = error;
    this.#publishError(operation, error);
    this.#settle(operation);
  }

  /** Ends an operation at its user's wish. No effect once it is settled. */
  cancel(operation: Operation, cause: unknown): void {
    if (operation.state === "idle") return;
    this.#fail(
      operation,
      endedError(operation, "Cancelled", "the call was cancelled", this.#contextOf(operation), cause),
    );
  }

  #contextOf(
    operation: Operation,
    range: CachedRange | undefined = this.dispatcher.rangeOf(operation),
  ): FailureContext {
    const unreachable = this.links.unreachable(this.nowMs(), false);
    return { clientId: this.clientId, range, missingStores: this.missingStores(range), unreachable };
  }

  /** Stores of the range's replicas that cannot be reached, or say nothing. */
  missingStores(range: CachedRange | undefined): StoreId[] {
    const nowMs = this.nowMs();
    const missing: StoreId[] = [];
    for (const { storeId } of range?.descriptor.replicas ?? []) {
      if (this.links.forStore(storeId)?.answers(nowMs) !== true) missing.push(storeId);
    }
    return missing.sort((a, b) => a - b);
  }

  /** At most once a turn; everything that became ready by then goes out together. */
  scheduleFlush(): void {
    if (this.#flushScheduled || this.#isClosed) return;
    this.#flushScheduled = true;
    this.environment.scheduler.endOfTurn(() => {
      this.#flushScheduled = false;
      if (!this.#isClosed) this.#flush();
    });
  }

  #flush(): void {
    this.dispatcher.flush(this.nowMs());
    const posted = this.#posted;
    for (let i = 0; i < posted.length; i++) posted[i]!.flush();
    posted.length = 0;
    if (this.dispatcher.waiting) this.#alarm.at(this.nowMs() + tickMs);
  }

  #tick(): void {
    if (this.#isClosed) return;
    const nowMs = this.nowMs();
    if (nowMs >= this.#nextDeadlineMs) this.#expire(nowMs);
    this.links.tick(nowMs);
    for (const link of this.links.all) if (link.outstanding.size > 0) this.dispatcher.checkStalls(link, nowMs);
    this.fetcher.tick(nowMs);
    this.#failUnreachable(nowMs);
    this.waiters.tick(nowMs);
    this.#flush();
    this.#checkBusy();
    if (this.#busy) this.#alarm.at(Math.min(nowMs + tickMs, this.#nextDeadlineMs));
  }

  #expire(nowMs: number): void {
    let next = Infinity;
    const expired: Operation[] = [];
    const look = (operation: Operation): void => {
      if (operation.deadlineMs <= nowMs) expired.push(operation);
      else if (operation.deadlineMs < next) next = operation.deadlineMs;
    };
    this.#writes.forEach(look);
    this.#reads.forEach(look);
    this.#queue.forEach(look);
    this.#nextDeadlineMs = next;
    this.#endAll(expired, (operation) => {
      const waited = operation.timeoutMs === 0 ? this.settings.timeoutMs : operation.timeoutMs;
      return endedError(operation, "Timeout", `no answer within ${waited} ms`, this.#contextOf(operation));
    });
  }

  #failUnreachable(nowMs: number): void {
    const error = this.links.unreachable(nowMs, true);
    if (error === undefined) return;
    const all: Operation[] = [];
    const collect = (operation: Operation): void => void all.push(operation);
    this.#writes.forEach(collect);
    this.#reads.forEach(collect);
    this.#queue.forEach(collect);
    this.#endAll(
      all,
      (operation) =>
        new FlotillaError(error.code, `${describeOperation(operation)}: ${error.message}`, {
          outcome: outcomeBefore(operation),
          hint: error.hint,
          details: error.details,
        }),
    );
    // Scans and lookups see the same error when they look again; later calls get the same time to connect once more.
    this.waiters.wake();
    if (this.#callers === 0) this.links.forgetFirstDial();
  }

  /** Many at once: books first, owners afterwards, because an owner may submit again. */
  #endAll(operations: readonly Operation[], errorOf: (operation: Operation) => FlotillaError): void {
    let queued = false;
    let pending = false;
    for (const operation of operations) {
      operation.error = errorOf(operation);
      queued ||= operation.state === "queued";
      pending ||= operation.state === "pending";
      const admitted = operation.state !== "queued";
      operation.batch?.release(operation);
      operation.state = "idle";
      if (admitted) {
        (operation.lane === "write" ? this.#writes : this.#reads).remove(operation);
        this.#inFlight--;
        this.#inFlightBytes -= operation.bytes;
      }
    }
    if (queued) this.#queue.discardSettled();
    if (pending) this.dispatcher.discardSettled();
    this.#admitQueued();
    for (const operation of operations) {
      this.#publishError(operation, operation.error!);
      operation.owner.settled(operation);
    }
  }

  /** Scans, lookups and admin calls count as work between these two calls. */
  enter(): void {
    this.#callers++;
    this.#checkBusy();
  }

  leave(): void {
    this.#callers--;
    this.#checkBusy();
  }

  #checkBusy(): void {
    const busy = this.#inFlight + this.#queue.size + this.#callers > 0 && !this.#isClosed;
    if (busy === this.#busy) return;
    this.#busy = busy;
    if (busy) this.#alarm.at(this.nowMs() + tickMs);
    else {
      this.fetcher.forget();
      this.links.forgetFirstDial();
    }
    this.#onBusy?.(busy);
  }

  /** The client looks after everything under way at that time at the latest. */
  wakeAt(atMs: number): void {
    this.#alarm.at(atMs);
  }

  #changed(): void {
    this.waiters.wake();
    this.scheduleFlush();
  }

  #learnRoutes(response: RouteResponse, wanted: Key): boolean {
    this.links.learn(response.stores);
    this.dispatcher.learn(response.ranges, false);
    // Not what is known anyway: a store without the map says where that is, and no more.
    return response.ranges.some(({ descriptor: { start, end } }) => start <= wanted && wanted < end);
  }

  #linkOwner(): ConstructorParameters<typeof StoreLinks>[0]["owner"] {
    return {
      hello: () => this.#hello(),
      admits: (_link, hello) => this.links.admits(hello),
      opened: (link) => {
        this.links.opened(link);
        this.#publishConnection(link, "open", "");
        this.fetcher.tick(this.nowMs());
        this.#changed();
      },
      closed: (link, wasOpen) => {
        this.links.closed(link);
        this.dispatcher.linkClosed(link);
        this.#publishConnection(link, wasOpen ? "closed" : "failed", link.lastFailure?.message ?? "");
        if (!this.#busy) return;
        this.fetcher.tick(this.nowMs());
        this.#changed();
      },
      commandResults: (link, message) => this.dispatcher.commandResults(link, message),
      readResults: (link, message) => this.dispatcher.readResults(link, message),
      batchRefused: (link, message) => this.dispatcher.batchRefused(link, message),
      goingAway: () => this.#changed(),
      posted: (link) => {
        this.#posted.push(link);
        this.scheduleFlush();
      },
      received: () => this.#checkBusy(),
    };
  }

  #hello(): Hello {
    return {
      protocolMin,
      protocolMax,
      clusterId: this.links.clusterId,
      nodeId: nodeId(0),
      storeId: noStore,
      storeKey: "",
      incarnation: incarnation(0),
      wallMs: Math.max(0, Math.floor(this.environment.clock.wallMs())),
      leaseMs: 0,
      purpose: "client",
      address: "",
    };
  }

  #retried(operation: Operation, reason: string): void {
    if (!this.#events.enabled("retry")) return;
    this.#events.publish({
      type: "retry",
      operation: describeOperation(operation),
      attempts: operation.attempts,
      reason,
    });
  }

  #publishError(operation: Operation, error: FlotillaError): void {
    if (!this.#events.enabled("error")) return;
    this.#events.publish({ type: "error", operation: describeOperation(operation), error });
  }

  #publishConnection(link: StoreLink, state: "open" | "closed" | "failed", reason: string): void {
    if (!this.#events.enabled("connection")) return;
    this.#events.publish({ type: "connection", state, address: link.address, storeId: link.storeId, reason });
  }

  /** Settles everything at once: what may have been applied as unknown, all else as `Closed`. Idempotent. */
  close(): Promise<void> {
    if (this.#isClosed) return this.closed;
    this.#isClosed = true;
    const all: Operation[] = [];
    const collect = (operation: Operation): void => void all.push(operation);
    this.#writes.forEach(collect);
    this.#reads.forEach(collect);
    this.#queue.forEach(collect);
    this.#endAll(all, (operation) =>
      endedError(operation, "Closed", "the client was closed", this.#contextOf(operation)),
    );
    this.#alarm.cancel();
    this.fetcher.forget();
    for (const link of this.links.all) link.shutDown();
    this.waiters.wake();
    this.#checkBusy();
    this.#resolveClosed();
    return this.closed;
  }
}

function outcomeBefore(operation: Operation): "not-applied" | undefined {
  return operation.lane === "write" ? "not-applied" : undefined;
}
