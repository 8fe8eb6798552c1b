/** Every number a store runs by, with its unit in the name. The server's settings module overrides and documents them. */
import type { RawNodeOptions } from "@flotilla/raft";

export interface StoreSettings {
  readonly tickMs: number;
  readonly storeHeartbeatMs: number;
  /** The election timeout is drawn from [electionTicksMin, 2 × electionTicksMin) ticks. */
  readonly electionTicksMin: number;
  readonly heartbeatTicks: number;
  /** A range of which nothing new came for so many ticks sleeps; 0 = none does. Heartbeats and ticks are for the others only. */
  readonly sleepTicks: number;
  /** Length of a leader's lease, in percent of the shortest election timeout; 0 = none. The same on all stores of a cluster. */
  readonly leasePercent: number;
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Not yet confirmed bytes to one peer store; beyond, Raft messages to it are dropped (Raft probes again). */
  readonly peerUnconfirmedBytesMax: number;
  /** Per range. */
  readonly uncommittedBytesMax: number;
  /** Effects of one Raft entry; one larger command goes alone. */
  readonly entryTargetBytes: number;
  readonly valueBytesMax: number;
  /** Committed bytes in all memtables that start a flush. */
  readonly flushBytes: number;
  /** Committed bytes in all memtables, the flushing ones included, from which writes are answered Busy. */
  readonly memtableBytesMax: number;
  /** Unconfirmed answer bytes to one client from which its reads and scans wait. */
  readonly clientUnconfirmedBytesMax: number;
  readonly scanPageBytes: number;
  /** Range snapshot chunks, and bytes under way for one snapshot. */
  readonly snapshotChunkBytes: number;
  readonly snapshotCreditBytes: number;
  /** Of all range snapshots that this store sends, together. */
  readonly snapshotBytesPerSecond: number;
  /** A store not heard of for this long is dead to placement. */
  readonly storeDeadMs: number;
  /** A store not heard of for this long is given up: its replicas are made anew elsewhere. */
  readonly storeDownMs: number;
  /** A range larger than this is split. */
  readonly splitBytes: number;
  /** A range with more load than this for a while is split where its load falls into halves; 0 = never for that reason. */
  readonly splitOperationsPerSecond: number;
  readonly splitBytesPerSecond: number;
  /** Of the time of its leader's loop. */
  readonly splitLoopPercent: number;
  /** Keys of a hot range are sampled for three windows of this length before it is split. */
  readonly splitSampleMs: number;
  /** Leaders move when the loads of two stores differ by more than this share of the mean; 0 = load is not balanced. */
  readonly balanceLoadPercent: number;
  /** Neighbours smaller than this, and together at most half of `splitBytes`, become one range; 0 = none do by themselves. */
  readonly mergeBytes: number;
  /** A range that was split, or made by a split, is not merged by itself for this long. */
  readonly mergeCooldownMs: number;
  /** Replicas that a store may be receiving, and sending, at once for repair and balance. */
  readonly snapshotsPerStoreMax: number;
  /** Operators that the placement driver has under way at once, those of administrators apart. */
  readonly operatorsMax: number;
  /** Free bytes below which the store answers DiskFull. */
  readonly diskFreeBytesMin: number;
}

const KiB = 1024;
const MiB = 1024 * KiB;

export const defaultStoreSettings: StoreSettings = {
  tickMs: 100,
  storeHeartbeatMs: 250,
  electionTicksMin: 20,
  heartbeatTicks: 3,
  sleepTicks: 50,
  leasePercent: 80,
  appendBytesMax: 128 * KiB,
  inflightMessagesMax: 64,
  inflightBytesMax: 4 * MiB,
  peerUnconfirmedBytesMax: 16 * MiB,
  uncommittedBytesMax: 8 * MiB,
  entryTargetBytes: 96 * KiB,
  valueBytesMax: MiB,
  flushBytes: 8 * MiB,
  memtableBytesMax: 64 * MiB,
  clientUnconfirmedBytesMax: 8 * MiB,
  scanPageBytes: 256 * KiB,
  snapshotChunkBytes: 256 * KiB,
  snapshotCreditBytes: 2 * MiB,
  snapshotBytesPerSecond: 64 * MiB,
  storeDeadMs: 3000,
  storeDownMs: 300_000,
  splitBytes: 256 * MiB,
  splitOperationsPerSecond: 10_000,
  splitBytesPerSecond: 0,
  splitLoopPercent: 0,
  splitSampleMs: 5000,
  balanceLoadPercent: 25,
  mergeBytes: 32 * MiB,
  mergeCooldownMs: 600_000,
  snapshotsPerStoreMax: 2,
  operatorsMax: 64,
  diskFreeBytesMin: 256 * MiB,
};

/** A range snapshot is written to the engine in batches of about this size. */
export const loadBatchBytes = ({ snapshotChunkBytes }: StoreSettings): number => 4 * snapshotChunkBytes;

/** What a leader's heartbeat grants, and what a voter keeps to after its own start (rule: lease). */
export function leaseMs({ electionTicksMin, tickMs, leasePercent }: StoreSettings): number {
  return Math.floor((electionTicksMin * tickMs * leasePercent) / 100);
}

/** Committed entries are handed out to be applied in pieces of this size. */
const committedBytesMax: number = 4 * MiB;

/** For every replica of the store. */
export function raftOptions(settings: StoreSettings): Omit<RawNodeOptions, "id"> {
  return {
    electionTicksMin: settings.electionTicksMin,
    heartbeatTicks: settings.heartbeatTicks,
    appendBytesMax: settings.appendBytesMax,
    inflightMessagesMax: settings.inflightMessagesMax,
    inflightBytesMax: settings.inflightBytesMax,
    uncommittedBytesMax: settings.uncommittedBytesMax,
    committedBytesMax,
    leaseMs: leaseMs(settings),
  };
}
