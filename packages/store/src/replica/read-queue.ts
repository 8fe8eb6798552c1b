/**
 * The reads of one range: what arrived, the ReadIndex rounds under way that confirm it, and what waits until its index is
 * applied. All of it belongs to one term of leading.
 */
import type { LogIndex } from "@flotilla/base";
import type { ReadBatch, ScanRequest } from "@flotilla/transport";
import type { ClientConnection, RoutingRefusal } from "../clients/client-connection.ts";
import { queuedBatchesMax } from "./command-queue.ts";

/** ReadIndex rounds of one range under way; reads that arrive meanwhile share the next. */
const readRoundsMax = 2;

/** `bytes`: of its keys, roughly. */
export type QueuedRead =
  | {
      readonly kind: "reads";
      readonly connection: ClientConnection;
      readonly batch: ReadBatch;
      readonly bytes: number;
    }
  | {
      readonly kind: "scan";
      readonly connection: ClientConnection;
      readonly request: ScanRequest;
      readonly bytes: number;
    };

export class ReadQueue {
  #reads: QueuedRead[] = [];
  #bytes = 0;
  readonly #bytesMax: number;
  #rounds: Map<number, readonly QueuedRead[]> = new Map();
  /** Confirmed reads that wait until their index is applied; in rising order of index. */
  #confirmed: { readonly index: LogIndex; readonly reads: readonly QueuedRead[] }[] = [];

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Something waits that a round may be started for. */
  get startable(): boolean {
    return this.#reads.length > 0 && this.#rounds.size < readRoundsMax;
  }

  /** Some read is not served yet. */
  get waiting(): boolean {
    return this.#reads.length > 0 || this.#rounds.size > 0 || this.#confirmed.length > 0;
  }

  /** False when too much waits already; an empty queue takes anything. */
  add(read: QueuedRead): boolean {
    const full = this.#bytes + read.bytes > this.#bytesMax;
    if (this.#reads.length > 0 && (full || this.#reads.length >= queuedBatchesMax)) return false;
    this.#reads.push(read);
    this.#bytes += read.bytes;
    return true;
  }

  /** What a round is to be started for. */
  take(): QueuedRead[] {
    const reads = this.#reads.filter((read) => !read.connection.closed);
    this.#reads = [];
    this.#bytes = 0;
    return reads;
  }

  noteRound(context: number, reads: readonly QueuedRead[]): void {
    this.#rounds.set(context, reads);
  }

  /** The round of that context is confirmed: its reads see everything up to the index. */
  confirmRound(context: number, index: LogIndex): void {
    const reads = this.#rounds.get(context);
    if (reads === undefined) return;
    this.#rounds.delete(context);
    this.confirm(index, reads);
  }

  confirm(index: LogIndex, reads: readonly QueuedRead[]): void {
    this.#confirmed.push({ index, reads });
  }

  /** Hands out what may be served now that everything up to the index is applied. */
  serve(applied: LogIndex, serve: (reads: readonly QueuedRead[]) => void): void {
    let served = 0;
    while (served < this.#confirmed.length && this.#confirmed[served]!.index <= applied) {
      serve(this.#confirmed[served]!.reads);
      served++;
    }
    if (served > 0) this.#confirmed.splice(0, served);
  }

  /** The term is over: everything that is not served. */
  takeAll(): QueuedRead[] {
    const reads = [...this.#reads];
    for (const round of this.#rounds.values()) reads.push(...round);
    for (const confirmed of this.#confirmed) reads.push(...confirmed.reads);
    this.#reads = [];
    this.#bytes = 0;
    this.#rounds.clear();
    this.#confirmed = [];
    return reads;
  }
}

export function refuseRead(read: QueuedRead, refusal: RoutingRefusal): void {
  if (read.kind === "reads") read.connection.refuseRouting("reads", read.batch.batchId, refusal);
  else read.connection.refuseRouting("scan", read.request.scanId, refusal);
}
