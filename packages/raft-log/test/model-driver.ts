/** Takes random steps on a log and its model at once, crashes it at random moments, and compares after each reopening. */
import type { RandomSource } from "@flotilla/base";
import { randomBelow } from "@flotilla/base";
import type { FileSharedLog, FileSharedLogOptions } from "@flotilla/raft-log";
import { CrashingFiles } from "./crashing-files.ts";
import { data, hardState, index, openLog, range, replica, seededRandom, term } from "./harness.ts";
import type { Model, ModelGroup } from "./log-model.ts";
import { copyOf, difference, emptyGroup, lastIndexOf, modelOf, termAt } from "./log-model.ts";

const ranges = 5;

export class ModelDriver {
  readonly #files = new CrashingFiles();
  readonly #random: RandomSource;
  readonly #options: FileSharedLogOptions;
  #log!: FileSharedLog;
  #model: Model = new Map();
  /** The model after each step since the last opening; what was durable by then is #history[#durable] or later. */
  #history: Model[] = [];
  #durable = 0;
  #flush: Promise<void> | undefined;
  #reclaim: Promise<void> | undefined;
  #nextReplica = 10;
  #serial = 0;
  readonly did: Record<string, number> = {};

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    const segmentBytes = 4096 + 512 * this.#below(24);
    this.#options = {
      segmentBytes,
      shortSegmentBytes: 4096,
      logBytesTarget: segmentBytes * 3,
      logBytesMax: segmentBytes * 5,
      cacheBytes: this.#below(3) * 4000,
      preparedSegments: this.#below(3),
      rewriteBytesMax: 3000,
    };
  }

  async run(steps: number): Promise<void> {
    await this.#open();
    for (let i = 0; i < steps; i++) {
      await this.#step();
      this.#history.push(copyOf(this.#model));
    }
    await this.#stopCleanly();
  }

  #below(limit: number): number {
    return randomBelow(this.#random, limit);
  }

  #note(what: string): void {
    this.did[what] = (this.did[what] ?? 0) + 1;
  }

  async #step(): Promise<void> {
    const choice = this.#below(100);
    if (choice < 30) this.#append();
    else if (choice < 35) this.#conflict();
    else if (choice < 40) this.#vote();
    else if (choice < 45) this.#commitOnly();
    else if (choice < 48) this.#install();
    else if (choice < 50) this.#tombstone();
    else if (choice < 57) this.#checkpoint();
    else if (choice < 62) this.#startReclaim();
    else if (choice < 78) this.#startFlush();
    else if (choice < 81) this.#log.noteIdle();
    else if (choice < 91) await this.#pass(this.#below(30));
    else if (choice < 95) await this.#flush;
    else if (choice < 97) await this.#reclaim;
    else if (choice < 98) this.#compareLive();
    else if (choice < 99) await this.#crash();
    else await this.#stopCleanly().then(() => this.#open());
  }

  async #pass(turns: number): Promise<void> {
    for (let i = 0; i < turns; i++) await Promise.resolve();
  }

  // Steps on one group.

  #group(): [number, ModelGroup] {
    const id = 1 + this.#below(ranges);
    let group = this.#model.get(id);
    if (group === undefined) this.#model.set(id, (group = emptyGroup()));
    if (group.replica === 0 || this.#below(60) === 0) this.#create(id, group);
    return [id, group];
  }

  #create(id: number, group: ModelGroup): void {
    const next = this.#nextReplica++;
    const start = this.#below(3);
    this.#log.createGroup(range(id), replica(next), index(start), term(start));
    Object.assign(group, emptyGroup(), {
      tombstone: group.tombstone,
      replica: next,
      commit: start,
      term: start,
      truncatedIndex: start,
      truncatedTerm: start,
      checkpoint: start,
    });
    this.#note("create");
  }

  #append(): void {
    const [id, group] = this.#group();
    this.#appendFrom(id, group, lastIndexOf(group) + 1, this.#lastTerm(group));
  }

  #lastTerm(group: ModelGroup): number {
    return Math.max(1, termAt(group, lastIndexOf(group))!, this.#below(4) === 0 ? group.term : 0);
  }

  #appendFrom(id: number, group: ModelGroup, from: number, entryTerm: number): void {
    const count = 1 + this.#below(4);
    group.entries.length = from - group.truncatedIndex - 1;
    const batch = [];
    for (let i = 0; i < count; i++) {
      const bytes = data(`${id}.${from + i}.${entryTerm}.${this.#serial++} `, this.#size());
      batch.push({ index: index(from + i), term: term(entryTerm), kind: "normal" as const, data: bytes });
      group.entries.push({ index: from + i, term: entryTerm, text: Buffer.from(bytes).toString("latin1") });
    }
    this.#log.append(range(id), replica(group.replica), batch);
  }

  #size(): number {
    const kind = this.#below(40);
    return kind === 0
      ? 5000 + this.#below(9000)
      : kind < 4
        ? 2000 + this.#below(1000)
        : kind < 6
          ? 0
          : this.#below(200);
  }

  #conflict(): void {
    const [id, group] = this.#group();
    const lowest = Math.max(group.checkpoint, group.truncatedIndex, group.commit) + 1;
    const last = lastIndexOf(group);
    if (lowest > last) return;
    const from = lowest + this.#below(last - lowest + 1);
    this.#appendFrom(id, group, from, termAt(group, last)! + 1);
    this.#note("conflict");
  }

  #vote(): void {
    const [id, group] = this.#group();
    group.term = Math.max(group.term, termAt(group, lastIndexOf(group))!) + this.#below(3) + 1;
    group.vote = this.#below(2) * group.replica;
    this.#setHardState(id, group);
  }

  #commitOnly(): void {
    const [id, group] = this.#group();
    group.commit = Math.max(group.commit, lastIndexOf(group) - this.#below(4));
    this.#setHardState(id, group);
  }

  #setHardState(id: number, group: ModelGroup): void {
    this.#log.setHardState(range(id), replica(group.replica), hardState(group.term, group.vote, group.commit));
  }

  #install(): void {
    const [id, group] = this.#group();
    const at = Math.max(group.checkpoint, group.truncatedIndex) + this.#below(12);
    const held = termAt(group, at);
    const same = held !== undefined && (at <= group.checkpoint || this.#below(2) === 0);
    const label = same ? held : (held ?? termAt(group, lastIndexOf(group))!) + 1;
    if (at > group.truncatedIndex) {
      group.entries = held === label ? group.entries.slice(at - group.truncatedIndex) : [];
      group.truncatedIndex = at;
      group.truncatedTerm = label;
      group.checkpoint = at;
    }
    group.commit = Math.max(group.commit, at);
    if (label > group.term) {
      group.term = label;
      group.vote = 0;
    }
    this.#log.install(range(id), replica(group.replica), index(at), term(label));
    this.#note("install");
  }

  #tombstone(): void {
    const [id, group] = this.#group();
    const lowest = this.#below(4) === 0 ? group.replica : group.replica + 1;
    this.#log.tombstone(range(id), replica(lowest));
    const tombstone = Math.max(group.tombstone, lowest);
    if (group.replica < lowest) Object.assign(group, emptyGroup());
    group.tombstone = tombstone;
    this.#nextReplica++;
    this.#note("tombstone");
  }

  #checkpoint(): void {
    const [id, group] = this.#group();
    const lowest = Math.max(group.checkpoint, group.truncatedIndex);
    const to = Math.min(lastIndexOf(group), lowest + this.#below(30));
    group.checkpoint = Math.max(lowest, to);
    this.#log.checkpoint(range(id), index(group.checkpoint), replica(group.replica));
  }

  // Steps on the whole log.

  #startFlush(): void {
    if (this.#flush !== undefined) return;
    const taken = this.#history.length - 1;
    this.#flush = this.#log.flush().then(() => {
      this.#durable = Math.max(this.#durable, taken);
      this.#flush = undefined;
    });
    this.#flush.catch(() => {});
  }

  #startReclaim(): void {
    if (this.#reclaim !== undefined) return;
    this.#reclaim = this.#log.reclaim(this.#below(3) === 0).then((moved) => {
      if (moved.length > 0) this.#note("reclaim moved");
      this.#reclaim = undefined;
    });
    this.#reclaim.catch(() => {});
    this.#note("reclaim");
  }

  #compareLive(): void {
    const text = difference(modelOf(this.#log), this.#model);
    if (text !== undefined) throw new Error(`before any crash: ${text}`);
    this.#note("compare");
  }

  async #stopCleanly(): Promise<void> {
    this.#history.push(copyOf(this.#model));
    await this.#log.close();
    await Promise.allSettled([this.#flush, this.#reclaim]);
    this.#durable = this.#history.length - 1;
    this.#files.crash(this.#random);
    this.#note("clean stop");
  }

  async #crash(): Promise<void> {
    this.#history.push(copyOf(this.#model));
    this.#powerOff();
    await Promise.allSettled([this.#flush, this.#reclaim, this.#log.close()]);
    while (this.#below(2) === 0) {
      // And again, while it recovers.
      this.#files.crashAt = this.#files.operations + this.#below(14);
      const opened = await openLog(this.#files, this.#options, this.#random.uint32()).catch(() => undefined);
      this.#powerOff();
      await opened?.close().catch(() => {});
      this.#note("crash in recovery");
    }
    await this.#open();
    this.#note("crash");
  }

  #powerOff(): void {
    if (this.#below(2) === 0) this.#files.kill();
    else this.#files.crash(this.#random);
  }

  async #open(): Promise<void> {
    this.#log = await openLog(this.#files, this.#options, this.#random.uint32());
    this.#flush = undefined;
    this.#reclaim = undefined;
    const found = modelOf(this.#log);
    if (this.#history.length > 0) this.#expectOneOf(found);
    this.#model = found;
    this.#history = [copyOf(found)];
    this.#durable = 0;
  }

  #expectOneOf(found: Model): void {
    let reason = "";
    for (let i = this.#history.length - 1; i >= this.#durable; i--) {
      const text = difference(found, this.#history[i]!);
      if (text === undefined) return;
      reason = text;
    }
    throw new Error(
      `after a crash the log is none of the ${this.#history.length - this.#durable} states it may be; not the oldest: ${reason}`,
    );
  }
}
