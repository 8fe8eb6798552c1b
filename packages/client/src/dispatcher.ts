/**
 * From operations that have room to messages on streams, and from answers back to operations. All that became ready in a
 * turn is grouped by range and goes out as one payload a store; what is refused or lost is routed again, with the same
 * number, until it is answered or its deadline passes.
 */
import { noStore } from "@flotilla/base";
import type { Environment } from "@flotilla/base";
import type { CommandResult, CommandResults, RangeRefused, ReadResults, RouteEntry } from "@flotilla/transport";
import { backoffMs } from "./backoff.ts";
import { BatchSender } from "./batch-sender.ts";
import type { ClientSettings } from "./client-settings.ts";
import { isTransient } from "./flotilla-error.ts";
import type { Operation } from "./operation.ts";
import type { OperationWindow } from "./operation-window.ts";
import type { CachedRange, RouteCache } from "./route-cache.ts";
import type { RouteFetcher } from "./route-fetcher.ts";
import type { SentBatch } from "./sent-batch.ts";
import { probeAfterMs } from "./store-link.ts";
import type { StoreLink } from "./store-link.ts";
import type { StoreLinks } from "./store-links.ts";
import type { VersionClock } from "./version-clock.ts";

/** What ends an operation; the core behind it takes it out of all books and tells its owner. */
export interface OperationSink {
  answered(operation: Operation): void;
  conditionFailed(operation: Operation, range: CachedRange): void;
  refused(
    operation: Operation,
    result: { readonly code: CommandResult["code"]; readonly message: string },
    range: CachedRange,
  ): void;
  wakeAt(atMs: number): void;
  scheduleFlush(): void;
  retried(operation: Operation, reason: string): void;
}

export interface DispatcherParts {
  readonly settings: ClientSettings;
  readonly environment: Environment;
  readonly clientId: number;
  readonly links: StoreLinks;
  readonly routes: RouteCache;
  readonly fetcher: RouteFetcher;
  readonly writes: OperationWindow;
  readonly versions: VersionClock;
  readonly sink: OperationSink;
}

export class Dispatcher {
  readonly #parts: DispatcherParts;
  readonly #sender: BatchSender;
  /** To be routed in the next flush; what was sent before comes first. */
  #retries: Operation[] = [];
  #ready: Operation[] = [];
  /** No route is known for their keys. */
  #unrouted: Operation[] = [];
  /** Ranges with operations that wait to be sent. */
  readonly #waitingRanges = new Set<CachedRange>();

  constructor(parts: DispatcherParts) {
    this.#parts = parts;
    this.#sender = new BatchSender(parts);
  }

  /** The operation has room and a number. */
  add(operation: Operation): void {
    this.#ready.push(operation);
  }

  get waiting(): boolean {
    return this.#ready.length + this.#retries.length + this.#unrouted.length > 0 || this.#waitingRanges.size > 0;
  }

  /** The range an operation belongs to by now, for messages. */
  rangeOf(operation: Operation): CachedRange | undefined {
    return operation.batch?.range ?? this.#parts.routes.find(operation.key);
  }

  /** Takes operations out that were settled without an answer: whoever is no longer `pending`. Rare, so it looks everywhere. */
  discardSettled(): void {
    const isPending = (operation: Operation): boolean => operation.state === "pending";
    this.#retries = this.#retries.filter(isPending);
    this.#ready = this.#ready.filter(isPending);
    this.#unrouted = this.#unrouted.filter(isPending);
    for (const range of this.#waitingRanges) {
      range.writes = range.writes.filter(isPending);
      range.reads = range.reads.filter(isPending);
      range.staleReads = range.staleReads.filter(isPending);
      if (range.idle) this.#waitingRanges.delete(range);
    }
  }

  flush(nowMs: number): void {
    if (this.#unrouted.length > 0) {
      const again = this.#unrouted;
      this.#unrouted = [];
      this.#routeAll(again);
    }
    if (this.#retries.length > 0) {
      const retries = this.#retries;
      this.#retries = [];
      this.#routeAll(retries);
    }
    if (this.#ready.length > 0) {
      const ready = this.#ready;
      this.#ready = [];
      this.#routeAll(ready);
    }
    for (const range of this.#waitingRanges) this.#sendRange(range, nowMs);
    if (this.#unrouted.length > 0) this.#parts.fetcher.want(this.#unrouted[0]!.key, nowMs);
  }

  #routeAll(operations: Operation[]): void {
    const { routes } = this.#parts;
    let range: CachedRange | undefined;
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]!;
      const { key } = operation;
      if (range === undefined || key < range.start || key >= range.end) {
        range = routes.find(key);
        if (range === undefined) {
          this.#unrouted.push(operation);
          continue;
        }
        this.#waitingRanges.add(range);
      }
      if (operation.lane === "write") range.writes.push(operation);
      else if (operation.lane === "read") range.reads.push(operation);
      else range.staleReads.push(operation);
    }
  }

  #sendRange(range: CachedRange, nowMs: number): void {
    const { links, sink } = this.#parts;
    if (range.resumeAtMs > nowMs) {
      sink.wakeAt(range.resumeAtMs);
      return;
    }
    if (range.writes.length > 0 || range.reads.length > 0) {
      const link = links.leaderOf(range, nowMs);
      if (link === undefined) this.refresh(range, nowMs);
      else {
        if (range.writes.length > 0) range.writes = this.#sender.sendWrites(range, link, nowMs);
        if (range.reads.length > 0) range.reads = this.#sender.sendReads(range, link, range.reads, nowMs);
      }
    }
    if (range.staleReads.length > 0) {
      const link = links.anyOf(range, nowMs);
      if (link === undefined) this.refresh(range, nowMs);
      else range.staleReads = this.#sender.sendReads(range, link, range.staleReads, nowMs);
    }
    if (range.idle) this.#waitingRanges.delete(range);
  }

  /** Asks for a fresh route of the range, at most once in a while. */
  refresh(range: CachedRange, nowMs: number): void {
    if (nowMs < range.refreshAtMs) return;
    range.refreshAtMs = nowMs + this.#parts.settings.backoffMaxMs * 2;
    this.#parts.fetcher.want(range.start, nowMs);
  }

  commandResults(link: StoreLink, message: CommandResults): void {
    const { versions, writes } = this.#parts;
    versions.see(message.seen);
    const { results } = message;
    const nowMs = this.#parts.environment.clock.monotonicMs();
    for (let i = 0; i < results.length; i++) {
      const result = results[i]!;
      const operation = writes.find(result.number);
      if (operation !== undefined && operation.attempts > 0) this.#commandResult(link, operation, result, nowMs);
    }
    this.#freed(link);
  }

  #commandResult(link: StoreLink, operation: Operation, result: CommandResult, nowMs: number): void {
    const { versions, sink } = this.#parts;
    const { batch } = operation;
    switch (result.status) {
      case "applied":
      case "condition-failed": {
        // Final whichever attempt it answers, also one that was given up: the number is the command's alone.
        const range = batch?.range ?? this.#parts.routes.find(operation.key);
        if (batch !== undefined) {
          batch.range.leader = link.storeId;
          batch.range.refusals = 0;
          batch.range.writeAnsweredMs = nowMs;
        }
        versions.see(result.version);
        operation.version = result.version;
        operation.existed = result.existed;
        if (result.status === "applied" || range === undefined) sink.answered(operation);
        else sink.conditionFailed(operation, range);
        break;
      }
      case "refused":
      case "unknown": {
        // Of an attempt that was given up, this tells nothing about the one that is under way elsewhere.
        if (batch === undefined || batch.link !== link) return;
        if (result.status === "unknown") operation.fateUnknown = true;
        const code = result.code ?? "Internal";
        operation.lastCode = code;
        operation.lastMessage = result.message;
        batch.release(operation);
        if (result.status === "unknown" || isTransient(code)) {
          this.#pause(batch.range, 0);
          this.#retry(operation, code);
        } else sink.refused(operation, { code, message: result.message }, batch.range);
        break;
      }
      default:
        result.status satisfies never;
    }
  }

  readResults(link: StoreLink, message: ReadResults): void {
    const { versions, sink } = this.#parts;
    versions.see(message.seen);
    const batch = link.outstanding.get(message.batchId);
    if (batch === undefined || batch.lane === "write") return;
    const { operations, numbers } = batch;
    if (message.results.length !== operations.length) {
      link.drop(`${link.address} answered ${message.results.length} of ${operations.length} reads`);
      return;
    }
    if (batch.lane === "read") batch.range.leader = link.storeId;
    batch.range.refusals = 0;
    let bytes = 0;
    for (let i = 0; i < operations.length; i++) {
      bytes += message.results[i]!.value.length;
      const operation = operations[i]!;
      if (operation.batch !== batch || operation.number !== numbers[i]) continue;
      const result = message.results[i]!;
      operation.version = result.version;
      operation.value = result.value;
      sink.answered(operation);
    }
    // Up at once, down step by step: a batch must not bring far more than was reckoned with.
    batch.range.readBytes = Math.ceil(Math.max(1, bytes / operations.length, batch.range.readBytes / 4));
    this.#freed(link);
  }

  #freed(link: StoreLink): void {
    if (!link.blocked) return;
    link.blocked = false;
    this.#parts.sink.scheduleFlush();
  }

  batchRefused(link: StoreLink, message: RangeRefused): void {
    const batch = link.outstanding.get(message.id);
    if (batch === undefined) {
      this.learn(message.ranges, true);
      return;
    }
    const { range } = batch;
    const code = message.code ?? "Internal";
    const waiting: Operation[] = [];
    batch.forEachWaiting((operation) => waiting.push(operation));
    for (const operation of waiting) {
      batch.release(operation);
      operation.lastCode = message.reason === "error" ? code : "NoQuorum";
      operation.lastMessage = message.message;
    }
    if (message.reason === "error") this.#refusedWithCode(batch, waiting, message);
    else {
      this.routingRefusal(range, link, message);
      for (const operation of waiting) this.#retry(operation, message.reason);
    }
    this.#freed(link);
  }

  #refusedWithCode(batch: SentBatch, waiting: readonly Operation[], message: RangeRefused): void {
    const { range } = batch;
    const code = message.code ?? "Internal";
    this.learn(message.ranges, true);
    if (code === "BatchTooLarge" && batch.lane !== "write" && batch.operations.length > 1) {
      range.readKeysMax = Math.max(1, Math.min(range.readKeysMax, batch.operations.length) >> 1);
      for (const operation of waiting) this.#retry(operation, code);
      return;
    }
    if (batch.operations.length > 1 && concernsOneCommand(code)) {
      for (const operation of waiting) {
        operation.alone = true;
        this.#retry(operation, code);
      }
      return;
    }
    if (isTransient(code)) {
      this.#pause(range, message.retryAfterMs);
      for (const operation of waiting) this.#retry(operation, code);
      return;
    }
    for (const operation of waiting) this.#parts.sink.refused(operation, { code, message: message.message }, range);
  }

  /** A store does not lead the range, or knows other bounds: take its word, and decide who is asked next and when. */
  routingRefusal(range: CachedRange, link: StoreLink, message: RangeRefused): void {
    const { environment } = this.#parts;
    const nowMs = environment.clock.monotonicMs();
    if (range.leader === link.storeId) range.leader = noStore;
    this.learn(message.ranges, true);
    if (range.leader === link.storeId) range.leader = noStore;
    range.refusals++;
    if (!range.current) return;
    const replicas = range.descriptor.replicas.length;
    if (range.leader === noStore) range.cursor++;
    // A hint, or the next replica in turn, is followed at once; after a round without success there is no hurry.
    if (range.refusals > replicas || message.reason === "epoch-mismatch") {
      // Those that are asked for routes may be cut off from the cluster: one more is.
      if (range.refusals > 2 * replicas) this.#parts.links.connectAny(nowMs);
      this.#pause(range, message.retryAfterMs, range.refusals - replicas);
      this.refresh(range, nowMs);
    } else if (message.retryAfterMs > 0) this.#pause(range, message.retryAfterMs);
  }

  /** Nothing goes to the range for a while. Many refusals of one moment count once. */
  #pause(range: CachedRange, leastMs: number, tries: number = range.refusals): void {
    const { environment, settings } = this.#parts;
    const nowMs = environment.clock.monotonicMs();
    if (range.resumeAtMs > nowMs) return;
    range.refusals++;
    const wait = backoffMs(environment.random, Math.max(0, tries), settings.backoffMinMs, settings.backoffMaxMs);
    range.resumeAtMs = nowMs + Math.max(Math.min(leastMs, settings.attemptMs), wait);
  }

  #retry(operation: Operation, reason: string): void {
    operation.state = "pending";
    this.#retries.push(operation);
    this.#parts.sink.retried(operation, reason);
    this.#parts.sink.scheduleFlush();
  }

  /** Believes what is newer; operations of ranges that are gone are routed again. */
  learn(entries: readonly RouteEntry[], leaderIsFresh: boolean): void {
    const { routes, sink } = this.#parts;
    for (const entry of entries) {
      for (const gone of routes.apply(entry, leaderIsFresh)) {
        if (!this.#waitingRanges.delete(gone)) continue;
        for (const lane of [gone.writes, gone.reads, gone.staleReads])
          for (const operation of lane) this.#retries.push(operation);
        gone.writes = [];
        gone.reads = [];
        gone.staleReads = [];
        sink.scheduleFlush();
      }
    }
  }

  /** The stream is gone: reads are asked elsewhere, and writes too, with their numbers, for they may have arrived. */
  linkClosed(link: StoreLink): void {
    for (const batch of [...link.outstanding.values()]) {
      // It may have broken because an answer was too large for it.
      if (batch.lane !== "write")
        batch.range.readBytes = Math.max(batch.range.readBytes, this.#parts.settings.readBatchBytesTarget / 2);
      this.#giveUp(batch, "the stream was closed", 0);
    }
  }

  /** Batches without an answer in their time are tried elsewhere. */
  checkStalls(link: StoreLink, nowMs: number): void {
    for (const batch of [...link.outstanding.values()]) {
      // The store may be gone, or wait for others that are: whoever waits can be told at the end which.
      if (nowMs - batch.sentMs >= probeAfterMs) this.#parts.links.probe(batch.range, nowMs);
      const sinceMs = owedSinceMs(batch);
      if (nowMs - sinceMs < batch.stallMs) {
        this.#parts.sink.wakeAt(sinceMs + batch.stallMs);
        // Batches stand in the order they were sent; only repeated ones may wait longer than those behind them.
        if (nowMs - batch.sentMs < this.#parts.settings.attemptMs) return;
        continue;
      }
      link.suspect(batch.sentMs, nowMs);
      this.#giveUp(batch, `no answer for ${batch.stallMs} ms`, 1);
    }
  }

  /** The store did not answer for the range: another replica is asked first. */
  avoid(range: CachedRange, link: StoreLink): void {
    if (range.leader === link.storeId) range.leader = noStore;
    if (range.leader !== noStore) return;
    range.cursor = 1 + range.descriptor.replicas.findIndex((replica) => replica.storeId === link.storeId);
  }

  #giveUp(batch: SentBatch, reason: string, stalled: 0 | 1): void {
    const { range, link } = batch;
    this.avoid(range, link);
    const waiting: Operation[] = [];
    batch.forEachWaiting((operation) => waiting.push(operation));
    for (const operation of waiting) {
      batch.release(operation);
      if (operation.lane === "write") operation.fateUnknown = true;
      operation.stalls += stalled;
      operation.lastCode = undefined;
      operation.lastMessage = `store ${link.storeId}: ${reason}`;
      this.#retry(operation, reason);
    }
    link.outstanding.delete(batch.id);
  }
}

/**
 * Since when there is no sign that the batch will be answered. One that is on its way, or in its range's queue while that is
 * answered from, is only slow: asked again, everything would have to be carried once more by a cluster that is behind
 * already, and the store that is asked instead does not lead.
 */
function owedSinceMs(batch: SentBatch): number {
  const { lane, link, range } = batch;
  const sinceMs = link.owesSinceMs(batch);
  const answers = lane === "write" && range.leader === link.storeId;
  return answers ? Math.max(sinceMs, range.writeAnsweredMs) : sinceMs;
}

/** A store looks at limits before anything else and refuses the whole batch: the others in it have done nothing wrong. */
function concernsOneCommand(code: string): boolean {
  return (
    code === "ValueTooLarge" ||
    code === "KeyTooLarge" ||
    code === "EmptyKey" ||
    code === "BatchTooLarge" ||
    code === "InvalidArgument"
  );
}
