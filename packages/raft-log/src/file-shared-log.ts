/** The shared log over `Files`: what the store calls, put together from its parts. Format: log-format.ts. */
import type {
  ByteOperations,
  Clock,
  Files,
  Logger,
  LogIndex,
  RandomSource,
  RangeId,
  ReplicaId,
  Term,
} from "@flotilla/base";
import { assert } from "@flotilla/base";
import type { Entry, HardState, LogReader } from "@flotilla/raft";
import { logDirectory } from "./log-format.ts";
import { LogGroups } from "./log-groups.ts";
import type { FileSharedLogOptions, LogOptions } from "./log-options.ts";
import { withDefaults } from "./log-options.ts";
import { LogReclaimer } from "./log-reclaimer.ts";
import { recover } from "./log-recovery.ts";
import { LogWriter } from "./log-writer.ts";
import { RecentBudget } from "./recent-entries.ts";
import { SegmentChain } from "./segment-chain.ts";
import { SegmentReserve } from "./segment-reserve.ts";
import type { GroupState, LogStatistics, SharedLog } from "./shared-log.ts";

export interface FileSharedLogDependencies {
  readonly files: Files;
  readonly bytes: ByteOperations;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
}

export interface FileLogStatistics extends LogStatistics {
  /** Prepared segments that wait to be used. */
  readonly reserveSegments: number;
  /** The last attempt to prepare one found the disk full. */
  readonly diskFull: boolean;
  /** Recent entries in memory. */
  readonly cacheBytes: number;
  /** Of the frame under construction. */
  readonly stagedBytes: number;
}

export class FileSharedLog implements SharedLog {
  readonly #groups: LogGroups;
  readonly #budget: RecentBudget;
  readonly #reserve: SegmentReserve;
  readonly #chain: SegmentChain;
  readonly #writer: LogWriter;
  readonly #reclaimer: LogReclaimer;
  #flushing = false;
  #reclaiming: Promise<RangeId[]> | undefined;
  #closed = false;

  private constructor(options: LogOptions, dependencies: FileSharedLogDependencies) {
    const { files, bytes, logger } = dependencies;
    const onFailure = (error: unknown): void => void this.#writer.fail(error);
    const reserve = new SegmentReserve({ ...options, onFailure }, dependencies);
    const chain = new SegmentChain(files, bytes, reserve);
    this.#budget = new RecentBudget(options.cacheBytes);
    const groups = new LogGroups({
      bytes,
      budget: this.#budget,
      read: (segment, offset, length) => chain.read(segment, offset, length),
    });
    this.#reserve = reserve;
    this.#chain = chain;
    this.#groups = groups;
    this.#writer = new LogWriter({ ...dependencies, groups, chain, reserve });
    this.#reclaimer = new LogReclaimer(options, { groups, chain, writer: this.#writer, logger });
  }

  /**
   * Opens the log under `log/`, or makes it. What it then says is durable. Throws `CorruptionError` with file and offset, and
   * `FormatTooNew`; the files are as they were in both cases.
   */
  static async open(options: FileSharedLogOptions, dependencies: FileSharedLogDependencies): Promise<FileSharedLog> {
    const log = new FileSharedLog(withDefaults(options), dependencies);
    const { files } = dependencies;
    const recovered = await recover(files, dependencies.bytes, log.#groups);
    try {
      if (recovered.sequence === 0 && recovered.segments.length === 0) {
        await files.makeDirectory(logDirectory);
        await files.syncDirectory("");
      }
      await log.#reserve.adopt(await files.list(logDirectory));
      await log.#writer.beginAfter(recovered);
    } catch (error) {
      for (const segment of [...recovered.segments, ...recovered.superfluous]) await segment.file.close();
      throw error;
    }
    log.#reserve.topUp();
    return log;
  }

  groups(): GroupState[] {
    const states: GroupState[] = [];
    for (const group of this.#groups.byRange.values()) {
      if (group.replicaId !== 0 || group.tombstone !== 0) states.push(group.state());
    }
    return states;
  }

  visitReplicas(visit: (range: RangeId, replica: ReplicaId) => void): void {
    for (const { rangeId, replicaId } of this.#groups.byRange.values()) if (replicaId !== 0) visit(rangeId, replicaId);
  }

  group(range: RangeId): GroupState | undefined {
    const group = this.#groups.byRange.get(range);
    return group === undefined || (group.replicaId === 0 && group.tombstone === 0) ? undefined : group.state();
  }

  /** Stays valid for the range, whatever replica it has. */
  reader(range: RangeId): LogReader {
    return this.#groups.forRange(range);
  }

  createGroup(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.install(range, replica, index, term);
  }

  append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void {
    this.#assertUsable();
    if (entries.length === 0) return;
    const group = this.#groups.forReplica(range, replica);
    const first = entries[0]!.index;
    assert(
      first > group.checkpoint,
      () => `entries of range ${range} from ${first} on replace what is in the state machine up to ${group.checkpoint}`,
    );
    group.beginEntries(first);
    this.#writer.stageEntries(group, entries);
  }

  setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void {
    this.#assertUsable();
    const replicaBefore = this.#groups.byRange.get(range)?.replicaId;
    const group = this.#groups.forReplica(range, replica);
    const commitBefore = group.commit;
    const owesSync = replicaBefore !== replica || hardState.term !== group.hardTerm || hardState.vote !== group.vote;
    group.setHardState(hardState.term, hardState.vote, hardState.commit);
    if (owesSync) {
      this.#writer.staged.hardState(group);
      group.commitStaged = false;
    } else if (group.commit !== commitBefore) {
      this.#writer.stageCommit(group);
    }
  }

  install(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.#assertUsable();
    const group = this.#groups.forReplica(range, replica);
    const kept = group.keepsBehind(index, term);
    group.install(index, term, kept);
    this.#writer.staged.install(group, index, term, kept);
  }

  /** A replica whose id is not below `lowestAllowed` stays. */
  tombstone(range: RangeId, lowestAllowed: ReplicaId): void {
    this.#assertUsable();
    const group = this.#groups.forRange(range);
    if (lowestAllowed <= group.tombstone) return;
    group.setTombstone(lowestAllowed);
    this.#writer.staged.tombstone(group, lowestAllowed);
  }

  hasStaged(): boolean {
    return this.#writer.owesFrame;
  }

  async flush(): Promise<void> {
    this.#assertUsable();
    assert(!this.#flushing, "a flush is under way already");
    this.#flushing = true;
    try {
      await this.#writer.writeFrame(true);
    } finally {
      this.#flushing = false;
    }
  }

  noteIdle(): void {
    if (!this.#closed) this.#writer.noteIdle();
  }

  checkpoint(range: RangeId, index: LogIndex, replica?: ReplicaId): void {
    const group = this.#groups.byRange.get(range);
    if (group === undefined || group.replicaId === 0) return;
    if (replica !== undefined && replica !== group.replicaId) return;
    assert(
      index <= group.lastIndex(),
      () => `checkpoint ${index} of range ${range} is behind its last entry ${group.lastIndex()}`,
    );
    if (index > group.checkpoint) group.checkpoint = index;
  }

  async reclaim(force = false): Promise<RangeId[]> {
    this.#assertUsable();
    assert(this.#reclaiming === undefined, "a reclaim is under way already");
    this.#reserve.topUp();
    this.#reclaiming = this.#reclaimer.reclaim(force);
    try {
      return await this.#reclaiming;
    } finally {
      this.#reclaiming = undefined;
    }
  }

  heldBackBy(): { readonly rangeId: RangeId; readonly index: LogIndex }[] {
    return this.#reclaimer.heldBackBy();
  }

  /** Tries again to prepare segments after the disk was full; `reclaim` and rotation do it, too. */
  prepare(): void {
    if (!this.#writer.failed && !this.#closed) this.#reserve.topUp();
  }

  statistics(): FileLogStatistics {
    const writer = this.#writer;
    return {
      fsyncs: writer.fsyncs,
      frames: writer.frames,
      frameMs: writer.frameMs,
      bytesWritten: writer.bytesWritten,
      segments: this.#chain.length,
      logBytes: this.#chain.logBytes,
      flushUnderWayMs: writer.underWayMs,
      reserveSegments: this.#reserve.ready,
      diskFull: this.#reserve.full,
      cacheBytes: this.#budget.bytes,
      stagedBytes: writer.staged.frameBytes,
    };
  }

  /** Also flushes what is still staged. After a failure: closes the files, and rejects with that failure. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#reclaimer.stop();
    try {
      await this.#reclaiming?.catch(() => {});
      await this.#writer.writeFrame(true);
      await this.#writer.writeClosing();
    } finally {
      await this.#reserve.stop();
      await this.#chain.close();
    }
  }

  #assertUsable(): void {
    this.#writer.throwFailure();
    assert(!this.#closed, "the log is closed");
  }
}
