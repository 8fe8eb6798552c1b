/** What Raft hands out for a replica: to the shared log with this turn's batch, and to other stores. */
import type { StoreId } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { Message, Ready } from "@flotilla/raft";
import type { PeerMessage } from "@flotilla/transport";
import type { Lane, PeerLinks } from "./peer-links.ts";
import type { PersistBatches } from "./persist-batches.ts";
import type { Replica } from "./replica/replica.ts";
import type { SnapshotService } from "./snapshot/snapshot-service.ts";

export interface RaftOutboxHost {
  readonly log: SharedLog;
  readonly persist: PersistBatches;
  readonly links: PeerLinks;
  readonly snapshots: SnapshotService;
  /** The log hangs. */
  stalled(): boolean;
}

export class RaftOutbox {
  readonly #host: RaftOutboxHost;

  constructor(host: RaftOutboxHost) {
    this.#host = host;
  }

  persist(replica: Replica, ready: Ready): void {
    const { log, persist, snapshots } = this.#host;
    const { rangeId, replicaId } = replica;
    const { snapshot, persistence } = ready;
    if (snapshot !== undefined) log.install(rangeId, replicaId, snapshot.index, snapshot.term);
    if (ready.entries.length > 0) log.append(rangeId, replicaId, ready.entries);
    if (ready.hardState !== undefined) log.setHardState(rangeId, replicaId, ready.hardState);
    if (ready.mustSync) {
      const load = snapshot === undefined ? undefined : (): void => snapshots.load(replica, snapshot);
      persist.add(replica, persistence, load);
    } else if (persistence !== undefined) persist.addBehind(replica, persistence, []);
  }

  /** The stream that carries appends to this store is gone: what was under way may be lost. */
  onBroken(store: StoreId, replicas: Iterable<Replica>): void {
    for (const replica of replicas) {
      const member = replica.leads ? replica.replicaOn(store) : undefined;
      if (member !== undefined) replica.node.reportUnreachable(member);
    }
  }

  send(replica: Replica, message: Message): void {
    const { links, snapshots } = this.#host;
    if (message.type === "snapshot") return snapshots.offer(replica, message.to);
    const to = replica.storeOf(message.to);
    // A leader whose own log hangs must not keep its followers from electing another (hazard H4).
    if (this.#host.stalled() && (message.type === "heartbeat" || message.type === "append")) return;
    const lane: Lane = message.type === "append" || message.type === "append-response" ? "append" : "heartbeat";
    const envelope: PeerMessage = { type: "raft", rangeId: replica.rangeId, message };
    if (!links.send(to, lane, envelope) && message.type === "append") replica.node.reportUnreachable(message.to);
  }
}
