/** What stores send each other. One payload of a stream is a bundle of these (see `bundle.ts`). */
import type { Epoch, LogIndex, NodeId, RangeDescriptor, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type { Message } from "@flotilla/raft";

/** A Raft message in its envelope. Hot: fixed binary layout; entries' data are views of the received payload. */
export interface RaftEnvelope {
  readonly type: "raft";
  readonly rangeId: RangeId;
  readonly message: Message;
}

/** A replica of a range that the receiver has no live replica of, or an older one: told to the sender. */
export interface ReplicaGone {
  readonly type: "replica-gone";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
}

export interface StoreHeartbeat {
  readonly type: "store-heartbeat";
  readonly wallMs: number;
  readonly nodeId: NodeId;
  readonly address: string;
  readonly httpAddress: string;
  readonly metaRange: RangeDescriptor;
  /** 0 = unknown. */
  readonly metaLeader: StoreId;
}

/** To the placement driver (the store that leads the meta range), and to new ones in full. */
export interface StoreReport {
  readonly type: "store-report";
  readonly status: StoreStatus;
  readonly ranges: readonly RangeReport[];
}

export interface StoreStatus {
  readonly storeId: StoreId;
  readonly nodeId: NodeId;
  readonly address: string;
  readonly httpAddress: string;
  readonly pid: number;
  readonly serverVersion: string;
  readonly uptimeMs: number;
  readonly dataDir: string;
  readonly replicas: number;
  readonly leaders: number;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly logBytes: number;
  readonly fsyncs: number;
  readonly labels: Readonly<Record<string, string>>;
}

/** From the leader of a range. */
export interface RangeReport {
  readonly descriptor: RangeDescriptor;
  readonly term: Term;
  readonly leaderStoreId: StoreId;
  readonly sizeBytes: number;
  /** null = not counted. */
  readonly keys: number | null;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly asleep: boolean;
  readonly replicas: readonly ReplicaReport[];
}

export interface ReplicaReport {
  readonly replicaId: ReplicaId;
  readonly storeId: StoreId;
  readonly match: LogIndex;
  readonly state: "probe" | "replicate" | "snapshot";
  readonly active: boolean;
}

/** From the placement driver to a range's leader. Refused when the epoch is another. */
export interface OperatorStep {
  readonly type: "operator-step";
  readonly operatorId: number;
  readonly rangeId: RangeId;
  readonly epoch: Epoch;
  readonly action: { readonly kind: "transfer-leader"; readonly to: StoreId };
}

/** Sender to receiver: a range snapshot begins. Chunks follow on the same stream as credit allows. */
export interface SnapshotOffer {
  readonly type: "snapshot-offer";
  /** Unique for the sender's incarnation. */
  readonly transferId: number;
  readonly rangeId: RangeId;
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly term: Term;
}

export interface SnapshotChunk {
  readonly type: "snapshot-chunk";
  readonly transferId: number;
  /** From 0, without holes. */
  readonly sequence: number;
  /** The next bytes of the snapshot stream (packages/store, snapshot-stream.ts). */
  readonly bytes: Uint8Array;
  readonly last: boolean;
}

/** Receiver to sender. `credit`: bytes beyond what was taken so far that the sender may send. */
export interface SnapshotAnswer {
  readonly type: "snapshot-answer";
  readonly transferId: number;
  readonly state: "more" | "done" | "refused";
  readonly takenBytes: number;
  readonly creditBytes: number;
  readonly reason: string;
}

export type PeerMessage =
  | RaftEnvelope
  | ReplicaGone
  | StoreHeartbeat
  | StoreReport
  | OperatorStep
  | SnapshotOffer
  | SnapshotChunk
  | SnapshotAnswer;
