/**
 * Memtables to engine, and engine to checkpoint (rules: "LevelDB always opens as an exact prefix", "checkpoint").
 *
 * A flush takes what changed in ALL ranges at one instant and writes it as one batch. The batch is filled in slices over
 * several turns, so that no turn is held up; what was frozen stays readable meanwhile. Afterwards the names of the engine's
 * unsettled files are noted with the flushed indexes; when all these files are gone, the indexes are durable and the shared
 * log is told.
 */
import { logIndex } from "@flotilla/base";
import type { Environment, Key, LogIndex, RangeId, ReplicaId } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import { NewestKeys, recordKind } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { EngineQueue } from "./engine-queue.ts";
import type { Replica } from "../replica/replica.ts";
import type { RangeFlush } from "../replica/state-machine.ts";
import { sayIfLong } from "../long-waits.ts";
import { DeletedSpace } from "./deleted-space.ts";
import { SizeSampler, UnsettledSizes, joinSamples } from "./unsettled-sizes.ts";
import type { SizeSample } from "./unsettled-sizes.ts";

/** Records put into a batch in one turn: about a millisecond of work. */
const recordsPerSlice = 256;
/** Notes that wait for their files to go; beyond it a new one joins the last. */
const notesMax = 64;

/** The replica stands here so that a late note cannot speak for a newer one of the same range. */
export interface FlushedRange {
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  readonly index: LogIndex;
}

interface CheckpointNote {
  readonly files: ReadonlySet<string>;
  readonly flushed: readonly FlushedRange[];
  readonly sizes: readonly SizeSample[];
}

export class Flusher {
  readonly #replicas: () => Iterable<Replica>;
  readonly #engine: Engine;
  readonly #log: SharedLog;
  readonly #queue: EngineQueue;
  readonly #environment: Environment;
  readonly #engineKeys: NewestKeys;
  #underWay = false;
  #notes: CheckpointNote[] = [];
  /** Undefined: the notes have changed since it was made. */
  #sizes: UnsettledSizes | undefined = undefined;
  /** What is durable and the log was not told, for somebody's sake. */
  readonly #heldBack: Map<RangeId, FlushedRange> = new Map();
  readonly deleted: DeletedSpace;
  #flushedMs: number;
  flushes = 0;
  records = 0;

  constructor(
    replicas: () => Iterable<Replica>,
    dependencies: {
      readonly engine: Engine;
      readonly log: SharedLog;
      readonly queue: EngineQueue;
      readonly environment: Environment;
    },
  ) {
    this.#replicas = replicas;
    this.#engine = dependencies.engine;
    this.#log = dependencies.log;
    this.#queue = dependencies.queue;
    this.#environment = dependencies.environment;
    this.#engineKeys = new NewestKeys(dependencies.environment.bytes);
    const { clock, bytes } = dependencies.environment;
    this.deleted = new DeletedSpace(dependencies.engine, clock, bytes);
    this.#flushedMs = clock.monotonicMs();
  }

  get underWay(): boolean {
    return this.#underWay;
  }

  /** One at a time; the promise resolves when the batch is written (not yet durable). */
  async flush(): Promise<void> {
    if (this.#underWay) return;
    this.#underWay = true;
    await this.#queue.run(async () => {
      // Captured inside the queue: whatever was written to the engine before is older than all of this.
      const captured: { readonly replica: Replica; readonly flush: RangeFlush }[] = [];
      for (const replica of this.#replicas()) {
        if (replica.loading) continue;
        const flush = replica.machine.beginFlush();
        if (flush !== undefined) captured.push({ replica, flush });
      }
      // The engine may keep what the log loses in a power loss, and a range that only the engine has is none of this store's.
      for (const { replica } of captured) await this.#groupDurable(replica);
      if (captured.length > 0) await this.#write(captured);
    });
    this.#underWay = false;
    this.#flushedMs = this.#environment.clock.monotonicMs();
  }

  #groupDurable({ rangeId, machine }: Replica): Promise<void> | undefined {
    const { groupDurable } = machine;
    if (groupDurable === undefined) return undefined;
    const message = "a flush waits for the log: it must have the beginning of a right half first";
    const fields = (): object => ({ rangeId, engineJobs: this.#queue.waiting });
    return sayIfLong(groupDurable, message, this.#environment, fields);
  }

  /** Nothing was flushed for so long; what was applied may still wait for it. */
  get restedMs(): number {
    return this.#underWay ? 0 : this.#environment.clock.monotonicMs() - this.#flushedMs;
  }

  /** As `flush`, and behind the one that is under way. */
  async flushAll(): Promise<void> {
    while (this.#underWay) await new Promise<void>((resolve) => this.#environment.scheduler.after(2, resolve));
    await this.flush();
  }

  /** Of the interval's records: in the engine, and not yet in what it counts as its size. */
  unsettledBytes(start: Key, end: Key): number {
    this.#sizes ??= new UnsettledSizes(this.#notes.flatMap(({ sizes }) => sizes));
    return this.#sizes.between(start, end);
  }

  async #write(captured: readonly { readonly replica: Replica; readonly flush: RangeFlush }[]): Promise<void> {
    const batch = this.#engine.batch();
    const flushed: FlushedRange[] = [];
    const sizes: SizeSample[] = [];
    const { bytes: operations } = this.#environment;
    let inSlice = 0;
    for (const { replica, flush } of captured) {
      const sampler = new SizeSampler(sizes);
      for (const key of flush.deletes) batch.delete(key);
      for (const { key, value } of flush.puts) batch.put(key, value);
      const { table } = flush.frozen;
      let [deletes, putBytes] = [0, 0];
      for (let row = 0; row < table.size; row++) {
        const entry = table.bytes(row);
        const recordAt = table.recordAt(row);
        const engineKey = this.#engineKeys.of(entry, table.keyAt(row), table.keyLength(row));
        const end = recordAt + table.recordLength(row);
        if (recordKind(entry, recordAt) === "delete") {
          batch.delete(engineKey);
          deletes++;
        } else {
          batch.put(engineKey, entry.subarray(recordAt, end));
          putBytes += engineKey.length + end - recordAt;
        }
        sampler.add(engineKey.length + end - recordAt, () => table.key(row, operations));
        this.records++;
        if (++inSlice < recordsPerSlice) continue;
        inSlice = 0;
        await this.#nextTurn();
      }
      if (table.size > 0) {
        sampler.end(() => table.key(table.size - 1, operations));
        this.deleted.note(replica.descriptor, { puts: table.size - deletes, putBytes, deletes });
      }
      flushed.push({ rangeId: flush.rangeId, replicaId: replica.replicaId, index: flush.appliedIndex });
    }
    await batch.write();
    this.flushes++;
    for (const { flush } of captured) flush.frozen.written = true;
    await this.noteCheckpoint(flushed, sizes);
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => this.#environment.scheduler.endOfTurn(resolve));
  }

  /** What was just written is durable when the files that exist now are gone. */
  async noteCheckpoint(flushed: readonly FlushedRange[], sizes: readonly SizeSample[] = []): Promise<void> {
    const files = await this.#engine.unsettledFiles();
    const note: CheckpointNote = { files: new Set(files), flushed, sizes };
    this.#notes.push(this.#notes.length < notesMax ? note : joined(this.#notes.pop()!, note));
    this.#sizes = undefined;
    this.#settleNotes(files);
  }

  /** Looks whether noted files have gone; tells the log, also what was held back before. */
  async check(): Promise<void> {
    if (this.#notes.length > 0) this.#settleNotes(await this.#engine.unsettledFiles());
    if (this.#heldBack.size === 0) return;
    const pressing = new Set(this.#log.heldBackBy().map(({ rangeId }) => rangeId));
    for (const durable of this.#heldBack.values()) this.#checkpoint(durable, pressing.has(durable.rangeId));
  }

  /** Told of every index that has become durable in the engine. */
  onCheckpoint: (durable: FlushedRange) => void = () => {};
  /** Up to where the log may be truncated at the most; `pressing`: its size does not allow to keep more for others (hazard D1). */
  checkpointLimit: (rangeId: RangeId, pressing: boolean) => number = () => Infinity;

  #checkpoint(durable: FlushedRange, pressing: boolean): void {
    const { rangeId, replicaId, index } = durable;
    const limit = this.checkpointLimit(rangeId, pressing);
    if (index > limit) {
      this.#heldBack.set(rangeId, durable);
      this.#log.checkpoint(rangeId, logIndex(limit), replicaId);
      return;
    }
    this.#heldBack.delete(rangeId);
    this.#log.checkpoint(rangeId, index, replicaId);
  }

  #settleNotes(present: readonly string[]): void {
    let settled = 0;
    // Notes are in order: what a later one waits for includes nothing that an earlier one does not outlive.
    while (settled < this.#notes.length && !present.some((file) => this.#notes[settled]!.files.has(file))) settled++;
    if (settled > 0) this.#sizes = undefined;
    for (const note of this.#notes.splice(0, settled)) {
      for (const durable of note.flushed) {
        this.#checkpoint(durable, false);
        this.onCheckpoint(durable);
      }
    }
  }

  /** Asks the engine to make everything durable, and looks whether it did. For log pressure and a clean stop. */
  async settle(): Promise<void> {
    await this.#queue.run(() => this.#engine.settle());
    await this.check();
  }
}

/** Whatever the older note still waits for is among the files of the newer, so one note can speak for both. */
function joined(older: CheckpointNote, { files, flushed, sizes }: CheckpointNote): CheckpointNote {
  const ranges = new Map<RangeId, FlushedRange>();
  for (const range of [...older.flushed, ...flushed]) ranges.set(range.rangeId, range);
  return { files, flushed: [...ranges.values()], sizes: joinSamples(older.sizes, sizes) };
}
