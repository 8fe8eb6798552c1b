/**
 * What a store does twice a second beside its rounds: what is idle or silent is closed, free space is looked at, the log is
 * freed of what the engine has, and the engine of what was deleted. Each chore waits for its own disk only, and comes every
 * five seconds while nothing is written to the log, unless that is so because the disk is full.
 */
import type { Environment, Files, Timer } from "@flotilla/base";
import type { SharedLog } from "@flotilla/raft-log";
import type { ClientService } from "./clients/client-service.ts";
import type { DiskSpace } from "./disk-space.ts";
import type { Flusher } from "./engine/flusher.ts";
import type { HandOver } from "./hand-over.ts";
import type { Intake } from "./intake.ts";
import type { RangeMeters } from "./range-meters.ts";
import type { SnapshotService } from "./snapshot/snapshot-service.ts";
import type { StoreReplicas } from "./store-replicas.ts";

const periodMs = 500;
const flushedWithinMs = 30_000;
/** Without a write to the log, in periods: then every so many of them are enough for what waits for the disk. */
const quietPeriods = 10;

export interface HousekeepingHost {
  readonly environment: Environment;
  readonly files: Files;
  readonly log: SharedLog;
  readonly disk: DiskSpace;
  readonly handOver: HandOver;
  readonly intake: Intake;
  readonly clients: ClientService;
  readonly snapshots: SnapshotService;
  readonly meters: RangeMeters;
  readonly flusher: Flusher;
  readonly replicas: StoreReplicas;
  fail(error: unknown): void;
  schedule(): void;
}

export class Housekeeping {
  readonly #host: HousekeepingHost;
  #timer: Timer | undefined = undefined;
  #stopped = false;
  #fsyncs = -1;
  /** Periods without a write to the log. */
  #quiet = 0;
  /** Chores that are not done yet; the next round leaves them out. */
  readonly #underWay: Set<string> = new Set();

  constructor(host: HousekeepingHost) {
    this.#host = host;
  }

  start(): void {
    this.#timer = this.#host.environment.scheduler.after(periodMs, () => {
      if (this.#stopped) return;
      this.start();
      try {
        this.#round();
      } catch (error) {
        this.#host.fail(error);
      }
    });
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #round(): void {
    this.#host.clients.tick();
    this.#host.snapshots.tick();
    const { fsyncs } = this.#host.log.statistics();
    this.#quiet = fsyncs === this.#fsyncs ? this.#quiet + 1 : 0;
    this.#fsyncs = fsyncs;
    const rests = this.#quiet > quietPeriods && this.#quiet % quietPeriods !== 0 && !this.#host.disk.full;
    this.#chore("sizes", () => this.#host.meters.measure(this.#host.replicas, !rests));
    if (rests) return;
    this.#chore("space", () => this.#lookAtSpace());
    this.#chore("log", () => this.#freeLog());
    this.#chore("flush", () => this.#flushOld());
    this.#chore("deleted", () => this.#host.flusher.deleted.look());
  }

  #chore(name: string, run: () => Promise<void>): void {
    if (this.#underWay.has(name)) return;
    this.#underWay.add(name);
    run().then(
      () => {
        this.#underWay.delete(name);
        this.#host.schedule();
      },
      (error: unknown) => this.#host.fail(error),
    );
  }

  async #lookAtSpace(): Promise<void> {
    const { files, disk, handOver, intake } = this.#host;
    disk.note(await files.freeBytes());
    if (!intake.mayLead && !this.#stopped) handOver.start();
  }

  /** A store that hardly writes flushes by time: what it has in its log a restart would have to apply again. */
  async #flushOld(): Promise<void> {
    const { flusher, disk } = this.#host;
    if (flusher.restedMs >= flushedWithinMs && !disk.full) await flusher.flush();
  }

  async #freeLog(): Promise<void> {
    const { log, flusher, disk } = this.#host;
    await flusher.check();
    // The log is at its limit and some range holds it back: flush and settle so that a checkpoint can move.
    if (log.heldBackBy().length > 0 && !disk.full) {
      await flusher.flushAll();
      await flusher.settle();
    }
    if (!this.#stopped) await log.reclaim();
  }
}
