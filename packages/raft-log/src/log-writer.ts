/**
 * The writing end of the log: the frame under construction, and the way of each frame into the active segment. Frames go
 * one behind the other, each written only after the last one's sync returned; the first failure ends it all.
 */
import type { ByteOperations, Clock, Logger, LogIndex, RandomSource } from "@flotilla/base";
import { assert } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";
import { pendingSegment } from "./entry-columns.ts";
import { FrameBuilder } from "./frame-builder.ts";
import type { Frame } from "./frame-reader.ts";
import type { GroupLog } from "./group-log.ts";
import type { Salt } from "./log-format.ts";
import {
  blockBytes,
  encodeClosingFrame,
  frameHeaderBytes,
  padded,
  segmentHeaderLength,
  writeFrameHeader,
} from "./log-format.ts";
import type { LogGroups } from "./log-groups.ts";
import type { Recovered } from "./log-recovery.ts";
import type { SegmentChain, SegmentStart } from "./segment-chain.ts";
import type { SegmentReserve } from "./segment-reserve.ts";

export interface LogWriterDependencies {
  readonly bytes: ByteOperations;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly logger: Logger;
  readonly groups: LogGroups;
  readonly chain: SegmentChain;
  readonly reserve: SegmentReserve;
}

interface FrameInFlight {
  readonly builder: FrameBuilder;
  readonly chunks: readonly Uint8Array[];
  readonly frameBytes: number;
  /** Present when it is the first frame of a new segment. */
  readonly start: SegmentStart | undefined;
}

export class LogWriter {
  fsyncs = 0;
  /** See LogStatistics. */
  frameMs = 0;
  frames = 0;
  bytesWritten = 0;
  readonly #dependencies: LogWriterDependencies;
  /** The frame under construction, and the builder that waits or is being written. */
  #staged: FrameBuilder;
  #spare: FrameBuilder;
  /** Groups whose commit index rides along with the next frame. */
  readonly #commitGroups: GroupLog[] = [];
  /** A frame that the owner did not ask for took what it staged: it still has to be told. */
  #unreported = false;

  /** #durableSequence ≤ #sequence ≤ #durableSequence + 1: the last frame that got its place. */
  #sequence = 0;
  #durableSequence = 0;
  /** Where the next frame goes in the active segment; a closing frame may stand there. */
  #offset = 0;
  #closingWritten = false;

  /** What is being written; never rejects. */
  #underWay: Promise<void> | undefined;
  #startedMs: number | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(dependencies: LogWriterDependencies) {
    this.#dependencies = dependencies;
    this.#staged = new FrameBuilder(dependencies.bytes);
    this.#spare = new FrameBuilder(dependencies.bytes);
  }

  /** The frame under construction. */
  get staged(): FrameBuilder {
    return this.#staged;
  }

  /** The owner has to ask for a frame: something is staged, or went out without it. */
  get owesFrame(): boolean {
    return this.#staged.owesSync || this.#unreported;
  }

  /** Since when the frame under way is being written; 0 when there is none. */
  get underWayMs(): number {
    return this.#startedMs === undefined ? 0 : this.#dependencies.clock.monotonicMs() - this.#startedMs;
  }

  stageEntries(group: GroupLog, entries: readonly Entry[]): void {
    const builder = this.#staged;
    const { columns, recent } = group;
    let index = columns.last;
    let term: number = group.term(index as LogIndex) ?? 0;
    builder.entries(group, index + 1, entries.length);
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!;
      index++;
      assert(
        entry.index === index && entry.term >= term,
        () =>
          `entry ${entry.index} of term ${entry.term} of range ${group.rangeId} where entry ${index} of term ${term} or higher belongs`,
      );
      term = entry.term;
      const offset = builder.dataOffset;
      const checksum = builder.entry(entry);
      columns.push(term, entry.kind === "configuration", entry.data.length, checksum, pendingSegment, offset);
      recent.push(entry);
    }
  }

  /** The group's commit index goes along with the next frame, and owes none. */
  stageCommit(group: GroupLog): void {
    if (group.commitStaged) return;
    group.commitStaged = true;
    this.#commitGroups.push(group);
  }

  /** Rule: a recovered tail is made durable before it is believed. Nothing is ever appended to a recovered segment. */
  async beginAfter(recovered: Recovered): Promise<void> {
    const { number, previousNumber, previousEnd, copied, sequence } = recovered;
    const { chain, groups } = this.#dependencies;
    const salt = this.#newSalt(number);
    const firstSequence = copied === undefined ? sequence + 1 : sequence;
    const table = groups.writtenTable();
    const start = { number, salt, previousNumber, previousEnd, firstSequence, durableSequence: sequence, table };
    const frame = copied === undefined ? [] : [this.#withSalt(copied, salt)];
    const frameBytes = copied === undefined ? 0 : copied.bytes.length;
    for (const segment of recovered.segments) chain.add(segment);
    await chain.begin(start, frameBytes, frame, true);
    this.fsyncs++;
    for (const segment of recovered.superfluous) await chain.discard(segment);
    this.#sequence = sequence;
    this.#durableSequence = sequence;
    this.#offset = chain.active.dataStart + frameBytes;
    for (const group of groups.byRange.values()) group.noteWritten();
  }

  /** The same frame for another segment. */
  #withSalt(frame: Frame, salt: Salt): Uint8Array {
    const bytes = frame.bytes.slice();
    const view = new DataView(bytes.buffer, bytes.byteOffset, frameHeaderBytes);
    writeFrameHeader(bytes, view, frame.header, salt, this.#dependencies.bytes);
    return bytes;
  }

  /** The number is in it, so that no two segments of a store have the same salt, even if the random numbers repeat. */
  #newSalt(number: number): Salt {
    const { random } = this.#dependencies;
    return { high: random.uint32(), low: (random.uint32() ^ number) >>> 0 };
  }

  /**
   * Makes everything staged so far durable as one frame; resolves at once when nothing is staged or under way. `reported`: the
   * owner asked, and learns from this call that what it staged is durable.
   */
  writeFrame(reported: boolean): Promise<void> {
    if (reported) this.#unreported = false;
    return this.#serially(() => this.#writeFrame(reported));
  }

  /** After an idle turn: a closing frame, not synced. A failure is remembered, and answers the next call. */
  noteIdle(): void {
    if (this.#failure !== undefined || this.#underWay !== undefined || this.#closingWritten) return;
    if (this.#durableSequence <= this.#dependencies.chain.active.header.durableSequence) return;
    this.#serially(() => this.#writeClosing(false)).catch(() => {});
  }

  /** The synced closing frame of a clean stop. */
  writeClosing(): Promise<void> {
    return this.#serially(() => this.#writeClosing(true));
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

  async #writeFrame(reported: boolean): Promise<void> {
    this.throwFailure();
    this.#startedMs = this.#dependencies.clock.monotonicMs();
    try {
      const frame = this.#takeFrame(reported);
      if (frame === undefined) return;
      if (frame.start !== undefined) await this.#rotate(frame.start, frame.frameBytes);
      const { file } = this.#dependencies.chain.active;
      this.throwFailure();
      await file.write(this.#offset, frame.chunks);
      this.throwFailure();
      await file.sync();
      this.throwFailure();
      this.frameMs += this.underWayMs;
      this.#frameIsDurable(frame);
    } catch (error) {
      throw this.fail(error);
    } finally {
      this.#startedMs = undefined;
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
    const { active } = this.#dependencies.chain;
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
    const { chain, groups } = this.#dependencies;
    const previousNumber = chain.active.header.number;
    const number = previousNumber + 1;
    return {
      number,
      salt: this.#newSalt(number),
      previousNumber,
      previousEnd: this.#offset,
      firstSequence: this.#sequence + 1,
      durableSequence: this.#durableSequence,
      table: groups.writtenTable(),
    };
  }

  async #rotate(start: SegmentStart, frameBytes: number): Promise<void> {
    const { chain, reserve } = this.#dependencies;
    await chain.begin(start, frameBytes, [], false);
    this.fsyncs++;
    this.#offset = chain.active.dataStart;
    reserve.topUp();
  }

  #frameIsDurable(frame: FrameInFlight): void {
    this.#durableSequence = this.#sequence;
    this.#offset += frame.frameBytes;
    this.#closingWritten = false;
    this.fsyncs++;
    this.frames++;
    this.bytesWritten += frame.frameBytes;
    for (const group of frame.builder.groups) group.becameDurable();
    frame.builder.reset();
  }

  async #writeClosing(sync: boolean): Promise<void> {
    this.throwFailure();
    try {
      const { file, header } = this.#dependencies.chain.active;
      const { bytes } = this.#dependencies;
      await file.write(this.#offset, [
        encodeClosingFrame(this.#sequence + 1, this.#durableSequence, header.salt, bytes),
      ]);
      this.#closingWritten = true;
      if (!sync) return;
      await file.sync();
      this.fsyncs++;
    } catch (error) {
      throw this.fail(error);
    }
  }

  /** The log is poisoned: this error, and no other, answers every later call; nothing is written again. */
  fail(error: unknown): unknown {
    if (this.#failure === undefined) {
      this.#failure = { error };
      this.#dependencies.logger.error({ error }, "the shared log failed");
    }
    return this.#failure.error;
  }

  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  get failed(): boolean {
    return this.#failure !== undefined;
  }
}
