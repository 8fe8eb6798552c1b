/** One client's stream: answers of a turn are collected and leave as one payload at its end. */
import type { ErrorCode, Version } from "@flotilla/base";
import type { CommandResult, RangeRefused, RouteEntry, ServerMessage, Stream } from "@flotilla/transport";
import type { ScanCursor } from "./scan-cursor.ts";

/** Open scans of one client; more are refused. */
export const scansPerClientMax = 128;

export class ClientConnection {
  readonly stream: Stream;
  outgoing: ServerMessage[] = [];
  readonly scans: Map<number, ScanCursor> = new Map();
  /** Batches given to replicas and not answered yet: bounds what one client can make the store hold. */
  readonly #onOutgoing: (connection: ClientConnection) => void;

  constructor(stream: Stream, onOutgoing: (connection: ClientConnection) => void) {
    this.stream = stream;
    this.#onOutgoing = onOutgoing;
  }

  get closed(): boolean {
    return this.stream.closed;
  }

  push(message: ServerMessage): void {
    if (this.stream.closed) return;
    if (this.outgoing.length === 0) this.#onOutgoing(this);
    this.outgoing.push(message);
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
