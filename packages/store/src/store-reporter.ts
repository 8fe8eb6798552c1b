/** What a store says of itself and of the ranges it leads: for placement, for operators, for metrics. */
import type { Clock } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { RangeReport, StoreStatus } from "@flotilla/transport";
import type { IntervalClearer } from "./engine/interval-clearer.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { RangeMeters } from "./range-meters.ts";
import { sealOf } from "./replica/merge-machine.ts";
import type { StoreCounters } from "./replica/replica-host.ts";
import type { Replica } from "./replica/replica.ts";
import type { ReplicaState, StoreOptions, StoreStatistics } from "./store-api.ts";

interface StoreReporterDependencies {
  readonly clock: Clock;
  readonly disk: DiskSpace;
  readonly clearer: IntervalClearer;
  readonly log: SharedLog;
  readonly meters: RangeMeters;
  readonly replicas: ReadonlyMap<number, Replica>;
  readonly counters: StoreCounters;
  /** Range snapshots under way. */
  snapshots(): { readonly sending: number; readonly receiving: number };
  stopping(): boolean;
  address(): string;
}

/** Numbers that other parts of the store keep. */
type PartStatistics = Pick<
  StoreStatistics,
  | "flushes"
  | "flushedRecords"
  | "memtableBytes"
  | "writePaceBytesPerSecond"
  | "snapshotsSent"
  | "snapshotsInstalled"
  | "clientStreams"
  | "withoutLeaderMs"
  | "peerStreams"
  | "peerMessagesSent"
  | "peerPayloadsSent"
  | "decommissioned"
>;

export class StoreReporter {
  readonly #startedMs: number;
  readonly #options: StoreOptions;
  readonly #dependencies: StoreReporterDependencies;

  constructor(options: StoreOptions, dependencies: StoreReporterDependencies) {
    this.#options = options;
    this.#dependencies = dependencies;
    this.#startedMs = dependencies.clock.monotonicMs();
  }

  status(): StoreStatus {
    const { storeId, nodeId, httpAddress, pid, serverVersion, dataDir, labels } = this.#options;
    const { clock, disk, log, meters, replicas, address, snapshots } = this.#dependencies;
    const { logBytes, fsyncs } = log.statistics();
    let leaders = 0;
    for (const replica of replicas.values()) if (replica.leads) leaders++;
    return {
      storeId,
      nodeId,
      address: address(),
      httpAddress,
      pid,
      serverVersion,
      uptimeMs: Math.round(clock.monotonicMs() - this.#startedMs),
      dataDir,
      replicas: replicas.size,
      leaders,
      sizeBytes: meters.sizeBytes,
      freeBytes: disk.freeBytes,
      logBytes,
      fsyncs,
      snapshotsSending: snapshots().sending,
      snapshotsReceiving: snapshots().receiving,
      intervalsClearing: this.#dependencies.clearer.size,
      stopping: this.#dependencies.stopping(),
      labels,
    };
  }

  replicas(): ReplicaState[] {
    return [...this.#dependencies.replicas.values()].map(({ replicaId, machine, serves, loading, sealed, sleep }) => ({
      replicaId,
      descriptor: machine.descriptor,
      appliedIndex: machine.appliedIndex,
      serves: serves && !sealed,
      loading,
      sealed,
      asleep: sleep.asleep,
      wokenBy: sleep.wokenBy,
    }));
  }

  range(replica: Replica): RangeReport {
    const status = replica.node.status();
    const { sizeBytes, sizeKnown, writesPerSecond, readsPerSecond, bytesPerSecond, load } =
      this.#dependencies.meters.of(replica);
    return {
      descriptor: replica.descriptor,
      term: status.term,
      leaderStoreId: this.#options.storeId,
      sizeBytes,
      sizeKnown,
      keys: null,
      writesPerSecond,
      readsPerSecond,
      bytesPerSecond,
      load,
      asleep: replica.sleep.asleep,
      configurationPending: replica.configurationPending,
      sealedFor: sealOf(replica.machine),
      replicas: status.progress.map((member) => ({
        replicaId: member.id,
        storeId: replica.storeOf(member.id),
        match: member.match,
        state: member.state,
        active: member.heard,
      })),
    };
  }

  statistics(parts: PartStatistics): StoreStatistics {
    let pendingCommands = 0;
    let rangesWithoutLeader = 0;
    let replicasAsleep = 0;
    for (const replica of this.#dependencies.replicas.values()) {
      pendingCommands += replica.pendingCommands;
      if (replica.node.leader === 0) rangesWithoutLeader++;
      if (replica.sleep.asleep) replicasAsleep++;
    }
    const { commandsApplied, commandsRefused, readsServed, entriesProposed, elections } = this.#dependencies.counters;
    return {
      status: this.status(),
      commandsApplied,
      commandsRefused,
      readsServed,
      entriesProposed,
      elections,
      pendingCommands,
      rangesWithoutLeader,
      replicasAsleep,
      ...parts,
    };
  }
}
