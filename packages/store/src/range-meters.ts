/** Sizes and rates of ranges, measured now and then for reports; nothing here is on the path of an operation. */
import type { Environment, Key } from "@flotilla/base";
import { noLoad } from "@flotilla/placement";
import { newestKey } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { LoadReport } from "@flotilla/transport";
import { LoadMeter } from "./load/load-meter.ts";
import type { LoadLimits } from "./load/load-meter.ts";
import type { Replica } from "./replica/replica.ts";
import type { StoreDependencies } from "./store-api.ts";
import type { StoreReplicas } from "./store-replicas.ts";

interface Meter {
  readonly replica: Replica;
  atMs: number;
  writes: number;
  reads: number;
  bytes: number;
  loopMs: number;
  work: number;
  readonly load: LoadMeter;
  writesPerSecond: number;
  readsPerSecond: number;
  bytesPerSecond: number;
  /** What the engine says of its tables, what waits in its buffers to come there, and what is in memory. */
  sizeBytes: number;
  /** Of the epoch and the applied entry for which the size was taken, and when. */
  bounds: number;
  sizedIndex: number;
  sizedMs: number;
}

/** A size costs the engine a look: of what changes, one in so long. */
const sizeMs = 5000;
/** Of what does not change, so many a round, in turn: the engine compacts what lies there. */
const sizesInTurn = 3;

/** What is not in the tables of the engine yet. */
interface UnsettledBytes {
  unsettledBytes(start: Key, end: Key): number;
}

export class RangeMeters {
  readonly #engine: Engine;
  readonly #environment: Environment;
  readonly #unsettled: UnsettledBytes;
  readonly #meters: Map<number, Meter> = new Map();
  readonly #limits: LoadLimits;
  /** Those whose rates or sizes may change by themselves: awake, or asleep and not settled yet. */
  readonly #watched: Set<Replica> = new Set();
  #turn: Iterator<Meter> | undefined = undefined;
  #measuredMs = 0;
  readonly #loopBusyMs: (() => number) | undefined;
  /** When it was measured last. */
  #loopWasBusyMs: number;
  #forgotten = 0;
  /** Of all ranges of the store, engine and memtables. */
  sizeBytes = 0;

  constructor(
    dependencies: Pick<StoreDependencies, "engine" | "environment" | "loopBusyMs">,
    limits: LoadLimits,
    unsettled: UnsettledBytes,
  ) {
    this.#limits = limits;
    this.#unsettled = unsettled;
    this.#engine = dependencies.engine;
    this.#environment = dependencies.environment;
    this.#loopBusyMs = dependencies.loopBusyMs;
    this.#loopWasBusyMs = this.#loopBusyMs?.() ?? 0;
  }

  of(replica: Replica): {
    readonly sizeBytes: number;
    readonly sizeKnown: boolean;
    readonly writesPerSecond: number;
    readonly readsPerSecond: number;
    readonly bytesPerSecond: number;
    readonly load: LoadReport;
  } {
    const meter = this.#meters.get(replica.rangeId);
    const { writesPerSecond = 0, readsPerSecond = 0, bytesPerSecond = 0 } = meter ?? {};
    // Right behind a split the last size and load would be those of both halves, and the range be split again.
    const known = meter?.bounds === replica.descriptor.epoch.bounds;
    const sizeBytes = known ? meter.sizeBytes : this.#aboveTables(replica);
    const load = known ? meter.load.report() : noLoad;
    return { sizeBytes, sizeKnown: known, writesPerSecond, readsPerSecond, bytesPerSecond, load };
  }

  /** What is not in the engine's tables yet. */
  #aboveTables({ descriptor, machine }: Replica): number {
    return this.#unsettled.unsettledBytes(descriptor.start, descriptor.end) + Math.round(machine.memtable.bytes);
  }

  /**
   * What a unit of work costs the loop beside the ranges' own rounds, in ms since they were measured last: taking messages in,
   * sending, the network's code, garbage collection. Two looks at how long the loop was busy say so for all of it.
   */
  #msOfWork(meters: readonly Meter[]): number {
    if (this.#loopBusyMs === undefined) return 0;
    const busyMs = this.#loopBusyMs();
    let restMs = busyMs - this.#loopWasBusyMs;
    this.#loopWasBusyMs = busyMs;
    let work = 0;
    for (const meter of meters) {
      const { load } = meter.replica;
      restMs -= load.loopMs - meter.loopMs;
      work += load.work - meter.work;
    }
    return work > 0 ? Math.max(0, restMs) / work : 0;
  }

  #rate(meter: Meter, now: number, msOfWork: number): void {
    // It slept in between, and nothing was asked of it.
    const elapsedMs = now - Math.max(meter.atMs, this.#measuredMs);
    if (elapsedMs <= 0) return;
    const { replica } = meter;
    const { writes, reads, bytes, loopMs, work } = replica.load;
    // Another replica of the range than the one that was measured: it was away, or recovered without its majority.
    if (writes < meter.writes || reads < meter.reads || bytes < meter.bytes || loopMs < meter.loopMs)
      Object.assign(meter, { writes: 0, reads: 0, bytes: 0, loopMs: 0, work: 0 });
    const aSecond = (count: number): number => (count * 1000) / elapsedMs;
    const rates = {
      operations: aSecond(writes - meter.writes + reads - meter.reads),
      bytes: aSecond(bytes - meter.bytes),
      loop: (100 * (loopMs - meter.loopMs + (work - meter.work) * msOfWork)) / elapsedMs,
    };
    meter.writesPerSecond = Math.round(aSecond(writes - meter.writes));
    meter.readsPerSecond = Math.round(aSecond(reads - meter.reads));
    meter.bytesPerSecond = Math.round(rates.bytes);
    meter.load.measure(replica, rates, elapsedMs, now, this.#environment.random);
    Object.assign(meter, { atMs: now, writes, reads, bytes, loopMs, work });
  }

  /** Looks at what is awake or has not settled, and with `others` at a few of those; tells `replicas` of what sleeps and has changed. */
  async measure(replicas: StoreReplicas, others: boolean): Promise<void> {
    const now = this.#environment.clock.monotonicMs();
    this.#forgetGone(replicas);
    for (const replica of replicas.awake) this.#watched.add(replica);
    const due: Meter[] = [];
    const watched = [...this.#watched].map((replica) => this.#meterOf(replica, now));
    const msOfWork = this.#msOfWork(watched);
    for (const meter of watched) {
      const { replica } = meter;
      this.#rate(meter, now, msOfWork);
      if (replica.sleep.asleep) replicas.noteChange(replica);
      if (sizeIsOld(meter) && (boundsChanged(meter) || now - meter.sizedMs >= sizeMs)) due.push(meter);
      else if (hasSettled(meter)) this.#settle(meter);
    }
    this.#measuredMs = now;
    for (const meter of others ? [...due, ...this.#inTurn()] : due) {
      const { sizeBytes, bounds } = meter;
      await this.#size(meter, now);
      if (meter.sizeBytes !== sizeBytes || meter.bounds !== bounds) replicas.noteChange(meter.replica);
    }
  }

  #forgetGone(replicas: StoreReplicas): void {
    if (replicas.forgotten === this.#forgotten) return;
    this.#forgotten = replicas.forgotten;
    for (const [rangeId, { replica, sizeBytes }] of this.#meters) {
      if (replicas.get(rangeId) === replica) continue;
      this.#meters.delete(rangeId);
      this.#watched.delete(replica);
      this.sizeBytes -= sizeBytes;
    }
  }

  #meterOf(replica: Replica, now: number): Meter {
    const known = this.#meters.get(replica.rangeId);
    if (known !== undefined) return known;
    const { writes, reads, bytes, loopMs, work } = replica.load;
    const load = new LoadMeter(this.#limits);
    const rates = { writesPerSecond: 0, readsPerSecond: 0, bytesPerSecond: 0 };
    const size = { sizeBytes: 0, bounds: 0, sizedIndex: -1, sizedMs: -Infinity };
    const meter: Meter = { replica, atMs: now, writes, reads, bytes, loopMs, work, load, ...rates, ...size };
    this.#meters.set(replica.rangeId, meter);
    return meter;
  }

  async #size(meter: Meter, now: number): Promise<void> {
    const { replica } = meter;
    const { start, end, epoch } = replica.descriptor;
    const { appliedIndex } = replica.machine;
    const operations = this.#environment.bytes;
    const tables = await this.#engine.approximateBytes(newestKey(start, operations), newestKey(end, operations));
    if (this.#meters.get(replica.rangeId) !== meter) return;
    // When it was split meanwhile, the next round measures it again.
    meter.bounds = epoch.bounds;
    meter.sizedIndex = appliedIndex;
    meter.sizedMs = now;
    this.sizeBytes -= meter.sizeBytes;
    meter.sizeBytes = tables + this.#aboveTables(replica);
    this.sizeBytes += meter.sizeBytes;
  }

  #settle(meter: Meter): void {
    meter.load.settle();
    this.#watched.delete(meter.replica);
  }

  #inTurn(): Meter[] {
    const meters: Meter[] = [];
    while (meters.length < Math.min(sizesInTurn, this.#meters.size)) {
      this.#turn ??= this.#meters.values();
      const { done, value } = this.#turn.next();
      if (done === true) this.#turn = undefined;
      else meters.push(value);
    }
    return meters;
  }
}

const boundsChanged = ({ replica, bounds }: Meter): boolean => bounds !== replica.descriptor.epoch.bounds;

const sizeIsOld = (meter: Meter): boolean =>
  meter.sizedIndex !== meter.replica.machine.appliedIndex || boundsChanged(meter);

/** Nothing changes until it wakes. */
function hasSettled(meter: Meter): boolean {
  const { replica, load, writesPerSecond, readsPerSecond, bytesPerSecond } = meter;
  if (!replica.sleep.asleep || writesPerSecond + readsPerSecond + bytesPerSecond > 0) return false;
  return load.faded && !sizeIsOld(meter);
}
