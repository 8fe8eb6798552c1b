/** What other stores send: each message goes to the part of the store that it is for. */
import type { PeerMessage, RaftEnvelope } from "@flotilla/transport";
import type { Intake } from "./intake.ts";
import type { Lifecycle } from "./lifecycle/lifecycle.ts";
import type { Peer, PeerLinks } from "./peer-links.ts";
import type { MetaWhereabouts } from "./placement/meta-whereabouts.ts";
import type { PlacementHost } from "./placement/placement-host.ts";
import type { EarlyVotes } from "./replica/early-votes.ts";
import type { Replica } from "./replica/replica.ts";
import type { SnapshotService } from "./snapshot/snapshot-service.ts";
import type { StoreDirectory } from "./store-directory.ts";

export interface PeerInboxHost {
  readonly intake: Intake;
  readonly lifecycle: Lifecycle;
  readonly links: PeerLinks;
  readonly meta: MetaWhereabouts;
  readonly stores: StoreDirectory;
  readonly placement: PlacementHost;
  readonly snapshots: SnapshotService;
  readonly earlyVotes: EarlyVotes;
  replica(rangeId: number): Replica | undefined;
  stopping(): boolean;
  schedule(): void;
}

export class PeerInbox {
  readonly #host: PeerInboxHost;

  constructor(host: PeerInboxHost) {
    this.#host = host;
  }

  onMessage(from: Peer, message: PeerMessage): void {
    const { lifecycle, links, meta, placement, snapshots, stores } = this.#host;
    switch (message.type) {
      case "raft":
        return this.#onRaft(from, message);
      case "snapshot-offer":
      case "snapshot-chunk":
      case "snapshot-answer":
        return snapshots.onMessage(from, message);
      case "store-report":
        if (message.status.storeId === from.storeId) placement.onReport(message);
        return;
      case "report-receipt":
        return placement.onReceipt(from.storeId, message);
      case "operator-step":
        placement.onStep(from.storeId, message);
        return this.#host.schedule();
      case "replica-hash-request":
        return placement.onHashRequest(from.storeId, message);
      case "replica-hash":
        return placement.checks.onHash(message);
      case "seal-check":
        return placement.merges.onCheck(from.storeId, message);
      case "seal-state":
        return placement.merges.onState(message);
      case "step-outcome":
        return placement.onStepOutcome(message);
      case "store-heartbeat":
        links.noteBeat(from, message);
        if (message.directoryRevision < stores.revision)
          links.send(from.storeId, "heartbeat", { type: "store-directory", ...stores.known });
        return meta.onHeartbeat(from.storeId, message);
      case "store-directory":
        stores.learn(message);
        return;
      case "replica-absent":
        return snapshots.onAbsent(from.storeId, message);
      case "replica-gone":
        return lifecycle.onGone(message);
      case "replica-check":
        return lifecycle.onCheck(from.storeId, message);
      case "replica-verdict":
        return lifecycle.onVerdict(message);
      default:
        return message satisfies never;
    }
  }

  #onRaft(from: Peer, envelope: RaftEnvelope): void {
    const { rangeId, message } = envelope;
    const replica = this.#host.replica(rangeId);
    if (replica === undefined) this.#host.earlyVotes.note(rangeId, message);
    if (message.to !== replica?.replicaId) return this.#host.lifecycle.onAbsent(from.storeId, envelope);
    replica.noteStore(message.from, from.storeId);
    this.#host.lifecycle.noteSender(from.storeId, replica, envelope);
    // A snapshot comes by its own stream; bare it says nothing.
    if (message.type === "snapshot") return;
    if (this.#host.intake.refuses(message)) return;
    if (this.#host.stopping() && message.type === "timeout-now") return;
    replica.step(message);
  }
}
