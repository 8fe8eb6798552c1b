/** Range snapshots of this store, both ways: who is sent one, what is being received, what waits to be loaded. */
import { storeId as toStoreId } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { InstallSnapshot, SnapshotLabel } from "@flotilla/raft";
import type { PeerMessage, SnapshotAnswer, SnapshotChunk, SnapshotOffer } from "@flotilla/transport";
import type { EngineQueue } from "./engine-queue.ts";
import type { Flusher } from "./flusher.ts";
import type { Peer, PeerLinks } from "./peer-links.ts";
import type { Replica } from "./replica.ts";
import { loadSnapshot } from "./snapshot-load.ts";
import { SnapshotReceipt, stagedPath } from "./snapshot-staging.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { restoreInto } from "./store-recovery.ts";
import type { StoreDependencies } from "./store-api.ts";
import type { StoreSettings } from "./store-settings.ts";

/** Transfers under way at once, each way; further ones wait for Raft to ask again. */
const sendersMax = 4;
const receiptsMax = 4;

export interface SnapshotServiceHost {
  readonly dependencies: StoreDependencies;
  readonly settings: StoreSettings;
  readonly links: PeerLinks;
  readonly queue: EngineQueue;
  readonly flusher: Flusher;
  replica(rangeId: number): Replica | undefined;
  fail(error: unknown): void;
  schedule(): void;
}

export class SnapshotService {
  readonly #host: SnapshotServiceHost;
  readonly #senders: Map<number, SnapshotSender> = new Map();
  readonly #receipts: Map<string, SnapshotReceipt> = new Map();
  /** Staged files whose content is in the engine, not yet covered by a checkpoint. */
  readonly #loaded: { readonly rangeId: number; readonly index: number; readonly path: string }[] = [];
  #nextTransfer = 1;
  sent = 0;
  installed = 0;

  constructor(host: SnapshotServiceHost) {
    this.#host = host;
  }

  // ---- sending ----

  /** Raft wants this follower to get a range snapshot. */
  offer(replica: Replica, message: InstallSnapshot): void {
    const store = replica.storeOf(message.to);
    const busy = [...this.#senders.values()].some((sender) => sender.replica === replica && sender.to === message.to);
    if (busy) return;
    if (this.#senders.size >= sendersMax || store === toStoreId(0) || !this.#host.links.reachable(store, "snapshot")) {
      replica.node.reportSnapshot(message.to, message.label, false);
      return;
    }
    const { dependencies, settings, links } = this.#host;
    const sender = new SnapshotSender(this.#nextTransfer++, replica, message.to, store, {
      environment: dependencies.environment,
      engine: dependencies.engine,
      chunkBytes: settings.snapshotChunkBytes,
      creditBytes: settings.snapshotCreditBytes,
      send: (to, peerMessage) => {
        const sent = links.send(to, "snapshot", peerMessage);
        this.#host.schedule();
        return sent;
      },
      onFinished: (finished, ok) => this.#sendFinished(finished, message, ok),
      onFailure: (error) => this.#host.fail(error),
    });
    this.#senders.set(sender.transferId, sender);
    dependencies.environment.logger.info({ rangeId: replica.rangeId, storeId: store }, "sending a range snapshot");
    sender.start();
  }

  #sendFinished(sender: SnapshotSender, message: InstallSnapshot, ok: boolean): void {
    this.#senders.delete(sender.transferId);
    if (ok) this.sent++;
    sender.replica.node.reportSnapshot(sender.to, sender.label ?? message.label, ok);
    const { logger } = this.#host.dependencies.environment;
    const fields = { rangeId: sender.replica.rangeId, storeId: sender.toStore, bytes: sender.sentBytes };
    if (ok) logger.info(fields, "range snapshot sent");
    else logger.warn(fields, "range snapshot not taken");
    this.#host.schedule();
  }

  /** The stream to a store is gone: its transfers are over. */
  onSendBroken(store: StoreId): void {
    for (const sender of [...this.#senders.values()]) if (sender.toStore === store) sender.finish(false);
  }

  // ---- receiving ----

  onMessage(from: Peer, message: SnapshotOffer | SnapshotChunk | SnapshotAnswer): void {
    if (message.type === "snapshot-answer") {
      const sender = this.#senders.get(message.transferId);
      if (sender?.toStore === from.storeId) sender.onAnswer(message);
    } else if (message.type === "snapshot-offer") this.#accept(from, message);
    else this.#take(from, message);
  }

  #accept(from: Peer, offer: SnapshotOffer): void {
    const replica = this.#host.replica(offer.rangeId);
    if (replica === undefined || replica.replicaId !== offer.to) {
      this.#answer(
        from.storeId,
        offer.transferId,
        "refused",
        0,
        `no replica ${offer.to} of range ${offer.rangeId} here`,
      );
      return;
    }
    if (this.#receipts.size >= receiptsMax || replica.loading) {
      this.#answer(from.storeId, offer.transferId, "refused", 0, "too many range snapshots under way");
      return;
    }
    for (const [name, receipt] of this.#receipts) if (receipt.rangeId === offer.rangeId) this.#drop(name, receipt);
    const { transferId, rangeId, term } = offer;
    const receipt = new SnapshotReceipt(
      { transferId, fromReplica: offer.from, rangeId, term },
      this.#host.dependencies.files,
    );
    this.#receipts.set(receiptName(from.storeId, transferId), receipt);
  }

  #take(from: Peer, chunk: SnapshotChunk): void {
    const name = receiptName(from.storeId, chunk.transferId);
    const receipt = this.#receipts.get(name);
    if (receipt === undefined) return;
    this.#write(from, name, receipt, chunk).catch((error: unknown) => {
      // A full disk is no failure: the old replica is untouched, and the sender tries again later.
      if (!isDiskFull(error)) return this.#host.fail(error);
      if (this.#receipts.get(name) === receipt) this.#drop(name, receipt);
      this.#answer(from.storeId, receipt.transferId, "refused", 0, "the disk is full");
    });
  }

  async #write(from: Peer, name: string, receipt: SnapshotReceipt, chunk: SnapshotChunk): Promise<void> {
    const taken = await receipt.take(chunk.sequence, chunk.bytes);
    if (this.#receipts.get(name) !== receipt) return;
    if (!taken) {
      this.#drop(name, receipt);
      this.#answer(from.storeId, receipt.transferId, "refused", 0, "a chunk is missing");
      return;
    }
    this.#answer(from.storeId, receipt.transferId, "more", receipt.takenBytes, "");
    if (!chunk.last) return;
    const staged = await receipt.complete(this.#host.dependencies.environment.bytes);
    this.#receipts.delete(name);
    const replica = this.#host.replica(receipt.rangeId);
    if (staged === undefined || replica === undefined) {
      this.#answer(from.storeId, receipt.transferId, "refused", 0, "the range snapshot is not whole");
      return;
    }
    const { term, fromReplica } = receipt;
    replica.step({ type: "snapshot", from: fromReplica, to: replica.replicaId, term, label: staged.label });
    this.#answer(from.storeId, receipt.transferId, "done", receipt.takenBytes, "");
  }

  #drop(name: string, receipt: SnapshotReceipt): void {
    this.#receipts.delete(name);
    receipt.cancel().catch((error: unknown) => this.#host.fail(error));
  }

  #answer(to: StoreId, transferId: number, state: SnapshotAnswer["state"], takenBytes: number, reason: string): void {
    const creditBytes = this.#host.settings.snapshotCreditBytes;
    const answer: PeerMessage = { type: "snapshot-answer", transferId, state, takenBytes, creditBytes, reason };
    this.#host.links.send(to, "snapshot", answer);
    this.#host.schedule();
  }

  // ---- loading ----

  /** The log's install record is durable: the staged file replaces what the engine has. */
  load(replica: Replica, label: SnapshotLabel): void {
    const { dependencies, queue, flusher } = this.#host;
    const { engine, files, environment } = dependencies;
    const path = stagedPath(replica.rangeId, label.index, label.term);
    queue
      .run(async () => {
        await loadSnapshot(path, { engine, files, operations: environment.bytes });
        await restoreInto(replica.machine, engine, environment.bytes);
        this.#loaded.push({ rangeId: replica.rangeId, index: label.index, path });
        await flusher.noteCheckpoint([{ rangeId: replica.rangeId, replicaId: replica.replicaId, index: label.index }]);
      })
      .then(() => {
        this.installed++;
        environment.logger.info({ rangeId: replica.rangeId, index: label.index }, "range snapshot installed");
        replica.loaded();
        this.#host.schedule();
      })
      .catch((error: unknown) => this.#host.fail(error));
  }

  /** A checkpoint covers the range up to the index: staged files at or below it may go. */
  onCheckpoint(rangeId: number, index: number): void {
    for (let i = this.#loaded.length - 1; i >= 0; i--) {
      const loaded = this.#loaded[i]!;
      if (loaded.rangeId !== rangeId || loaded.index > index) continue;
      this.#loaded.splice(i, 1);
      this.#host.dependencies.files.remove(loaded.path).catch((error: unknown) => this.#host.fail(error));
    }
  }

  tick(): void {
    for (const sender of [...this.#senders.values()]) sender.checkTimeout();
  }

  stop(): void {
    for (const sender of [...this.#senders.values()]) sender.finish(false);
    for (const [name, receipt] of this.#receipts) this.#drop(name, receipt);
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOSPC";
}

const receiptName = (from: StoreId, transferId: number): string => `${from}/${transferId}`;
