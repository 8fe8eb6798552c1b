/**
 * A scan over many ranges, in order, every record exactly once, whatever is split, merged or moved meanwhile. The position
 * is a key: what lies behind it has been handed out, so that a cursor that is lost or refused is simply opened again from
 * there. Each range is read at one instant; the whole scan is not.
 */
import { keyAfter, printableKey } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import type { Consistency, ScanPage, ScanRecord } from "@flotilla/transport";
import { backoffMs } from "./backoff.ts";
import { Call } from "./call.ts";
import type { CallOptions } from "./call.ts";
import type { ClientCore } from "./client-core.ts";
import { FlotillaError, isTransient } from "./flotilla-error.ts";
import { ScanCursor } from "./scan-cursor.ts";
import { probeAfterMs } from "./store-link.ts";

/** How much longer than other calls a count may take for each range. */
const countPatience = 6;

export interface ScanPlan extends CallOptions {
  /** Logical keys; start inclusive, end exclusive. */
  readonly start: Key;
  readonly end: Key;
  readonly reverse: boolean;
  /** 0 = no limit. */
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly consistency: Consistency;
}

export class Scanner {
  readonly #core: ClientCore;
  readonly #plan: ScanPlan;
  readonly #call: Call;
  /** What is left: `[#start, #end)`. Forward scans raise the start, reverse ones lower the end. */
  #start: Key;
  #end: Key;
  /** Records still wanted; Infinity = all. */
  #remaining: number;
  #current: ScanCursor | undefined;
  /** Opened ahead, once everything of the current range has arrived. */
  #next: ScanCursor | undefined;
  #misses = 0;
  #count = 0;
  #lastProblem = "";

  constructor(core: ClientCore, plan: ScanPlan) {
    this.#core = core;
    this.#plan = plan;
    this.#start = plan.start;
    this.#end = plan.end;
    this.#remaining = plan.limit === 0 ? Infinity : plan.limit;
    // A store counts a whole range before it says anything.
    const timeoutMs = plan.timeoutMs ?? (plan.countOnly ? core.settings.timeoutMs * countPatience : undefined);
    this.#call = new Call(core, plan.countOnly ? "count" : "scan", { signal: plan.signal, timeoutMs });
  }

  /** A cursor of this scan has news. */
  readonly #arrived = (): void => {
    if (this.#current?.complete === true) this.#readAhead(this.#current);
    this.#call.wake();
  };

  /** Records of the ranges that are through; with `countOnly`. */
  get count(): number {
    return this.#count;
  }

  /** The next records, at least one; undefined at the end. One call at a time. */
  async nextPage(): Promise<readonly ScanRecord[] | undefined> {
    this.#call.enter();
    try {
      this.#call.throwIfCancelled();
      for (;;) {
        const cursor = this.#current ?? (await this.#open());
        if (cursor === undefined) return undefined;
        this.#current = cursor;
        const page = cursor.pages.shift();
        if (page !== undefined) {
          const records = this.#take(cursor, page);
          if (records.length > 0) return records;
        } else if (cursor.failed) await this.#recover(cursor);
        else await this.#awaitPage(cursor);
      }
    } catch (error) {
      this.close();
      throw error;
    } finally {
      this.#call.leave();
    }
  }

  /** Frees the servers' cursors. */
  close(): void {
    this.#current?.cancel();
    this.#next?.cancel();
    this.#current = undefined;
    this.#next = undefined;
    this.#remaining = 0;
  }

  /** Undefined: the interval is done. */
  async #open(): Promise<ScanCursor | undefined> {
    for (;;) {
      if (this.#remaining <= 0 || !(this.#start < this.#end)) return undefined;
      this.#call.check(
        this.#lastProblem === "" ? "no stream to a replica of the range" : this.#lastProblem,
        this.#plan.reverse ? this.#core.routes.findBefore(this.#end) : this.#core.routes.find(this.#start),
      );
      const ahead = this.#next;
      this.#next = undefined;
      if (ahead !== undefined) {
        if (this.#plan.reverse ? ahead.request.end === this.#end : ahead.request.start === this.#start) return ahead;
        ahead.cancel();
      }
      const cursor = this.#tryOpen(this.#start, this.#end, true);
      if (cursor !== undefined) return cursor;
      await this.#call.change(this.#core.nowMs() + this.#core.settings.dialStaggerMs);
    }
  }

  /** Opens a cursor on the first (in reverse the last) range of an interval if its route and a stream are at hand. */
  #tryOpen(start: Key, end: Key, eager: boolean): ScanCursor | undefined {
    const core = this.#core;
    const plan = this.#plan;
    const nowMs = core.nowMs();
    const range = plan.reverse ? core.routes.findBefore(end) : core.routes.find(start);
    if (range === undefined) {
      if (eager) core.fetcher.want(plan.reverse ? justBefore(end, start) : start, nowMs);
      return undefined;
    }
    if (range.resumeAtMs > nowMs) {
      if (eager) core.wakeAt(range.resumeAtMs);
      return undefined;
    }
    const link = plan.consistency === "stale" ? core.links.anyOf(range, nowMs) : core.links.leaderOf(range, nowMs);
    if (link === undefined) {
      if (eager) core.dispatcher.refresh(range, nowMs);
      return undefined;
    }
    const request = {
      consistency: plan.consistency,
      start: start > range.start ? start : range.start,
      end: end < range.end ? end : range.end,
      reverse: plan.reverse,
      limit: this.#remaining === Infinity || plan.countOnly ? 0 : this.#remaining,
      keysOnly: plan.keysOnly,
      countOnly: plan.countOnly,
      creditBytes: core.settings.scanCreditBytes,
    };
    return new ScanCursor(range, link, request, nowMs, this.#arrived);
  }

  #take(cursor: ScanCursor, page: ScanPage): readonly ScanRecord[] {
    const { reverse, countOnly } = this.#plan;
    let { records } = page;
    this.#check(cursor, records);
    if (records.length > this.#remaining) records = records.slice(0, this.#remaining);
    const last = records.at(-1);
    if (last !== undefined) {
      if (reverse) this.#end = last.key;
      else this.#start = keyAfter(last.key);
      this.#remaining -= records.length;
    }
    this.#misses = 0;
    cursor.range.refusals = 0;
    this.#call.progressed();
    cursor.consumed(page, this.#core.nowMs());
    if (page.last) {
      if (countOnly) this.#count += page.count;
      // The server stopped at the limit, or the whole interval of the cursor is through.
      if (this.#remaining > 0) {
        if (reverse) this.#end = cursor.request.start;
        else this.#start = cursor.request.end;
      }
      this.#current = undefined;
    }
    if (this.#remaining <= 0) this.close();
    return records;
  }

  /** Everything of this range is here: the next range may begin to send while this one is consumed. */
  #readAhead(cursor: ScanCursor): void {
    if (this.#next !== undefined || this.#plan.limit !== 0) return;
    const { start, end } = cursor.request;
    const next = this.#plan.reverse ? ([this.#plan.start, start] as const) : ([end, this.#plan.end] as const);
    if (next[0] < next[1]) this.#next = this.#tryOpen(next[0], next[1], false);
  }

  /** What a server sends is checked: inside the interval, and in order. */
  #check(cursor: ScanCursor, records: readonly ScanRecord[]): void {
    const { reverse } = this.#plan;
    const { start, end } = cursor.request;
    let low: string = reverse ? start : this.#start > start ? this.#start : start;
    let high: string = reverse && this.#end < end ? this.#end : end;
    for (const { key } of records) {
      if (key < low || key >= high) {
        throw new FlotillaError(
          "Internal",
          `store ${cursor.link.storeId} sent key "${printableKey(key.slice(1, 65))}" outside the scan's interval or order`,
        );
      }
      if (reverse) high = key;
      else low = keyAfter(key);
    }
  }

  /** Nothing has come for long: a store that is silent is left. */
  async #awaitPage(cursor: ScanCursor): Promise<void> {
    const core = this.#core;
    const { attemptMs } = core.settings;
    const patience = this.#plan.countOnly ? countPatience : 2 ** Math.min(this.#misses, 10);
    const stallMs = Math.min(core.settings.attemptMsMax, attemptMs * patience);
    this.#call.check(`waiting for store ${cursor.link.storeId}`, cursor.range);
    const nowMs = core.nowMs();
    if (nowMs - cursor.waitingSinceMs >= stallMs) {
      cursor.link.suspect(cursor.waitingSinceMs, nowMs);
      cursor.cancel();
      cursor.lost = true;
      core.dispatcher.avoid(cursor.range, cursor.link);
      return;
    }
    if (nowMs - cursor.waitingSinceMs >= probeAfterMs) core.links.probe(cursor.range, nowMs);
    await this.#call.change(Math.min(cursor.waitingSinceMs + stallMs, nowMs + probeAfterMs));
  }

  /** The cursor is gone; the scan goes on from its position, wherever that is served now. */
  async #recover(cursor: ScanCursor): Promise<void> {
    const core = this.#core;
    this.#next?.cancel();
    this.#next = undefined;
    this.#current = undefined;
    this.#misses++;
    const { refusal } = cursor;
    if (refusal === undefined) {
      this.#lastProblem = `store ${cursor.link.storeId} went silent or closed its stream`;
      return;
    }
    this.#lastProblem = `store ${cursor.link.storeId} refused: ${refusal.message === "" ? (refusal.code ?? refusal.reason) : refusal.message}`;
    if (refusal.reason !== "error") {
      core.dispatcher.routingRefusal(cursor.range, cursor.link, refusal);
      return;
    }
    const code = refusal.code ?? "Internal";
    core.dispatcher.learn(refusal.ranges, true);
    if (!isTransient(code))
      throw new FlotillaError(code, `scan: ${this.#lastProblem}`, {
        details: { rangeId: cursor.range.descriptor.rangeId },
      });
    const { backoffMinMs, backoffMaxMs, attemptMs } = core.settings;
    const wait = Math.max(
      Math.min(refusal.retryAfterMs, attemptMs),
      backoffMs(core.environment.random, this.#misses, backoffMinMs, backoffMaxMs),
    );
    const untilMs = core.nowMs() + wait;
    while (core.nowMs() < untilMs) {
      this.#call.check(this.#lastProblem, cursor.range);
      await this.#call.change(untilMs);
    }
  }
}

/** A key below `end` with, most likely, no range bound between the two; routes are asked from it on. */
function justBefore(end: Key, least: Key): Key {
  const last = end.charCodeAt(end.length - 1);
  const before = last === 0 ? end.slice(0, -1) : end.slice(0, -1) + String.fromCharCode(last - 1) + "\xff".repeat(8);
  return (before > least ? before : least) as Key;
}
