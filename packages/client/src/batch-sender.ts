/** Packs operations of one range into messages for its store, within the limits of batches, stores and answers. */
import type { Key } from "@flotilla/base";
import type { CommandBatch, ReadBatch } from "@flotilla/transport";
import type { ClientSettings } from "./client-settings.ts";
import type { Operation } from "./operation.ts";
import type { OperationWindow } from "./operation-window.ts";
import type { CachedRange } from "./route-cache.ts";
import { SentBatch } from "./sent-batch.ts";
import type { StoreLink } from "./store-link.ts";
import type { VersionClock } from "./version-clock.ts";

export interface BatchSenderParts {
  readonly settings: ClientSettings;
  readonly clientId: number;
  readonly writes: OperationWindow;
  readonly versions: VersionClock;
  readonly sink: { wakeAt(atMs: number): void };
}

/** Of a batch, beside its operations. */
const overheadBytes = 64;

export class BatchSender {
  readonly #parts: BatchSenderParts;

  constructor(parts: BatchSenderParts) {
    this.#parts = parts;
  }

  #hasRoom(link: StoreLink, isWrite: boolean): boolean {
    const { inFlightPerStoreMax, inFlightBytesPerStoreMax, expectedBytesPerStoreMax } = this.#parts.settings;
    const hasRoom =
      link.inFlight < inFlightPerStoreMax &&
      link.inFlightBytes < inFlightBytesPerStoreMax &&
      (isWrite || link.expectedBytes < expectedBytesPerStoreMax);
    if (hasRoom) return true;
    link.blocked = true;
    return false;
  }

  /** Returns what had no room. */
  sendWrites(range: CachedRange, link: StoreLink, nowMs: number): Operation[] {
    const { settings } = this.#parts;
    const all = range.writes;
    let start = 0;
    while (start < all.length && this.#hasRoom(link, true)) {
      const countMax = Math.min(settings.batchCommandsMax, settings.inFlightPerStoreMax - link.inFlight);
      let end = start;
      let bytes = 0;
      do {
        bytes += all[end]!.bytes;
        end++;
      } while (
        end < all.length &&
        end - start < countMax &&
        bytes + all[end]!.bytes <= settings.batchBytesMax &&
        !all[start]!.alone &&
        !all[end]!.alone
      );
      this.#sendCommandBatch(
        range,
        link,
        start === 0 && end === all.length ? all : all.slice(start, end),
        bytes,
        nowMs,
      );
      start = end;
    }
    return start === 0 ? all : start === all.length ? [] : all.slice(start);
  }

  #sendCommandBatch(range: CachedRange, link: StoreLink, operations: Operation[], bytes: number, nowMs: number): void {
    const { versions, clientId, writes } = this.#parts;
    const firstSent = versions.estimate(link, nowMs);
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]!;
      // While every attempt was refused, nothing can have been applied: the command counts as sent for the first time.
      if (!operation.fateUnknown) operation.firstSent = firstSent;
    }
    const batch = this.#begin("write", range, link, operations, bytes, nowMs);
    const message: CommandBatch = {
      type: "commands",
      batchId: batch.id,
      rangeId: range.descriptor.rangeId,
      bounds: range.descriptor.epoch.bounds,
      clientId,
      floor: writes.floor,
      seen: versions.seen,
      commands: operations,
    };
    link.postBatch(batch, message, overheadBytes + bytes);
  }

  /** Returns what had no room. */
  sendReads(range: CachedRange, link: StoreLink, all: Operation[], nowMs: number): Operation[] {
    let start = 0;
    while (start < all.length && this.#hasRoom(link, false)) {
      const { readBatchBytesTarget, inFlightPerStoreMax } = this.#parts.settings;
      const expected = Math.max(1, Math.floor(readBatchBytesTarget / range.readBytes));
      const countMax = Math.min(range.readKeysMax, expected, inFlightPerStoreMax - link.inFlight);
      const operations = all.length - start <= countMax && start === 0 ? all : all.slice(start, start + countMax);
      const keys = new Array<Key>(operations.length);
      let bytes = 0;
      for (let i = 0; i < operations.length; i++) {
        keys[i] = operations[i]!.key;
        bytes += operations[i]!.bytes;
      }
      const lane = operations[0]!.lane;
      const batch = this.#begin(lane, range, link, operations, bytes, nowMs);
      const message: ReadBatch = {
        type: "reads",
        batchId: batch.id,
        rangeId: range.descriptor.rangeId,
        bounds: range.descriptor.epoch.bounds,
        consistency: lane === "stale-read" ? "stale" : "linearizable",
        keys,
      };
      link.postBatch(batch, message, overheadBytes + bytes);
      start += operations.length;
    }
    return start === 0 ? all : start >= all.length ? [] : all.slice(start);
  }

  #begin(
    lane: Operation["lane"],
    range: CachedRange,
    link: StoreLink,
    operations: Operation[],
    bytes: number,
    nowMs: number,
  ): SentBatch {
    const { settings, sink } = this.#parts;
    const numbers = new Array<number>(operations.length);
    let stalls = 0;
    for (let i = 0; i < operations.length; i++) if (operations[i]!.stalls > stalls) stalls = operations[i]!.stalls;
    const stallMs = Math.min(settings.attemptMsMax, settings.attemptMs * 2 ** Math.min(stalls, 10));
    const expectedBytes = lane === "write" ? 0 : range.readBytes;
    const batch = new SentBatch(link.nextId(), lane, link, range, operations, numbers, nowMs, stallMs, expectedBytes);
    for (let i = 0; i < operations.length; i++) {
      const operation = operations[i]!;
      numbers[i] = operation.number;
      operation.state = "sent";
      operation.batch = batch;
      if (operation.attempts++ > 0) noteStore(operation, link);
      operation.lastStore = link.storeId;
    }
    link.inFlight += operations.length;
    link.inFlightBytes += bytes;
    link.expectedBytes += expectedBytes * operations.length;
    link.outstanding.set(batch.id, batch);
    sink.wakeAt(nowMs + stallMs);
    return batch;
  }
}

function noteStore(operation: Operation, link: StoreLink): void {
  operation.stores ??= [operation.lastStore];
  if (operation.stores.length < 16 && !operation.stores.includes(link.storeId)) operation.stores.push(link.storeId);
}
