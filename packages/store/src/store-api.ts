/** What a server (or the simulator) gives a store, and what it gets back. */
import type { Environment, Files, Incarnation, LogIndex, RangeDescriptor, ReplicaId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import type { SharedLog } from "@flotilla/raft-log";
import type { Engine } from "@flotilla/storage";
import type { Codec, Dialer, ListenerFactory, StoreStatus } from "@flotilla/transport";
import type { NodeId, StoreId } from "@flotilla/base";
import type { WakeReason } from "./replica/replica-sleep.ts";
import type { SnapshotJobs } from "./snapshot/snapshot-jobs.ts";
import type { StoreSettings } from "./store-settings.ts";

export interface StoreOptions {
  readonly plan: ClusterPlan;
  readonly nodeId: NodeId;
  readonly storeId: StoreId;
  readonly storeKey: string;
  /** Raised by one and made durable before this start. */
  readonly incarnation: Incarnation;
  /** To listen on, `host:port`. */
  readonly address: string;
  /** Where others find it, when that is not the address it listens on. */
  readonly advertisedAddress?: string | undefined;
  /** Of the node's HTTP, for node lists. */
  readonly httpAddress: string;
  /** Where other stores of the cluster may be found; their handshakes say who they are. */
  readonly peerAddresses: readonly string[];
  readonly pid: number;
  readonly serverVersion: string;
  readonly dataDir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly settings: StoreSettings;
}

export interface StoreDependencies {
  readonly environment: Environment;
  /** The store's directory; the store itself uses `staging/` only. */
  readonly files: Files;
  readonly log: SharedLog;
  readonly engine: Engine;
  /** On that engine and those files. */
  readonly snapshotJobs: SnapshotJobs;
  readonly codec: Codec;
  readonly dialer: Dialer;
  readonly listeners: ListenerFactory;
  /** Milliseconds for which the store's event loop was busy, ever: only rises. Undefined: nobody knows, as in the simulator. */
  readonly loopBusyMs?: (() => number) | undefined;
  /** Called once when the store must not go on: a failed write or fsync, a broken invariant. Nothing is sent afterwards. */
  onHalt(error: unknown): void;
}

/** Numbers for metrics; counters rise from the start of the process. */
export interface StoreStatistics {
  readonly status: StoreStatus;
  readonly commandsApplied: number;
  readonly commandsRefused: number;
  readonly readsServed: number;
  readonly entriesProposed: number;
  readonly flushes: number;
  readonly flushedRecords: number;
  readonly memtableBytes: number;
  /** To which writers are held while compaction is behind; Infinity: they are not. */
  readonly writePaceBytesPerSecond: number;
  readonly pendingCommands: number;
  readonly snapshotsSent: number;
  readonly snapshotsInstalled: number;
  readonly elections: number;
  readonly rangesWithoutLeader: number;
  /** How long the one of them is without that misses it longest; 0 = none. */
  readonly withoutLeaderMs: number;
  /** Of this store. */
  readonly replicasAsleep: number;
  readonly clientStreams: number;
  readonly peerStreams: number;
  /** To other stores; those of a turn leave together, in one payload for each of them. */
  readonly peerMessagesSent: number;
  readonly peerPayloadsSent: number;
  /** It is out of the cluster, for good; it learns that from the others' refusals. */
  readonly decommissioned: boolean;
}

/** One replica that lives on a store. */
export interface ReplicaState {
  readonly replicaId: ReplicaId;
  /** As this replica has applied it. */
  readonly descriptor: RangeDescriptor;
  readonly appliedIndex: LogIndex;
  /** It leads its range, and answers linearizable reads and writes. */
  readonly serves: boolean;
  /** A range snapshot is being loaded: descriptor and index are those of before. */
  readonly loading: boolean;
  /** It waits for its left neighbour to take it in, and answers nobody. */
  readonly sealed: boolean;
  /** It takes no ticks. */
  readonly asleep: boolean;
  /** Of the last time that it did not go on sleeping. */
  readonly wokenBy: WakeReason;
}

export interface StoreApi {
  /** Where others find it: the address really bound, unless another one is advertised. */
  readonly address: string;
  /** All ranges of this store have a leader, as far as it knows. */
  readonly ready: boolean;
  statistics(): StoreStatistics;
  /** All that live here at this moment, in no order. */
  replicas(): ReplicaState[];
  /** Hands leaderships over (bounded by `transferMs`), flushes, settles, closes snapshot jobs, log and engine. */
  stop(options: { readonly transferMs: number }): Promise<void>;
}

/** `openStore` in store.ts: recovers, listens, and resolves when the store takes part. */
export type OpenStore = (options: StoreOptions, dependencies: StoreDependencies) => Promise<StoreApi>;
