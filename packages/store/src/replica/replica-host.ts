/** Between a replica and its store: what a replica asks for, and how one comes to be. */
import type { Environment, ReplicaId, StoreId } from "@flotilla/base";
import type { Message, Ready, Role, SnapshotLabel } from "@flotilla/raft";
import type { RoutingRefusal } from "../clients/client-connection.ts";
import type { StoreSettings } from "../store-settings.ts";
import type { WritePace } from "../write-pace.ts";
import type { MergeEntry } from "./merge-entry.ts";
import type { QueuedRead } from "./read-queue.ts";
import type { Replica } from "./replica.ts";
import type { StateMachine } from "./state-machine.ts";

/** What a replica needs of its store. */
export interface ReplicaHost {
  readonly environment: Environment;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  /** Its heartbeats come, and its log takes writes; true of this store. */
  isAlive(store: StoreId): boolean;
  /** Leaders of this store may sleep: its log takes writes, and it is not being stopped. */
  mayRest(): boolean;
  /** It takes ticks no more, or again. */
  noteSleep(replica: Replica, asleep: boolean): void;
  nextReadContext(): number;
  /** Something changed that the round has to look at. */
  markDirty(replica: Replica): void;
  sendRaft(replica: Replica, message: Message): void;
  /** Entries, hard state or a snapshot go to the shared log with this turn's batch. */
  persist(replica: Replica, ready: Ready): void;
  /** Messages that wait until everything staged so far is durable. */
  sendAfterPersisted(replica: Replica, messages: readonly Message[]): void;
  serveReads(replica: Replica, reads: readonly QueuedRead[]): void;
  installSnapshot(replica: Replica, label: SnapshotLabel): void;
  /** Why this range cannot be served here now, in words, with what is known of its leader. */
  routingRefusal(replica: Replica): RoutingRefusal;
  /** To a client that knows other bounds. */
  epochMismatch(replica: Replica): RoutingRefusal;
  onRoleChanged(replica: Replica, role: Role): void;
  /** A split came into force: `right` begins to live in this very step, as the counterpart `replicaId` of `left`. */
  adoptRightHalf(left: Replica, right: StateMachine, replicaId: ReplicaId): void;
  /**
   * A merge comes into force in `left`: in this very step its right neighbour's replica here ends and its records are the
   * left one's. False: they would not fit together, on any store.
   */
  takeIn(left: Replica, merge: MergeEntry): boolean;
  /** The replica applied a configuration without itself. */
  onRemoved(replica: Replica): void;
  readonly counters: StoreCounters;
  readonly pace: WritePace;
}

/**
 * Makes a replica of the store at runtime, from a machine that holds its records as they are now. The log has its group
 * already; `brandNew` only when the id is used for the first time in this very moment, so that nothing
 * can have been promised under it. The range must have no replica here, its interval be in no other's and not be cleared.
 */
export type AddReplica = (machine: StateMachine, replicaId: ReplicaId, brandNew: boolean) => Replica;

export interface StoreCounters {
  commandsApplied: number;
  commandsRefused: number;
  readsServed: number;
  entriesProposed: number;
  elections: number;
}

export const noCounts = (): StoreCounters => ({
  commandsApplied: 0,
  commandsRefused: 0,
  readsServed: 0,
  entriesProposed: 0,
  elections: 0,
});
