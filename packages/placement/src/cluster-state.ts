/** What decisions are made from: plain data, taken by the placement driver from the reports of one moment. */
import type { Key, LogIndex, NodeId, RangeDescriptor, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type { LoadReport, ReplicaReport, SealedFor, StoreMembership } from "@flotilla/transport";
import type { Operator } from "./operator.ts";
import type { PlacementSettings } from "./placement-settings.ts";

export type StoreHealth = "live" | "suspect" | "dead";

export interface StoreState {
  readonly storeId: StoreId;
  readonly nodeId: NodeId;
  readonly membership: StoreMembership;
  readonly health: StoreHealth;
  /** Since the last heartbeat; for a store that was never heard of: since this driver began. */
  readonly downMs: number;
  /** Refuses writes for want of space. */
  readonly diskFull: boolean;
  /** It is handing its leaderships over, and will be away. */
  readonly stopping: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly sizeBytes: number;
  readonly freeBytes: number;
  readonly snapshotsSending: number;
  readonly snapshotsReceiving: number;
}

export interface ReplicaState {
  readonly replicaId: ReplicaId;
  readonly storeId: StoreId;
  readonly match: LogIndex;
  /** Entries behind the leader. */
  readonly lag: number;
  readonly state: ReplicaReport["state"];
  readonly active: boolean;
}

export interface RangeState {
  readonly descriptor: RangeDescriptor;
  /** 0 = unknown. */
  readonly leader: StoreId;
  readonly term: Term;
  readonly sizeBytes: number;
  /** False: `sizeBytes` is a part of it, by a leader that has not measured the range with these bounds yet. */
  readonly sizeKnown: boolean;
  readonly writesPerSecond: number;
  readonly readsPerSecond: number;
  readonly load: LoadReport;
  readonly configurationPending: boolean;
  readonly sealedFor: SealedFor | undefined;
  /** As the leader sees them; empty while no leader has reported. */
  readonly replicas: readonly ReplicaState[];
}

export const schedulerNames = [
  "repair",
  "balance-replicas",
  "balance-leaders",
  "balance-load",
  "split",
  "merge",
] as const;
export type SchedulerName = (typeof schedulerNames)[number];

export interface ClusterState {
  readonly nowMs: number;
  readonly stores: readonly StoreState[];
  /** The meta range too, in any order. */
  readonly ranges: readonly RangeState[];
  /** Running and cancelling ones. */
  readonly operators: readonly Operator[];
  /** Ended ones as far as they are kept: what moved lately, what failed lately. */
  readonly recent: readonly Operator[];
  readonly paused: ReadonlySet<SchedulerName>;
  /** Keys with one of these prefixes stay in one range. */
  readonly colocatedPrefixes: readonly Key[];
  /** Ranges that begin where an administrator wanted it, or where the cluster was founded: none merges by itself with its left. */
  readonly keptRanges: ReadonlySet<RangeId>;
  readonly settings: PlacementSettings;
}

export function storeHealth(downMs: number, settings: PlacementSettings): StoreHealth {
  if (downMs < settings.storeSuspectMs) return "live";
  return downMs < settings.storeDeadMs ? "suspect" : "dead";
}

/** Where ids come from; the driver takes them in replicated blocks, so that none is ever given out twice. */
export interface IdSource {
  nextReplicaId(): ReplicaId;
  nextRangeId(): RangeId;
}
