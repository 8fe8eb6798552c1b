/** One range's part of a scan: a server-side cursor on a stream, its pages that came but were not consumed, its credit. */
import type { Key } from "@flotilla/base";
import type { Consistency, RangeRefused, ScanPage, ScanRecord } from "@flotilla/transport";
import type { CachedRange } from "./route-cache.ts";
import type { ScanListener, StoreLink } from "./store-link.ts";

export interface CursorRequest {
  readonly consistency: Consistency;
  readonly start: Key;
  readonly end: Key;
  readonly reverse: boolean;
  /** 0 = no limit. */
  readonly limit: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly creditBytes: number;
}

/** Counted for every record of a page besides key and value. */
const recordOverheadBytes = 32;

export class ScanCursor implements ScanListener {
  readonly range: CachedRange;
  readonly link: StoreLink;
  readonly request: CursorRequest;
  /** Not consumed yet. */
  readonly pages: ScanPage[] = [];
  /** The server has sent its last page. */
  complete = false;
  refusal: RangeRefused | undefined = undefined;
  lost = false;
  /** When the server was last heard of, or owed credit again (monotonic). */
  waitingSinceMs: number;

  readonly #scanId: number;
  readonly #changed: () => void;
  #owedCredit = 0;

  constructor(range: CachedRange, link: StoreLink, request: CursorRequest, nowMs: number, changed: () => void) {
    this.range = range;
    this.link = link;
    this.request = request;
    this.waitingSinceMs = nowMs;
    this.#changed = changed;
    this.#scanId = link.nextId();
    link.scans.set(this.#scanId, this);
    const { rangeId, epoch } = range.descriptor;
    const bytes = 64 + request.start.length + request.end.length;
    link.post({ type: "scan", scanId: this.#scanId, rangeId, bounds: epoch.bounds, ...request }, bytes);
  }

  get failed(): boolean {
    return this.lost || this.refusal !== undefined;
  }

  page(message: ScanPage): void {
    this.pages.push(message);
    if (message.last) {
      this.complete = true;
      this.link.scans.delete(this.#scanId);
    }
    this.#changed();
  }

  refused(message: RangeRefused): void {
    this.refusal = message;
    this.link.scans.delete(this.#scanId);
    this.#changed();
  }

  linkClosed(): void {
    this.lost = true;
    this.#changed();
  }

  /** A page was consumed: the server may send as much again. Small amounts are collected. */
  consumed(page: ScanPage, nowMs: number): void {
    this.waitingSinceMs = nowMs;
    if (this.complete || this.failed) return;
    this.#owedCredit += pageBytes(page.records);
    if (this.#owedCredit * 4 < this.request.creditBytes) return;
    this.link.post({ type: "scan-credit", scanId: this.#scanId, creditBytes: this.#owedCredit }, 32);
    this.#owedCredit = 0;
  }

  /** Frees the server's cursor if there still is one. */
  cancel(): void {
    if (!this.link.scans.delete(this.#scanId)) return;
    this.link.post({ type: "scan-cancel", scanId: this.#scanId }, 32);
  }
}

export function pageBytes(records: readonly ScanRecord[]): number {
  let bytes = 0;
  for (const record of records) bytes += record.key.length + record.value.length + recordOverheadBytes;
  return bytes;
}
