/** The metrics of a node, in one table: name, type, meaning, and where its number comes from. */
import type { StoreThreadStatistics } from "../node/store-thread-messages.ts";

export interface MetricDefinition {
  readonly name: string;
  readonly type: "counter" | "gauge";
  readonly help: string;
  value(statistics: StoreThreadStatistics): number;
}

type Row = readonly [
  name: string,
  type: "counter" | "gauge",
  help: string,
  value: (statistics: StoreThreadStatistics) => number,
];

const rows: readonly Row[] = [
  [
    "flotilla_commands_applied_total",
    "counter",
    "Commands applied by ranges that this store leads",
    ({ store }) => store.commandsApplied,
  ],
  [
    "flotilla_commands_refused_total",
    "counter",
    "Commands refused before they were proposed",
    ({ store }) => store.commandsRefused,
  ],
  [
    "flotilla_commands_pending",
    "gauge",
    "Commands proposed and not yet answered",
    ({ store }) => store.pendingCommands,
  ],
  ["flotilla_reads_served_total", "counter", "Point reads and scan pages answered", ({ store }) => store.readsServed],
  ["flotilla_entries_proposed_total", "counter", "Raft entries proposed", ({ store }) => store.entriesProposed],
  ["flotilla_elections_total", "counter", "Elections that this store's replicas began", ({ store }) => store.elections],
  ["flotilla_flushes_total", "counter", "Flushes of memtables into the engine", ({ store }) => store.flushes],
  ["flotilla_flushed_records_total", "counter", "Records flushed into the engine", ({ store }) => store.flushedRecords],
  [
    "flotilla_memtable_bytes",
    "gauge",
    "Committed bytes in memory, the flushing ones included",
    ({ store }) => store.memtableBytes,
  ],
  ["flotilla_replicas", "gauge", "Replicas on this store", ({ store }) => store.status.replicas],
  ["flotilla_leaders", "gauge", "Ranges that this store leads", ({ store }) => store.status.leaders],
  [
    "flotilla_ranges_without_leader",
    "gauge",
    "Ranges of this store without a known leader",
    ({ store }) => store.rangesWithoutLeader,
  ],
  [
    "flotilla_range_without_leader_seconds",
    "gauge",
    "How long that one of them misses its leader which does so longest; 0 when none does",
    ({ store }) => store.withoutLeaderMs / 1000,
  ],
  [
    "flotilla_replicas_asleep",
    "gauge",
    "Replicas on this store that sleep: nothing was asked of their ranges for a while",
    ({ store }) => store.replicasAsleep,
  ],
  ["flotilla_snapshots_sent_total", "counter", "Range snapshots sent", ({ store }) => store.snapshotsSent],
  [
    "flotilla_snapshots_installed_total",
    "counter",
    "Range snapshots installed",
    ({ store }) => store.snapshotsInstalled,
  ],
  [
    "flotilla_snapshots_sending",
    "gauge",
    "Range snapshots on their way to other stores",
    ({ store }) => store.status.snapshotsSending,
  ],
  [
    "flotilla_snapshots_receiving",
    "gauge",
    "Range snapshots on their way to this store",
    ({ store }) => store.status.snapshotsReceiving,
  ],
  [
    "flotilla_intervals_clearing",
    "gauge",
    "Intervals of replicas that are gone, not cleared yet",
    ({ store }) => store.status.intervalsClearing,
  ],
  ["flotilla_client_streams", "gauge", "Open streams of clients", ({ store }) => store.clientStreams],
  ["flotilla_peer_streams", "gauge", "Open streams of other stores", ({ store }) => store.peerStreams],
  [
    "flotilla_peer_messages_sent_total",
    "counter",
    "Messages that left for other stores",
    ({ store }) => store.peerMessagesSent,
  ],
  [
    "flotilla_peer_payloads_sent_total",
    "counter",
    "Payloads in which they left: one for all that a turn of the loop has for a store",
    ({ store }) => store.peerPayloadsSent,
  ],
  ["flotilla_size_bytes", "gauge", "Bytes of this store's data on disk", ({ store }) => store.status.sizeBytes],
  ["flotilla_free_bytes", "gauge", "Free bytes on the disk of this store", ({ store }) => store.status.freeBytes],
  ["flotilla_log_fsyncs_total", "counter", "fsyncs of the shared log", ({ log }) => log.fsyncs],
  ["flotilla_log_frames_total", "counter", "Frames written to the shared log", ({ log }) => log.frames],
  [
    "flotilla_log_frame_seconds_total",
    "counter",
    "Time spent writing and syncing frames of the shared log",
    ({ log }) => log.frameMs / 1000,
  ],
  ["flotilla_log_written_bytes_total", "counter", "Bytes written to the shared log", ({ log }) => log.bytesWritten],
  ["flotilla_log_segments", "gauge", "Segments of the shared log", ({ log }) => log.segments],
  ["flotilla_log_bytes", "gauge", "Size of the shared log", ({ log }) => log.logBytes],
  [
    "flotilla_log_flush_under_way_seconds",
    "gauge",
    "Age of the log write under way, 0 without one",
    ({ log }) => log.flushUnderWayMs / 1000,
  ],
  [
    "flotilla_engine_level_zero_files",
    "gauge",
    "Files at level zero of the engine: how far compaction is behind",
    (all) => all.levelZeroFiles,
  ],
  [
    "flotilla_write_pace_bytes_per_second",
    "gauge",
    "What writers are held to while the engine's compaction is behind, +Inf while they are not",
    ({ store }) => store.writePaceBytesPerSecond,
  ],
  ["flotilla_ready", "gauge", "1 when every range of this store has a leader", ({ ready }) => (ready ? 1 : 0)],
  [
    "flotilla_store_loop_delay_mean_seconds",
    "gauge",
    "Mean delay of the store's event loop since the last scrape",
    ({ loop }) => loop.delayMeanSeconds,
  ],
  [
    "flotilla_store_loop_delay_p99_seconds",
    "gauge",
    "99th percentile of the delay of the store's event loop since the last scrape",
    ({ loop }) => loop.delayP99Seconds,
  ],
  [
    "flotilla_store_loop_delay_max_seconds",
    "gauge",
    "Longest delay of the store's event loop since the last scrape",
    ({ loop }) => loop.delayMaxSeconds,
  ],
  [
    "flotilla_store_loop_utilization",
    "gauge",
    "Share of time the store's event loop was busy since the last scrape",
    ({ loop }) => loop.utilization,
  ],
  [
    "flotilla_store_gc_total",
    "counter",
    "Garbage collections of the store's thread",
    ({ loop }) => loop.garbageCollections,
  ],
  [
    "flotilla_store_gc_seconds_total",
    "counter",
    "Time the store's thread spent collecting garbage",
    ({ loop }) => loop.garbageCollectionSeconds,
  ],
  [
    "flotilla_store_heap_used_bytes",
    "gauge",
    "JavaScript heap of the store's thread",
    ({ loop }) => loop.heapUsedBytes,
  ],
];

export const metricDefinitions: readonly MetricDefinition[] = rows.map(([name, type, help, value]) => ({
  name,
  type,
  help,
  value,
}));
