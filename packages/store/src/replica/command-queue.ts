/** Batches of commands that wait for their range's leader to evaluate them. */
import { noVersion } from "@flotilla/base";
import type { RangeDescriptor, Version } from "@flotilla/base";
import type { CommandResult } from "@flotilla/transport";
import type { RoutingRefusal } from "../clients/client-connection.ts";
import type { QueuedBatch } from "./evaluator.ts";

/** Batches waiting for a leader that has not applied its first entry yet. */
export const queuedBatchesMax = 4096;

export class CommandQueue {
  #batches: QueuedBatch[] = [];
  #bytes = 0;
  /** As much as Raft takes without having it committed: more could only wait here. */
  readonly #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get length(): number {
    return this.#batches.length;
  }

  get batches(): readonly QueuedBatch[] {
    return this.#batches;
  }

  /** False when too much waits already; an empty queue takes anything. */
  add(queued: QueuedBatch): boolean {
    const full = this.#bytes + queued.bytes > this.#bytesMax;
    if (this.#batches.length > 0 && (full || this.#batches.length >= queuedBatchesMax)) return false;
    this.#batches.push(queued);
    this.#bytes += queued.bytes;
    return true;
  }

  /** The round evaluates everything that waits: what arrives from now on is counted anew. */
  admit(admits: (queued: QueuedBatch) => boolean): void {
    this.#bytes = 0;
    this.#batches = this.#batches.filter(admits);
  }

  /** Drops the batches at the front that are evaluated to their end. */
  dropDone(): void {
    const batches = this.#batches;
    let done = 0;
    while (done < batches.length && batches[done]!.next === batches[done]!.batch.commands.length) done++;
    batches.splice(0, done);
  }

  /** Sends back everything that was never evaluated; commands before a batch's `next` are answered elsewhere. */
  refuseAll(refusal: RoutingRefusal, seen: Version): void {
    const batches = this.#batches;
    this.#batches = [];
    this.#bytes = 0;
    for (const { connection, batch, next } of batches) {
      if (next === 0) {
        connection.refuseRouting("commands", batch.batchId, refusal);
        continue;
      }
      const rest = batch.commands.slice(next).map((command): CommandResult => ({
        number: command.number,
        status: "refused",
        version: noVersion,
        existed: false,
        code: "NoQuorum",
        message: refusal.message,
      }));
      if (rest.length > 0) connection.answerCommands(batch.batchId, seen, rest);
    }
  }
}

/** A version this far ahead of the own clock, seen by a client, is refused: somebody's clock is wrong. */
const seenAheadVersionsMax = 10_000 * 4096;

/** Checks that concern a whole batch; what does not pass is answered. */
export function isAdmitted(
  { batch, connection }: QueuedBatch,
  now: Version,
  { epoch }: RangeDescriptor,
  epochMismatch: () => RoutingRefusal,
): boolean {
  if (connection.closed) return false;
  if (batch.bounds !== epoch.bounds) {
    connection.refuseRouting("commands", batch.batchId, epochMismatch());
    return false;
  }
  if (batch.seen > now + seenAheadVersionsMax) {
    const message = `version ${batch.seen} is more than 10 s ahead of this store's clock`;
    connection.refuse("commands", batch.batchId, "Refused", message, 0);
    return false;
  }
  return true;
}
