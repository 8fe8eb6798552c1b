/** The shared log over `Files`: staging, group commit, closing frames, rotation, reclaim. Format: log-format.ts. */
import type { ByteOperations, Clock, Files, LogIndex, Logger, RandomSource, RangeId, ReplicaId, Term } from "@flotilla/base";
import { assert } from "@flotilla/base";
import type { Entry, HardState, LogReader } from "@flotilla/raft";
import { pendingSegment } from "./entry-columns.ts";
import { FrameBuilder } from "./frame-builder.ts";
import type { GroupDependencies, GroupLog } from "./group-log.ts";
import { LogGroups } from "./log-groups.ts";
import { blockBytes, encodeClosingFrame, frameHeaderBytes, logDirectory, logFormat, padded, segmentBytesMax, segmentHeaderLength, writeFrameHeader } from "./log-format.ts";
import type { Salt } from "./log-format.ts";
import type { Frame } from "./frame-reader.ts";
import type { Recovered } from "./log-recovery.ts";
import { recover } from "./log-recovery.ts";
import type { ReclaimStep } from "./reclaim-plan.ts";
import { planReclaim } from "./reclaim-plan.ts";
import { RecentBudget } from "./recent-entries.ts";
import type { SegmentStart } from "./segment-chain.ts";
import { SegmentChain } from "./segment-chain.ts";
import { SegmentReserve, segmentBytesMin } from "./segment-reserve.ts";
import type { GroupState, LogStatistics, SharedLog } from "./shared-log.ts";

export interface FileSharedLogOptions {
  /** Size of a segment. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Size of a segment that is made when none is prepared, as at every open. Default 4 MiB, at most `segmentBytes`. */
  readonly shortSegmentBytes?: number;
  /** `reclaim` frees segments while the log is larger. Default 512 MiB. */
  readonly logBytesTarget?: number;
  /** `heldBackBy` speaks up when the next segment would make the log larger. Default twice the target. */
  readonly logBytesMax?: number;
  /** Recent entries kept in memory, all groups together. Default 64 MiB. */
  readonly cacheBytes?: number;
  /** Segments zero-filled ahead of need. Default 2. */
  readonly preparedSegments?: number;
  /** A group's tail that is appended again to free a segment has at most this size. Default 4 MiB, at most a quarter segment. */
  readonly rewriteBytesMax?: number;
  /** True: the disk is full, no segment can be prepared, only the reserve is left. False: there is room again. */
  readonly onSpace?: (full: boolean) => void;
}

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

type Options = Required<FileSharedLogOptions>;

interface FrameInFlight {
  readonly builder: FrameBuilder;
  readonly chunks: readonly Uint8Array[];
  readonly frameBytes: number;
  /** Present when it is the first frame of a new segment. */
  readonly start: SegmentStart | undefined;
}

const mebibyte = 1024 * 1024;

function withDefaults(options: FileSharedLogOptions): Options {
  const segmentBytes = options.segmentBytes ?? 64 * mebibyte;
  const logBytesTarget = options.logBytesTarget ?? 512 * mebibyte;
  assert(segmentBytes >= segmentBytesMin && segmentBytes <= segmentBytesMax && segmentBytes % blockBytes === 0, () =>
    `segmentBytes must be a multiple of ${blockBytes} from ${segmentBytesMin} to ${segmentBytesMax}, got ${segmentBytes}`);
  return {
    segmentBytes,
    shortSegmentBytes: options.shortSegmentBytes ?? Math.min(4 * mebibyte, segmentBytes),
    logBytesTarget,
    logBytesMax: options.logBytesMax ?? 2 * logBytesTarget,
    cacheBytes: options.cacheBytes ?? 64 * mebibyte,
    preparedSegments: options.preparedSegments ?? 2,
    rewriteBytesMax: options.rewriteBytesMax ?? Math.min(4 * mebibyte, Math.floor(segmentBytes / 4)),
    onSpace: options.onSpace ?? (() => {}),
  };
}

export class FileSharedLog implements SharedLog {
  readonly #options: Options;
  readonly #operations: ByteOperations;
  readonly #clock: Clock;
  readonly #random: RandomSource;
  readonly #logger: Logger;
  readonly #reserve: SegmentReserve;
  readonly #chain: SegmentChain;
  readonly #groups: LogGroups;
  readonly #budget: RecentBudget;

  /** The frame under construction, and the builder that waits or is being written. */
  #staged: FrameBuilder;
  #spare: FrameBuilder;
  /** Groups whose commit index rides along with the next frame. */
  #commitGroups: GroupLog[] = [];
  /** A flush of our own took what the owner staged: it still has to ask for it. */
  #unreported = false;

  /** #durableSequence ≤ #sequence ≤ #durableSequence + 1: the last frame that got its place. */
  #sequence = 0;
  #durableSequence = 0;
  /** Where the next frame goes in the active segment; a closing frame may stand there. */
  #offset = 0;
  #closingWritten = false;

  /** Writes to the file go one behind the other; never rejects. */
  #underWay: Promise<void> | undefined;
  #flushing = false;
  #flushStartedMs: number | undefined;
  #reclaiming: Promise<RangeId[]> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #closed = false;

  #fsyncs = 0;
  #frames = 0;
  #bytesWritten = 0;

  private constructor(options: Options, dependencies: FileSharedLogDependencies) {
    this.#options = options;
    this.#operations = dependencies.bytes;
    this.#clock = dependencies.clock;
    this.#random = dependencies.random;
    this.#logger = dependencies.logger;
    const onFailure = (error: unknown): void => void this.#fail(error);
    this.#reserve = new SegmentReserve({ ...options, onFailure }, dependencies);
    this.#chain = new SegmentChain(dependencies.files, dependencies.bytes, this.#reserve);
    this.#budget = new RecentBudget(options.cacheBytes);
    const groupDependencies: GroupDependencies = {
      bytes: dependencies.bytes,
      budget: this.#budget,
      read: (segment, offset, length) => this.#chain.read(segment, offset, length),
    };
    this.#groups = new LogGroups(groupDependencies);
    this.#staged = new FrameBuilder(dependencies.bytes);
    this.#spare = new FrameBuilder(dependencies.bytes);
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
      await log.#beginAfter(recovered);
    } catch (error) {
      for (const segment of [...recovered.segments, ...recovered.superfluous]) await segment.file.close();
      throw error;
    }
    log.#reserve.topUp();
    return log;
  }

  /** Rule: a recovered tail is made durable before it is believed. Nothing is ever appended to a recovered segment. */
  async #beginAfter(recovered: Recovered): Promise<void> {
    const { number, previousNumber, previousEnd, copied, sequence } = recovered;
    const salt = this.#newSalt();
    const firstSequence = copied === undefined ? sequence + 1 : sequence;
    const start = { number, salt, previousNumber, previousEnd, firstSequence, durableSequence: sequence, table: this.#groups.writtenTable() };
    const frame = copied === undefined ? [] : [this.#withSalt(copied, salt)];
    const frameBytes = copied === undefined ? 0 : copied.bytes.length;
    for (const segment of recovered.segments) this.#chain.add(segment);
    await this.#chain.begin(start, frameBytes, frame, true);
    this.#fsyncs++;
    for (const segment of recovered.superfluous) await this.#chain.discard(segment);
    this.#sequence = sequence;
    this.#durableSequence = sequence;
    this.#offset = this.#chain.active.dataStart + frameBytes;
    for (const group of this.#groups.byRange.values()) group.noteWritten();
  }

  /** The same frame for another segment. */
  #withSalt(frame: Frame, salt: Salt): Uint8Array {
    const bytes = frame.bytes.slice();
    const view = new DataView(bytes.buffer, bytes.byteOffset, frameHeaderBytes);
    writeFrameHeader(bytes, view, { ...frame.header, format: logFormat }, salt, this.#operations);
    return bytes;
  }

  #newSalt(): Salt {
    return { high: this.#random.uint32(), low: this.#random.uint32() };
  }

  // Groups.

  groups(): GroupState[] {
    const states: GroupState[] = [];
    for (const group of this.#groups.byRange.values()) {
      if (group.replicaId !== 0 || group.tombstone !== 0) states.push(group.state());
    }
    return states;
  }

  group(range: RangeId): GroupState | undefined {
    const group = this.#groups.byRange.get(range);
    return group === undefined || (group.replicaId === 0 && group.tombstone === 0) ? undefined : group.state();
  }

  /** Stays valid for the range, whatever replica it has. */
  reader(range: RangeId): LogReader {
    return this.#groups.forRange(range);
  }

  // Staging.

  createGroup(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.install(range, replica, index, term);
  }

  append(range: RangeId, replica: ReplicaId, entries: readonly Entry[]): void {
    this.#assertUsable();
    if (entries.length === 0) return;
    const group = this.#groups.forReplica(range, replica);
    const first = entries[0]!.index;
    assert(first > group.checkpoint, () => `entries of range ${range} from ${first} on replace what is in the state machine up to ${group.checkpoint}`);
    group.beginEntries(first);
    this.#stageEntries(group, entries);
  }

  #stageEntries(group: GroupLog, entries: readonly Entry[]): void {
    const builder = this.#staged;
    const { columns, recent } = group;
    let index = columns.last;
    let term: number = group.term(index as LogIndex) ?? 0;
    builder.entries(group, index + 1, entries.length);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      index++;
      assert(entry.index === index && entry.term >= term, () =>
        `entry ${entry.index} of term ${entry.term} of range ${group.rangeId} where entry ${index} of term ${term} or higher belongs`);
      term = entry.term;
      const offset = builder.dataOffset;
      const checksum = builder.entry(entry);
      columns.push(term, entry.kind === "configuration", entry.data.length, checksum, pendingSegment, offset);
      recent.push(entry);
    }
  }

  setHardState(range: RangeId, replica: ReplicaId, hardState: HardState): void {
    this.#assertUsable();
    const replicaBefore = this.#groups.byRange.get(range)?.replicaId;
    const group = this.#groups.forReplica(range, replica);
    const owesSync = replicaBefore !== replica || hardState.term !== group.hardTerm || hardState.vote !== group.vote;
    const commitBefore = group.commit;
    group.setHardState(hardState.term, hardState.vote, hardState.commit);
    if (owesSync) {
      this.#staged.hardState(group);
      group.commitStaged = false;
    } else if (group.commit !== commitBefore && !group.commitStaged) {
      group.commitStaged = true;
      this.#commitGroups.push(group);
    }
  }

  install(range: RangeId, replica: ReplicaId, index: LogIndex, term: Term): void {
    this.#assertUsable();
    const group = this.#groups.forReplica(range, replica);
    const kept = group.keepsBehind(index, term);
    group.install(index, term, kept);
    this.#staged.install(group, index, term, kept);
  }

  /** A replica whose id is not below `lowestAllowed` stays. */
  tombstone(range: RangeId, lowestAllowed: ReplicaId): void {
    this.#assertUsable();
    const group = this.#groups.forRange(range);
    if (lowestAllowed <= group.tombstone) return;
    group.setTombstone(lowestAllowed);
    this.#staged.tombstone(group, lowestAllowed);
  }

  // Writing.

  hasStaged(): boolean {
    return this.#staged.owesSync || this.#unreported;
  }

  async flush(): Promise<void> {
    this.#assertUsable();
    assert(!this.#flushing, "a flush is under way already");
    this.#flushing = true;
    this.#unreported = false;
    try {
      await this.#serially(() => this.#writeFrame(true));
    } finally {
      this.#flushing = false;
    }
  }

  noteIdle(): void {
    if (this.#failure !== undefined || this.#closed || this.#underWay !== undefined || this.#closingWritten) return;
    if (this.#durableSequence <= this.#chain.active.header.durableSequence) return;
    this.#serially(() => this.#writeClosing(false)).catch(() => {
      // Remembered by #fail: every later call rejects with it.
    });
  }

  /** Runs after what is under way; at once, and synchronously up to its first await, when nothing is. */
  #serially(job: () => Promise<void>): Promise<void> {
    const run = this.#underWay === undefined ? job() : this.#underWay.then(job);
    const done = (): void => {
      if (this.#underWay === settled) this.#underWay = undefined;
    };
    const settled: Promise<void> = run.then(done, done);
    this.#underWay = settled;
    return run;
  }

  /** `reported`: the owner asked for it, and learns from this call that what it staged is durable. */
  async #writeFrame(reported: boolean): Promise<void> {
    this.#throwFailure();
    this.#flushStartedMs = this.#clock.monotonicMs();
    try {
      const frame = this.#takeFrame(reported);
      if (frame === undefined) return;
      if (frame.start !== undefined) await this.#rotate(frame.start, frame.frameBytes);
      const { file } = this.#chain.active;
      this.#throwFailure();
      await file.write(this.#offset, frame.chunks);
      this.#throwFailure();
      await file.sync();
      this.#throwFailure();
      this.#frameIsDurable(frame);
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#flushStartedMs = undefined;
    }
  }

  /** In one step, before anything is awaited: what is staged gets its place, and staging goes on into the other builder. */
  #takeFrame(reported: boolean): FrameInFlight | undefined {
    const builder = this.#staged;
    for (const group of this.#commitGroups) {
      if (group.commitStaged) builder.commit(group);
      group.commitStaged = false;
    }
    this.#commitGroups.length = 0;
    if (builder.empty) return undefined;
    if (builder.owesSync && !reported) this.#unreported = true;
    this.#staged = this.#spare;
    this.#spare = builder;
    const { frameBytes, dataStart } = builder;
    const { active } = this.#chain;
    const fits = this.#offset + frameBytes + blockBytes <= active.header.fileBytes;
    const start = fits ? undefined : this.#nextStart();
    const offset = start === undefined ? this.#offset : padded(segmentHeaderLength(start.table));
    const { number, salt } = start ?? active.header;
    this.#sequence++;
    const chunks = builder.finish(this.#sequence, this.#durableSequence, salt);
    for (const group of builder.groups) group.placed(number, offset + dataStart);
    return { builder, chunks, frameBytes, start };
  }

  /** The table is what the frames before say: taken before the groups note the new one. */
  #nextStart(): SegmentStart {
    const { header } = this.#chain.active;
    return {
      number: header.number + 1,
      salt: this.#newSalt(),
      previousNumber: header.number,
      previousEnd: this.#offset,
      firstSequence: this.#sequence + 1,
      durableSequence: this.#durableSequence,
      table: this.#groups.writtenTable(),
    };
  }

  async #rotate(start: SegmentStart, frameBytes: number): Promise<void> {
    await this.#chain.begin(start, frameBytes, [], false);
    this.#fsyncs++;
    this.#offset = this.#chain.active.dataStart;
    this.#reserve.topUp();
  }

  #frameIsDurable(frame: FrameInFlight): void {
    this.#durableSequence = this.#sequence;
    this.#offset += frame.frameBytes;
    this.#closingWritten = false;
    this.#fsyncs++;
    this.#frames++;
    this.#bytesWritten += frame.frameBytes;
    for (const group of frame.builder.groups) group.becameDurable();
    frame.builder.reset();
  }

  async #writeClosing(sync: boolean): Promise<void> {
    this.#throwFailure();
    try {
      const { file, header } = this.#chain.active;
      const closing = encodeClosingFrame(this.#sequence + 1, this.#durableSequence, header.salt, this.#operations);
      await file.write(this.#offset, [closing]);
      this.#closingWritten = true;
      if (!sync) return;
      await file.sync();
      this.#fsyncs++;
    } catch (error) {
      throw this.#fail(error);
    }
  }

  // Freeing.

  /** With `replica`, a checkpoint of a replica that is not here any more is ignored. */
  checkpoint(range: RangeId, index: LogIndex, replica?: ReplicaId): void {
    const group = this.#groups.byRange.get(range);
    if (group === undefined || group.replicaId === 0) return;
    if (replica !== undefined && replica !== group.replicaId) return;
    assert(index <= group.lastIndex(), () => `checkpoint ${index} of range ${range} is behind its last entry ${group.lastIndex()}`);
    if (index > group.checkpoint) group.checkpoint = index;
  }

  async reclaim(force = false): Promise<RangeId[]> {
    this.#assertUsable();
    assert(this.#reclaiming === undefined, "a reclaim is under way already");
    this.#reserve.topUp();
    this.#reclaiming = this.#reclaimSegments(force);
    try {
      return await this.#reclaiming;
    } finally {
      this.#reclaiming = undefined;
    }
  }

  async #reclaimSegments(force: boolean): Promise<RangeId[]> {
    const moved = new Set<RangeId>();
    const end = this.#chain.active.header.number;
    while (!this.#closed && this.#chain.oldest.header.number < end && (force || this.#chain.logBytes > this.#options.logBytesTarget)) {
      if (!(await this.#freeOldest(moved))) break;
    }
    return [...moved];
  }

  /** Each round is planned anew, on what the groups are then. False when a group holds the segment back. */
  async #freeOldest(moved: Set<RangeId>): Promise<boolean> {
    const { number, fileBytes } = this.#chain.oldest.header;
    const tailBytesMax = this.#options.rewriteBytesMax;
    let totalBytesMax = Math.max(fileBytes, this.#options.segmentBytes) / 2;
    for (let found = true; found; ) {
      const plan = planReclaim(this.#groups.byRange.values(), number, { tailBytesMax, totalBytesMax });
      if (plan.heldBackBy.length > 0) return false;
      found = plan.steps.length > 0;
      totalBytesMax -= this.#stageReclaim(plan.steps, moved);
      // Also when there is nothing left to stage: what emptied the segment has to be durable before it goes.
      await this.#serially(() => this.#writeFrame(false));
      if (this.#closed) return false;
    }
    try {
      await this.#chain.freeOldest();
    } catch (error) {
      throw this.#fail(error);
    }
    this.#logger.debug({ segment: number }, "freed a log segment");
    return true;
  }

  /** Stages truncations, and tails up to the limit of one round (at least one). Returns the bytes of the tails. */
  #stageReclaim(steps: readonly ReclaimStep[], moved: Set<RangeId>): number {
    let bytes = 0;
    for (const { group, through, tailBytes } of steps) {
      if (bytes > 0 && bytes + tailBytes > this.#options.rewriteBytesMax) continue;
      bytes += tailBytes;
      if (through > group.truncatedIndex) {
        const term = group.term(through)!;
        group.truncate(through, term);
        this.#staged.truncation(group, through, term);
        moved.add(group.rangeId);
      }
      if (tailBytes > 0) this.#stageTailAgain(group);
    }
    return bytes;
  }

  /** Rule: never re-append part of a tail; a replay would cut off the rest. */
  #stageTailAgain(group: GroupLog): void {
    const first = group.firstIndex();
    const entries = group.entries(first, (group.lastIndex() + 1) as LogIndex, Number.POSITIVE_INFINITY);
    group.beginEntries(first);
    this.#stageEntries(group, entries);
  }

  heldBackBy(): { readonly rangeId: RangeId; readonly index: LogIndex }[] {
    const { segmentBytes, logBytesMax, rewriteBytesMax } = this.#options;
    if (this.#chain.length < 2 || this.#chain.logBytes + segmentBytes <= logBytesMax) return [];
    const { number, fileBytes } = this.#chain.oldest.header;
    const limits = { tailBytesMax: rewriteBytesMax, totalBytesMax: Math.max(fileBytes, segmentBytes) / 2 };
    return planReclaim(this.#groups.byRange.values(), number, limits).heldBackBy;
  }

  /** Tries again to prepare segments after the disk was full; `reclaim` and rotation do it, too. */
  prepare(): void {
    if (this.#failure === undefined && !this.#closed) this.#reserve.topUp();
  }

  statistics(): FileLogStatistics {
    const startedMs = this.#flushStartedMs;
    return {
      fsyncs: this.#fsyncs,
      frames: this.#frames,
      bytesWritten: this.#bytesWritten,
      segments: this.#chain.length,
      logBytes: this.#chain.logBytes,
      flushUnderWayMs: startedMs === undefined ? 0 : this.#clock.monotonicMs() - startedMs,
      reserveSegments: this.#reserve.ready,
      diskFull: this.#reserve.full,
      cacheBytes: this.#budget.bytes,
      stagedBytes: this.#staged.frameBytes,
    };
  }

  /** Also flushes what is still staged. After a failure: closes the files, and rejects with that failure. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#reclaiming?.catch(() => {});
      await this.#serially(() => this.#writeFrame(false));
      await this.#serially(() => this.#writeClosing(true));
    } finally {
      await this.#reserve.stop();
      await this.#chain.close();
    }
  }

  /** The log is poisoned: this error, and no other, answers every later call; nothing is written again. */
  #fail(error: unknown): unknown {
    if (this.#failure === undefined) {
      this.#failure = { error };
      this.#logger.error({ error }, "the shared log failed");
    }
    return this.#failure.error;
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  #assertUsable(): void {
    this.#throwFailure();
    assert(!this.#closed, "the log is closed");
  }
}
