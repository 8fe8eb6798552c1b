/** Range snapshots of this store, both ways: who is sent one, what comes in, what is being loaded. */
import { storeId as toStoreId } from "@flotilla/base";
import type { ReplicaId, StoreId } from "@flotilla/base";
import type { InstallSnapshot, SnapshotLabel } from "@flotilla/raft";
import type { SnapshotAnswer, SnapshotChunk, SnapshotOffer } from "@flotilla/transport";
import type { EngineQueue } from "../engine/engine-queue.ts";
import type { Flusher } from "../engine/flusher.ts";
import type { Peer, PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import { loadSnapshot } from "./snapshot-load.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import { stagedPath } from "./snapshot-staging.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { restoreInto } from "../store-recovery.ts";
import type { StoreDependencies } from "../store-api.ts";
import { loadBatchBytes } from "../store-settings.ts";
import type { StoreSettings } from "../store-settings.ts";

/** Transfers under way at once; further ones wait for Raft to ask again. */
const sendersMax = 4;
/** Time for a follower to load what it was sent, before the log behind it may go. */
const keptMs = 30_000;
/** After a transfer that failed; Raft asks again with every heartbeat. */
const pauseMs = 1000;

export interface SnapshotServiceHost {
  readonly dependencies: StoreDependencies;
  readonly settings: StoreSettings;
  readonly links: PeerLinks;
  readonly queue: EngineQueue;
  readonly flusher: Flusher;
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  /** There is no room for what others send. */
  diskFull(): boolean;
  fail(error: unknown): void;
  schedule(): void;
}

export class SnapshotService {
  readonly #host: SnapshotServiceHost;
  readonly #senders: Map<number, SnapshotSender> = new Map();
  readonly #receiver: SnapshotReceiver;
  /** Staged files whose content is in the engine, not yet covered by a checkpoint. */
  readonly #loaded: { readonly rangeId: number; readonly index: number; readonly path: string }[] = [];
  /** Ranges of which somebody has just been sent all, and until when the log is kept for them. */
  readonly #kept: Map<number, { readonly index: number; readonly untilMs: number }> = new Map();
  /** Members that did not take one just now, until when they are left alone. */
  readonly #pauses: Map<string, number> = new Map();
  #nextTransfer = 1;
  sent = 0;
  installed = 0;

  constructor(host: SnapshotServiceHost) {
    this.#host = host;
    this.#receiver = new SnapshotReceiver(host);
  }

  #now(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  // ---- sending ----

  /** Raft wants this follower to get a range snapshot. */
  offer(replica: Replica, message: InstallSnapshot): void {
    const store = replica.storeOf(message.to);
    const busy = [...this.#senders.values()].some((sender) => sender.replica === replica && sender.to === message.to);
    if (busy) return;
    const notNow =
      this.#senders.size >= sendersMax ||
      store === toStoreId(0) ||
      !this.#host.links.reachable(store, "snapshot") ||
      this.#pauses.has(pauseName(replica, message.to));
    if (notNow) {
      replica.node.reportSnapshot(message.to, message.label, false);
      return;
    }
    const { dependencies, settings, links } = this.#host;
    const sender = new SnapshotSender(this.#nextTransfer++, replica, message.to, store, {
      environment: dependencies.environment,
      engine: dependencies.engine,
      chunkBytes: settings.snapshotChunkBytes,
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
    if (ok) {
      this.sent++;
      const untilMs = this.#now() + keptMs;
      if (sender.label !== undefined) this.#kept.set(sender.replica.rangeId, { index: sender.label.index, untilMs });
    }
    if (!ok) this.#pauses.set(pauseName(sender.replica, sender.to), this.#now() + pauseMs);
    sender.replica.node.reportSnapshot(sender.to, sender.label ?? message.label, ok);
    const { logger } = this.#host.dependencies.environment;
    const fields = { rangeId: sender.replica.rangeId, storeId: sender.toStore, bytes: sender.sentBytes };
    if (ok) logger.info(fields, "range snapshot sent");
    else logger.warn(fields, "range snapshot not taken");
    this.#host.schedule();
  }

  /** Up to where a checkpoint of the range may go without making a snapshot useless that somebody is being sent. */
  checkpointLimit(rangeId: number): number {
    let limit = this.#kept.get(rangeId)?.index ?? Infinity;
    for (const { replica, label } of this.#senders.values()) {
      if (replica.rangeId === rangeId && label !== undefined && label.index < limit) limit = label.index;
    }
    return limit;
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
    } else if (message.type === "snapshot-offer") this.#receiver.onOffer(from, message);
    else this.#receiver.onChunk(from, message);
  }

  // ---- loading ----

  /** The log's install record is durable: the staged file replaces what the engine has. */
  load(replica: Replica, label: SnapshotLabel): void {
    const { dependencies, queue, flusher, settings } = this.#host;
    const { engine, files, environment } = dependencies;
    const path = stagedPath(replica.rangeId, label.index, label.term);
    queue
      .run(async () => {
        await loadSnapshot(path, loadBatchBytes(settings), { engine, files, operations: environment.bytes });
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
    for (const sender of [...this.#senders.values()]) sender.check();
    this.#receiver.tick();
    const now = this.#now();
    for (const [name, untilMs] of this.#pauses) if (untilMs <= now) this.#pauses.delete(name);
    for (const [rangeId, { untilMs }] of this.#kept) if (untilMs <= now) this.#kept.delete(rangeId);
  }

  stop(): void {
    for (const sender of [...this.#senders.values()]) sender.finish(false);
    this.#receiver.stop();
  }

  /** Nothing more is sent or done to the disk. */
  halt(): void {
    for (const sender of [...this.#senders.values()]) sender.finish(false);
  }
}

const pauseName = ({ rangeId }: Replica, to: ReplicaId): string => `${rangeId}/${to}`;
