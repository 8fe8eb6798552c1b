/** Range snapshots of this store, both ways: who is sent one, what comes in, what is being loaded. */
import { noIndex, noTerm, storeId as toStoreId } from "@flotilla/base";
import type { RangeId, ReplicaId, StoreId } from "@flotilla/base";
import type { SnapshotLabel } from "@flotilla/raft";
import type { ReplicaAbsent, SnapshotAnswer, SnapshotChunk, SnapshotOffer } from "@flotilla/transport";
import type { EngineQueue } from "../engine/engine-queue.ts";
import { clearNow } from "../engine/interval-clearer.ts";
import type { FlushedRange, Flusher } from "../engine/flusher.ts";
import type { Peer, PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import type { Creation, ReplicaCreation } from "./replica-creation.ts";
import { ByteRate } from "./byte-rate.ts";
import { loadSnapshot } from "./snapshot-load.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";
import { stagedPath } from "./snapshot-staging.ts";
import { SnapshotSender } from "./snapshot-sender.ts";
import { readRange } from "../range-restore.ts";
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
  readonly creation: ReplicaCreation;
  replica(rangeId: number): Replica | undefined;
  /** See StateMachine.boundsDurable; of every replica here. */
  boundsDurable(): boolean;
  /** Tries once to make it so. */
  makeBoundsDurable(): Promise<void>;
  /** It ends now, for a range snapshot that was accepted has the place of it: its tombstone is staged. */
  supersede(replica: Replica): void;
  /** There is no room for what others send. */
  diskFull(): boolean;
  fail(error: unknown): void;
  schedule(): void;
}

export class SnapshotService {
  readonly #host: SnapshotServiceHost;
  readonly #senders: Map<number, SnapshotSender> = new Map();
  readonly #receiver: SnapshotReceiver;
  /** Shared by all senders. */
  readonly #rate: ByteRate;
  /** Staged files whose content is in the engine, not yet covered by a checkpoint. */
  readonly #loaded: (FlushedRange & { readonly path: string })[] = [];
  /** Ranges of which somebody has just been sent all, and until when the log is kept for them. */
  readonly #kept: Map<number, { readonly index: number; readonly untilMs: number }> = new Map();
  /** Members that did not take one just now, until when they are left alone. */
  readonly #pauses: Map<string, number> = new Map();
  /** By range that accepted one: whom it takes the place of. */
  readonly #superseded: Map<RangeId, readonly Replica[]> = new Map();
  #nextTransfer = 1;
  sent = 0;
  installed = 0;

  constructor(host: SnapshotServiceHost) {
    this.#host = host;
    this.#receiver = new SnapshotReceiver(host, (replica, others) => {
      if (others.length > 0) this.#superseded.set(replica.rangeId, others);
    });
    const { environment } = host.dependencies;
    this.#rate = new ByteRate(host.settings.snapshotBytesPerSecond, environment.clock);
  }

  #now(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  get sending(): number {
    return this.#senders.size;
  }

  get receiving(): number {
    return this.#receiver.size;
  }

  // ---- sending ----

  /** A store says that it has no such replica: if it is a member here, it gets a range snapshot, whatever Raft thinks. */
  onAbsent(from: StoreId, { rangeId, replicaId }: ReplicaAbsent): void {
    const replica = this.#host.replica(rangeId);
    if (replica?.leads === true && replica.storeOf(replicaId) === from) this.offer(replica, replicaId);
  }

  /** This follower is to get a range snapshot. */
  offer(replica: Replica, to: ReplicaId): void {
    const store = replica.storeOf(to);
    const busy = [...this.#senders.values()].some((sender) => sender.replica === replica && sender.to === to);
    if (busy) return;
    const notNow =
      this.#senders.size >= sendersMax ||
      store === toStoreId(0) ||
      !this.#host.links.reachable(store, "snapshot") ||
      this.#pauses.has(pauseName(replica, to));
    if (notNow) {
      replica.node.reportSnapshot(to, failedLabel(replica), false);
      return;
    }
    const { dependencies, settings, links } = this.#host;
    const sender = new SnapshotSender(this.#nextTransfer++, replica, to, store, {
      environment: dependencies.environment,
      jobs: dependencies.snapshotJobs,
      chunkBytes: settings.snapshotChunkBytes,
      rate: this.#rate,
      flush: () => this.#flush(),
      send: (toStore, peerMessage) => {
        const sent = links.send(toStore, "snapshot", peerMessage);
        this.#host.schedule();
        return sent;
      },
      onFinished: (finished, ok) => this.#sendFinished(finished, ok),
      onFailure: (error) => this.#host.fail(error),
    });
    this.#senders.set(sender.transferId, sender);
    dependencies.environment.logger.info({ rangeId: replica.rangeId, storeId: store }, "sending a range snapshot");
    sender.start();
  }

  #sendFinished(sender: SnapshotSender, ok: boolean): void {
    this.#senders.delete(sender.transferId);
    if (ok) {
      this.sent++;
      const untilMs = this.#now() + keptMs;
      if (sender.label !== undefined) this.#kept.set(sender.replica.rangeId, { index: sender.label.index, untilMs });
    }
    if (!ok) this.#pauses.set(pauseName(sender.replica, sender.to), this.#now() + pauseMs);
    const { replica } = sender;
    if (!replica.retired) replica.node.reportSnapshot(sender.to, sender.label ?? failedLabel(replica), ok);
    const { logger } = this.#host.dependencies.environment;
    const fields = { rangeId: sender.replica.rangeId, storeId: sender.toStore, bytes: sender.sentBytes };
    if (ok) logger.info(fields, "range snapshot sent");
    else logger.warn(fields, "range snapshot not taken");
    this.#host.schedule();
  }

  async #flush(): Promise<boolean> {
    if (this.#host.diskFull()) return false;
    await this.#host.flusher.flushAll();
    return true;
  }

  /**
   * Up to where a checkpoint of the range may go without making a snapshot useless that somebody is being sent. A sealed
   * range keeps what stands behind its seal, whatever the log's size: each of its replicas has got the seal, and none may need
   * a range snapshot when its left neighbour is about to take it in (hazard E9).
   */
  checkpointLimit(rangeId: number, pressing: boolean): number {
    const sealed = this.#host.replica(rangeId)?.machine.sealed?.index ?? Infinity;
    if (pressing) return sealed;
    let limit = Math.min(sealed, this.#kept.get(rangeId)?.index ?? Infinity);
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

  /** Its install record is being staged: whom the snapshot takes the place of ends in the same frame of the log. */
  onInstall({ rangeId }: Replica): void {
    for (const other of this.#superseded.get(rangeId) ?? []) if (!other.retired) this.#host.supersede(other);
  }

  /** The log's install record is durable: the staged file replaces what the engine has. */
  load(replica: Replica, label: SnapshotLabel): void {
    const superseded = this.#superseded.get(replica.rangeId) ?? [];
    this.#superseded.delete(replica.rangeId);
    const { dependencies, queue, settings } = this.#host;
    const { engine, files, environment } = dependencies;
    const path = stagedPath(replica.rangeId, label.index, label.term);
    queue
      .run(async () => {
        for (const { rangeId, descriptor } of superseded)
          await clearNow({ rangeId, start: descriptor.start, end: descriptor.end }, engine, environment.bytes);
        await loadSnapshot(path, loadBatchBytes(settings), { engine, files, operations: environment.bytes });
        const stored = await readRange(replica.rangeId, engine, environment.bytes);
        stored.restoreInto(replica.machine);
        const { rangeId, replicaId } = replica;
        await this.#noteLoaded({ rangeId, replicaId, index: label.index }, path);
      })
      .then(() => {
        this.installed++;
        environment.logger.info({ rangeId: replica.rangeId, index: label.index }, "range snapshot installed");
        replica.loaded();
        this.#host.schedule();
      })
      .catch((error: unknown) => this.#host.fail(error));
  }

  /** Inside the queue: the content of the file is in the engine. */
  async onCreated({ replicaId, label, descriptor: { rangeId }, path }: Creation): Promise<void> {
    this.installed++;
    const { logger } = this.#host.dependencies.environment;
    logger.info({ rangeId, replicaId, index: label.index }, "a replica is made from a range snapshot");
    await this.#noteLoaded({ rangeId, replicaId, index: label.index }, path);
  }

  async #noteLoaded(loaded: FlushedRange, path: string): Promise<void> {
    this.#loaded.push({ ...loaded, path });
    await this.#host.flusher.noteCheckpoint([loaded]);
  }

  /** A checkpoint covers the replica up to the index: its staged files at or below that may go. */
  onCheckpoint({ rangeId, replicaId, index }: FlushedRange): void {
    for (let i = this.#loaded.length - 1; i >= 0; i--) {
      const loaded = this.#loaded[i]!;
      if (loaded.rangeId !== rangeId || loaded.replicaId !== replicaId || loaded.index > index) continue;
      this.#drop(i);
    }
  }

  /** The replica's tombstone is durable: no start loads anything of it any more. */
  onBuried(rangeId: RangeId, replicaId: ReplicaId): void {
    for (let i = this.#loaded.length - 1; i >= 0; i--) {
      const loaded = this.#loaded[i]!;
      if (loaded.rangeId === rangeId && loaded.replicaId === replicaId) this.#drop(i);
    }
  }

  #drop(at: number): void {
    const [loaded] = this.#loaded.splice(at, 1);
    this.#host.dependencies.files.remove(loaded!.path).catch((error: unknown) => this.#host.fail(error));
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

/** Raft looks at the label of a success only. */
const failedLabel = ({ machine }: Replica): SnapshotLabel => ({
  index: noIndex,
  term: noTerm,
  configuration: machine.configuration,
});

const pauseName = ({ rangeId }: Replica, to: ReplicaId): string => `${rangeId}/${to}`;
