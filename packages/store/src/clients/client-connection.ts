/**
 * One client's stream: answers of a turn are collected and leave at its end. What the client has not taken yet is its
 * backlog: past one limit its reads and scans wait, past another one its stream is closed.
 */
import type { ErrorCode, Version } from "@flotilla/base";
import type { CommandResult, RangeRefused, ReadBatch, RouteEntry, ServerMessage, Stream } from "@flotilla/transport";
import type { ScanCursor } from "./scan-cursor.ts";

/** Open scans of one client; more are refused. */
export const scansPerClientMax = 128;
/** Batches of reads that wait until their client has taken earlier answers; more are refused. */
export const waitingReadsMax = 4096;

export interface ClientConnectionHost {
  /** Backlog from which reads and scans wait. */
  readonly backlogBytesMax: number;
  bytesOf(message: ServerMessage): number;
  onOutgoing(connection: ClientConnection): void;
  /** The client goes on asking and takes nothing. */
  onOverflow(connection: ClientConnection): void;
}

export class ClientConnection {
  readonly stream: Stream;
  readonly scans: Map<number, ScanCursor> = new Map();
  #outgoing: ServerMessage[] = [];
  #outgoingBytes = 0;
  #waitingReads: ReadBatch[] = [];
  #waitingBytes = 0;
  readonly #waitingScans: Set<ScanCursor> = new Set();
  readonly #host: ClientConnectionHost;

  constructor(stream: Stream, host: ClientConnectionHost) {
    this.stream = stream;
    this.#host = host;
  }

  get closed(): boolean {
    return this.stream.closed;
  }

  /** Reads and scans wait. */
  get congested(): boolean {
    return this.#outgoingBytes + this.stream.unconfirmedBytes > this.#host.backlogBytesMax;
  }

  push(message: ServerMessage): void {
    if (this.stream.closed) return;
    if (this.#outgoing.length === 0) this.#host.onOutgoing(this);
    this.#outgoing.push(message);
    this.#outgoingBytes += this.#host.bytesOf(message);
    if (this.#outgoingBytes + this.stream.unconfirmedBytes > 8 * this.#host.backlogBytesMax)
      this.#host.onOverflow(this);
  }

  takeOutgoing(): readonly ServerMessage[] {
    const messages = this.#outgoing;
    this.#outgoing = [];
    this.#outgoingBytes = 0;
    return messages;
  }

  /** False when too many wait already; `bytes`: of its keys. */
  waitWithReads(batch: ReadBatch, bytes: number): boolean {
    if (this.#waitingReads.length >= waitingReadsMax) return false;
    if (this.#waitingBytes + bytes > this.#host.backlogBytesMax) return false;
    this.#waitingBytes += bytes;
    this.#waitingReads.push(batch);
    return true;
  }

  waitWithScan(scan: ScanCursor): void {
    this.#waitingScans.add(scan);
  }

  /** The client has taken something: what waits goes on as long as there is room. */
  confirmed(read: (batch: ReadBatch) => void): void {
    if (this.#waitingScans.size === 0 && this.#waitingReads.length === 0) return;
    if (this.congested) return;
    const scans = [...this.#waitingScans];
    const reads = this.#waitingReads;
    this.#waitingScans.clear();
    this.#waitingReads = [];
    this.#waitingBytes = 0;
    for (const scan of scans) scan.run();
    for (const batch of reads) read(batch);
  }

  /** The stream is closed: whatever waits is forgotten. */
  forget(): void {
    this.#waitingReads = [];
    this.#waitingBytes = 0;
    this.#waitingScans.clear();
    this.takeOutgoing();
    for (const scan of [...this.scans.values()]) scan.close();
  }

  answerCommands(batchId: number, seen: Version, results: readonly CommandResult[]): void {
    this.push({ type: "command-results", batchId, seen, results });
  }

  refuseRouting(kind: RangeRefused["kind"], id: number, refusal: RoutingRefusal): void {
    this.push({
      type: "range-refused",
      kind,
      id,
      reason: refusal.reason,
      code: refusal.code,
      message: refusal.message,
      retryAfterMs: refusal.retryAfterMs,
      ranges: refusal.ranges,
    });
  }

  refuse(kind: RangeRefused["kind"], id: number, code: ErrorCode, message: string, retryAfterMs: number): void {
    this.push({ type: "range-refused", kind, id, reason: "error", code, message, retryAfterMs, ranges: [] });
  }
}

/** Why a range did not take a batch or a scan, with fresher knowledge where there is any. */
export interface RoutingRefusal {
  readonly reason: RangeRefused["reason"];
  readonly code: ErrorCode | undefined;
  readonly message: string;
  readonly retryAfterMs: number;
  readonly ranges: readonly RouteEntry[];
}
