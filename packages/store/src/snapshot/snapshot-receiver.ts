/**
 * The receiving side of this store's range snapshots: transfers under way, each in a staging file, until Raft has
 * accepted what came whole. A transfer that is given up, by either side, leaves neither file nor handle.
 */
import type { StoreId } from "@flotilla/base";
import { messageBytesMax } from "@flotilla/base";
import type { PeerMessage, SnapshotAnswer, SnapshotChunk, SnapshotOffer } from "@flotilla/transport";
import type { Peer } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import { SnapshotReceipt, stagedPath } from "./snapshot-staging.ts";
import type { VerifiedSnapshot } from "./verify-snapshot.ts";
import { isClosed } from "./snapshot-jobs.ts";
import type { SnapshotServiceHost } from "./snapshot-service.ts";

/** Transfers under way at once; further ones wait for Raft to ask again. */
const receiptsMax = 4;
/** A transfer of which nothing came for this long is given up. */
const silentMsMax = 30_000;

export class SnapshotReceiver {
  readonly #host: SnapshotServiceHost;
  /** At most one a range. */
  readonly #receipts: Map<string, { readonly receipt: SnapshotReceipt; readonly from: StoreId }> = new Map();
  #received = 0;
  readonly #noteSuperseded: (replica: Replica, others: readonly Replica[]) => void;

  constructor(host: SnapshotServiceHost, noteSuperseded: (replica: Replica, others: readonly Replica[]) => void) {
    this.#host = host;
    this.#noteSuperseded = noteSuperseded;
  }

  #now(): number {
    return this.#host.dependencies.environment.clock.monotonicMs();
  }

  /** Transfers under way. */
  get size(): number {
    return this.#receipts.size;
  }

  onOffer(from: Peer, offer: SnapshotOffer): void {
    const refusal = this.#refusal(offer);
    if (refusal !== undefined) return this.#answer(from.storeId, offer.transferId, "refused", 0, refusal);
    for (const [name, { receipt }] of this.#receipts) if (receipt.rangeId === offer.rangeId) this.#drop(name, receipt);
    const name = receiptName(from.storeId, offer.transferId);
    const forgotten = this.#receipts.get(name);
    // A sender that was started again counts from 1 again.
    if (forgotten !== undefined) this.#drop(name, forgotten.receipt);
    const { transferId, rangeId, term } = offer;
    const number = ++this.#received;
    const receipt = new SnapshotReceipt(
      { transferId, fromReplica: offer.from, toReplica: offer.to, rangeId, term, number, nowMs: this.#now() },
      this.#host.dependencies.files,
    );
    this.#receipts.set(name, { receipt, from: from.storeId });
    this.#answer(from.storeId, transferId, "more", 0, "");
  }

  #refusal(offer: SnapshotOffer): string | undefined {
    const replica = this.#host.replica(offer.rangeId);
    if (offer.descriptor.rangeId !== offer.rangeId) return "the descriptor is of another range";
    if (this.#host.diskFull()) return "the disk is full";
    if (replica?.replicaId !== offer.to) {
      const refusal = this.#host.creation.refusal(offer.descriptor, offer.to, offer.term);
      if (refusal !== undefined) return refusal;
    } else if (replica.loading) return "another range snapshot is being loaded";
    else {
      const superseded = this.#host.creation.superseded(replica, offer.descriptor);
      if (typeof superseded === "string") return superseded;
    }
    let others = 0;
    for (const { receipt } of this.#receipts.values()) {
      // What is whole is not given up for something that has yet to come.
      if (receipt.rangeId !== offer.rangeId) others++;
      else if (receipt.completing) return "another range snapshot is being verified";
    }
    return others >= receiptsMax ? "too many range snapshots under way" : undefined;
  }

  onChunk(from: Peer, chunk: SnapshotChunk): void {
    const name = receiptName(from.storeId, chunk.transferId);
    const receipt = this.#receipts.get(name)?.receipt;
    if (receipt === undefined) return;
    receipt.touchedMs = this.#now();
    this.#take(from, name, receipt, chunk).catch((error: unknown) => {
      // A full disk is no failure: the old replica is untouched, and the sender tries again later.
      if (isDiskFull(error)) this.#refuse(from, name, receipt, "the disk is full");
      else if (isClosed(error)) this.#refuse(from, name, receipt, "the store stops");
      else this.#host.fail(error);
    });
  }

  async #take(from: Peer, name: string, receipt: SnapshotReceipt, chunk: SnapshotChunk): Promise<void> {
    if (receipt.unwrittenBytes > 2 * this.#host.settings.snapshotCreditBytes + messageBytesMax) {
      return this.#refuse(from, name, receipt, "more was sent than was asked for");
    }
    const taken = await receipt.take(chunk.sequence, chunk.bytes);
    if (!this.#holds(name, receipt)) return;
    if (!taken) return this.#refuse(from, name, receipt, "a chunk is missing");
    this.#answer(from.storeId, receipt.transferId, "more", receipt.takenBytes, "");
    if (!chunk.last) return;
    const { snapshotJobs } = this.#host.dependencies;
    const verified = await receipt.verify((path) => snapshotJobs.verify(path, receipt.rangeId));
    if (!this.#holds(name, receipt)) return;
    if (verified === undefined) return this.#refuse(from, name, receipt, "the range snapshot is not whole");
    await this.#complete(from, name, receipt, verified);
  }

  async #complete(from: Peer, name: string, receipt: SnapshotReceipt, verified: VerifiedSnapshot): Promise<void> {
    const { label, descriptor } = verified;
    // Loading clears what the engine knows as the old bounds: it must not be more than the old bounds are.
    await this.#host.makeBoundsDurable();
    if (!this.#holds(name, receipt)) return;
    const replica = this.#host.replica(receipt.rangeId);
    if (replica?.replicaId !== receipt.toReplica) return this.#create(from, name, receipt, verified);
    if (replica.loading) return this.#refuse(from, name, receipt, "the replica cannot take it now");
    const before = this.#host.creation.superseded(replica, descriptor);
    if (typeof before === "string") return this.#refuse(from, name, receipt, before);
    const path = stagedPath(receipt.rangeId, label.index, label.term);
    // What is older than the replica needs no file: Raft only says how far the replica is.
    const published = label.index > replica.node.commit && (await receipt.publish(path));
    if (!this.#holds(name, receipt)) return;
    const superseded = this.#host.creation.superseded(replica, descriptor);
    if (typeof superseded === "string" || replica.retired || replica.loading || !this.#host.boundsDurable()) {
      if (published) await this.#host.dependencies.files.remove(path);
      return this.#refuse(from, name, receipt, "the replica cannot take it now");
    }
    const { term, fromReplica } = receipt;
    const accepted = replica.offerSnapshot(
      { type: "snapshot", from: fromReplica, to: replica.replicaId, term, label },
      published,
    );
    if (accepted) {
      replica.incoming = descriptor;
      this.#noteSuperseded(replica, superseded);
    }
    if (published && !accepted) await this.#host.dependencies.files.remove(path);
    this.#drop(name, receipt);
    this.#answer(from.storeId, receipt.transferId, "done", receipt.takenBytes, "");
  }

  /** The receiver has no such replica yet: it comes to life with what was received. */
  async #create(from: Peer, name: string, receipt: SnapshotReceipt, verified: VerifiedSnapshot): Promise<void> {
    const { label, descriptor } = verified;
    const { toReplica: replicaId, term, rangeId } = receipt;
    const refusal = this.#host.creation.refusal(descriptor, replicaId, term);
    if (refusal !== undefined) return this.#refuse(from, name, receipt, refusal);
    const path = stagedPath(rangeId, label.index, label.term);
    if (!(await receipt.publish(path)) || !this.#holds(name, receipt)) return;
    const bounds = this.#host.boundsDurable() ? undefined : "a split here is not durable yet";
    const failed = bounds ?? (await this.#host.creation.create({ replicaId, term, label, descriptor, path }));
    if (failed !== undefined) {
      await this.#host.dependencies.files.remove(path);
      return this.#refuse(from, name, receipt, failed);
    }
    if (this.#holds(name, receipt)) this.#drop(name, receipt);
    this.#answer(from.storeId, receipt.transferId, "done", receipt.takenBytes, "");
  }

  #holds(name: string, receipt: SnapshotReceipt): boolean {
    return this.#receipts.get(name)?.receipt === receipt;
  }

  #refuse(from: Peer, name: string, receipt: SnapshotReceipt, reason: string): void {
    if (this.#holds(name, receipt)) this.#drop(name, receipt);
    this.#answer(from.storeId, receipt.transferId, "refused", 0, reason);
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

  tick(): void {
    const now = this.#now();
    for (const [name, { receipt, from }] of this.#receipts) {
      // Verifying and syncing may take long: the sender is told that somebody is there.
      if (receipt.completing) this.#answer(from, receipt.transferId, "more", receipt.takenBytes, "");
      else if (now - receipt.touchedMs > silentMsMax) this.#drop(name, receipt);
    }
  }

  stop(): void {
    for (const [name, { receipt }] of this.#receipts) this.#drop(name, receipt);
  }
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOSPC";
}

const receiptName = (from: StoreId, transferId: number): string => `${from}/${transferId}`;
