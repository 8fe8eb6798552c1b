/** What stores send each other. One payload of a stream is a bundle of these (see `bundle.ts`). */
import type {
  Epoch,
  Incarnation,
  Key,
  LogIndex,
  NodeId,
  RangeDescriptor,
  RangeId,
  ReplicaId,
  StoreId,
  Term,
} from "@flotilla/base";
import type { Message } from "@flotilla/raft";

/** A Raft message in its envelope. Hot: fixed binary layout; entries' data are views of the received payload. */
export interface RaftEnvelope {
  readonly type: "raft";
  readonly rangeId: RangeId;
  readonly message: Message;
}

/**
 * The store that a Raft message was sent to has no such replica: told to the sender's store, whose leader may then send
 * a range snapshot. Nothing is promised by it.
 */
export interface ReplicaAbsent {
  readonly type: "replica-absent";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** Of the message that was not taken. */
  readonly term: Term;
}

/** The receiver's replica seems to be a member no more; only the placement driver can say whether it is so. */
export interface ReplicaGone {
  readonly type: "replica-gone";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** Of the range as the sender knows it. */
  readonly epoch: Epoch;
}

/** To the placement driver: is this replica still a member of its range? */
export interface ReplicaCheck {
  readonly type: "replica-check";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** Of the range as the asking replica knows it. */
  readonly epoch: Epoch;
  /** Of the range, which keeps it for ever; undefined: of a replica that waits for the split that makes it. */
  readonly start: Key | undefined;
}

export interface ReplicaVerdict {
  readonly type: "replica-verdict";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** True only by what is committed: then it never becomes a member again. */
  readonly gone: boolean;
  /** Undefined when the range is no more. */
  readonly descriptor: RangeDescriptor | undefined;
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
  /** Of the store directory that the sender has; 0 = none but the one it was founded with. */
  readonly directoryRevision: number;
  /** Its log takes no writes: what it leads makes no progress and must be led by others, though the store answers. */
  readonly logHangs: boolean;
}

export type StoreMembership = "active" | "draining" | "decommissioning" | "decommissioned";

/** A store as the cluster knows it. */
export interface StoreEntry {
  readonly storeId: StoreId;
  readonly nodeId: NodeId;
  readonly address: string;
  readonly httpAddress: string;
  /** Hex; who shows another one under this store id is refused. */
  readonly storeKey: string;
  readonly state: StoreMembership;
  readonly labels: Readonly<Record<string, string>>;
}

/** From the placement driver to stores that have an older one. */
export interface StoreDirectory {
  readonly type: "store-directory";
  /** Rises with every change. */
  readonly revision: number;
  readonly stores: readonly StoreEntry[];
}

/**
 * To the placement driver (the store that leads the meta range): what has changed since an earlier report that it has
 * acknowledged. Ranges that are in neither list are as they were.
 */
export interface StoreReport {
  readonly type: "store-report";
  /** Of the store that reports. */
  readonly incarnation: Incarnation;
  /** Rises with each report of an incarnation, from 1. */
  readonly sequence: number;
  /** Of the report that this one rests on; 0 = none: `ranges` begins anew. */
  readonly base: number;
  /** There was no room for everything that has changed: the rest follows. */
  readonly more: boolean;
  readonly status: StoreStatus;
  /** Those that the store leads. */
  readonly ranges: readonly RangeReport[];
  /** Those that it leads no more. */
  readonly gone: readonly RangeId[];
}

/** The driver's answer to a report. */
export interface ReportReceipt {
  readonly type: "report-receipt";
  /** As in the report. */
  readonly incarnation: Incarnation;
  /** Of the last report that counted; 0: the report rests on what the driver does not have, everything has to be said. */
  readonly sequence: number;
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
  /** Range snapshots under way, in either direction. */
  readonly snapshotsSending: number;
  readonly snapshotsReceiving: number;
  /** Intervals of replicas that are gone, not cleared yet. */
  readonly intervalsClearing: number;
  /** It hands its leaderships over to be stopped. */
  readonly stopping: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

/** From the leader of a range. */
export interface RangeReport {
  readonly descriptor: RangeDescriptor;
  readonly term: Term;
  readonly leaderStoreId: StoreId;
  readonly sizeBytes: number;
  /** False: of a range with these bounds the leader knows only what is not in the engine's tables yet. */
  readonly sizeKnown: boolean;
  /** null = not counted. */
  readonly keys: number | null;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  /** Keys and values, of writes and reads. */
  readonly bytesPerSecond: number;
  readonly load: LoadReport;
  readonly asleep: boolean;
  /** A change of members is proposed and not applied, or joint and not left. */
  readonly configurationPending: boolean;
  readonly sealedFor: SealedFor | undefined;
  readonly replicas: readonly ReplicaReport[];
}

/** The range waits for its left neighbour, which had these bounds, to take it in: it answers nobody (rule: merge). */
export interface SealedFor {
  readonly rangeId: RangeId;
  readonly bounds: number;
}

/** Of the last ten seconds, roughly; what was before fades. */
export interface LoadReport {
  /** Writes and reads. */
  readonly operationsPerSecond: number;
  readonly bytesPerSecond: number;
  /** Of the time of its leader's loop. */
  readonly loopPercent: number;
  /** Where the load falls into two halves; undefined: the range is not hot, its keys are still sampled, or there is no such key. */
  readonly splitKey: Key | undefined;
  /** Why there is no such key; empty otherwise. */
  readonly splitReason: string;
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
  /** Unique within the operator; the outcome names it. */
  readonly stepId: number;
  readonly rangeId: RangeId;
  readonly epoch: Epoch;
  readonly action: StepAction;
}

export type StepAction =
  | { readonly kind: "transfer-leader"; readonly to: StoreId }
  | {
      readonly kind: "change-members";
      /** A learner that is added as voter is promoted. */
      readonly add: readonly {
        readonly replicaId: ReplicaId;
        readonly storeId: StoreId;
        readonly role: "voter" | "learner";
      }[];
      readonly remove: readonly ReplicaId[];
    }
  | { readonly kind: "split"; readonly parts: readonly SplitPart[] }
  /** Keys that divide the range into `parts` of about the same size; none inside an interval of keys with one of the prefixes. */
  | { readonly kind: "find-split-keys"; readonly parts: number; readonly prefixes: readonly Key[] }
  /** The range is to be taken in by its left neighbour: done when every replica has applied that it serves nobody any more. */
  | {
      readonly kind: "seal";
      readonly leftRangeId: RangeId;
      readonly leftBounds: number;
      readonly replicas: readonly ReplicaPair[];
    }
  /** The range takes its right neighbour in, which is sealed for it on every store. */
  | {
      readonly kind: "merge";
      readonly rightRangeId: RangeId;
      readonly rightBounds: number;
      readonly end: Key;
      readonly seal: SealLabel;
      readonly replicas: readonly ReplicaPair[];
    }
  /** The range is never to take that one in by a merge under those bounds or lower ones; done proves that. */
  | { readonly kind: "cancel-merge"; readonly rightRangeId: RangeId; readonly bounds: number }
  /** To the sealed range: its left neighbour is proven, by these bounds, not to take it in. */
  | { readonly kind: "unseal"; readonly leftRangeId: RangeId; readonly provenBounds: number };

/** Where a seal stands in its range's log. */
export interface SealLabel {
  readonly index: LogIndex;
  readonly term: Term;
}

/** Of two neighbours, on one store. */
export interface ReplicaPair {
  readonly left: ReplicaId;
  readonly right: ReplicaId;
}

/** The part from `key` on becomes a range of its own; parts are made in their order, the rightmost one first. */
export interface SplitPart {
  readonly key: Key;
  readonly rangeId: RangeId;
  /** For each replica of the range the id of its counterpart. */
  readonly replicas: readonly ReplicaPair[];
}

/** From a range's leader to the placement driver. */
export interface StepOutcome {
  readonly type: "step-outcome";
  readonly operatorId: number;
  readonly stepId: number;
  readonly rangeId: RangeId;
  /** Refused: nothing was begun. Failed: it may or may not come into force later. */
  readonly state: "done" | "refused" | "failed";
  readonly reason: string;
  /** Of `find-split-keys`. */
  readonly keys: readonly Key[];
  /** Of `seal`. */
  readonly seal: SealLabel | undefined;
  /** The range's as the leader has applied it; undefined when it has no replica of the range. */
  readonly descriptor: RangeDescriptor | undefined;
}

/**
 * From the placement driver to each member's store: hash your replica when the range's next entry without records is
 * applied, which its leader proposes then. That is the same moment for all of them.
 */
export interface ReplicaHashRequest {
  readonly type: "replica-hash-request";
  readonly requestId: number;
  readonly rangeId: RangeId;
}

export interface ReplicaHash {
  readonly type: "replica-hash";
  readonly requestId: number;
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** Applied by then; hashes of different indexes say nothing. */
  readonly index: LogIndex;
  /** CRC-32 over keys and records in their order. */
  readonly checksum: number;
  readonly keys: number;
  readonly bytes: number;
}

/**
 * From the leader of a range that is to be sealed, or is, to each member's store. Index 0: will this replica, and the left
 * range's beside it, be there after any crash? Else: has it applied the seal at that index?
 */
export interface SealCheck {
  readonly type: "seal-check";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  readonly leftRangeId: RangeId;
  readonly leftReplicaId: ReplicaId;
  /** Of the range that is to be sealed. */
  readonly bounds: number;
  readonly index: LogIndex;
}

export interface SealState {
  readonly type: "seal-state";
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  /** As in the question. */
  readonly bounds: number;
  readonly index: LogIndex;
  readonly ready: boolean;
  /** Why not. */
  readonly reason: string;
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
  /** As the range is, or was when the receiver became a member. */
  readonly descriptor: RangeDescriptor;
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
  | ReplicaAbsent
  | ReplicaGone
  | ReplicaCheck
  | ReplicaVerdict
  | StoreHeartbeat
  | StoreDirectory
  | StoreReport
  | ReportReceipt
  | OperatorStep
  | StepOutcome
  | ReplicaHashRequest
  | ReplicaHash
  | SealCheck
  | SealState
  | SnapshotOffer
  | SnapshotChunk
  | SnapshotAnswer;
