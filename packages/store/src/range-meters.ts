/** Sizes and rates of ranges, measured now and then for reports; nothing here is on the path of an operation. */
import type { Environment, Key } from "@flotilla/base";
import { noLoad } from "@flotilla/placement";
import { newestKey } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { LoadReport } from "@flotilla/transport";
import { LoadMeter } from "./load/load-meter.ts";
import type { LoadLimits } from "./load/load-meter.ts";
import type { Replica } from "./replica/replica.ts";

interface Meter {
  atMs: number;
  writes: number;
  reads: number;
  bytes: number;
  loopMs: number;
  readonly load: LoadMeter;
  writesPerSecond: number;
  readsPerSecond: number;
  bytesPerSecond: number;
  /** What the engine says of its tables, what waits in its buffers to come there, and what is in memory. */
  sizeBytes: number;
  /** Of the epoch for which the size was taken. */
  bounds: number;
}

/** Sizes change slowly and cost the engine a look: only every so many rounds. */
const sizeEveryRounds = 10;

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
  #rounds = 0;
  /** Of all ranges of the store, engine and memtables. */
  sizeBytes = 0;

  constructor(engine: Engine, environment: Environment, limits: LoadLimits, unsettled: UnsettledBytes) {
    this.#limits = limits;
    this.#unsettled = unsettled;
    this.#engine = engine;
    this.#environment = environment;
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

  #rate(meter: Meter, replica: Replica, now: number): void {
    const elapsedMs = now - meter.atMs;
    if (elapsedMs <= 0) return;
    const { writes, reads, bytes, loopMs } = replica.load;
    const aSecond = (count: number): number => (count * 1000) / elapsedMs;
    const rates = {
      operations: aSecond(writes - meter.writes + reads - meter.reads),
      bytes: aSecond(bytes - meter.bytes),
      loop: (100 * (loopMs - meter.loopMs)) / elapsedMs,
    };
    meter.writesPerSecond = Math.round(aSecond(writes - meter.writes));
    meter.readsPerSecond = Math.round(aSecond(reads - meter.reads));
    meter.bytesPerSecond = Math.round(rates.bytes);
    meter.load.measure(replica, rates, elapsedMs, now, this.#environment.random);
    Object.assign(meter, { atMs: now, writes, reads, bytes, loopMs });
  }

  async measure(replicas: ReadonlyMap<number, Replica>): Promise<void> {
    const withSizes = this.#rounds++ % sizeEveryRounds === 0;
    const now = this.#environment.clock.monotonicMs();
    let total = 0;
    for (const id of this.#meters.keys()) if (!replicas.has(id)) this.#meters.delete(id);
    for (const replica of replicas.values()) {
      let meter = this.#meters.get(replica.rangeId);
      if (meter === undefined) {
        const { writes, reads, bytes, loopMs } = replica.load;
        const load = new LoadMeter(this.#limits);
        const rates = { writesPerSecond: 0, readsPerSecond: 0, bytesPerSecond: 0 };
        meter = { atMs: now, writes, reads, bytes, loopMs, load, ...rates, sizeBytes: 0, bounds: 0 };
        this.#meters.set(replica.rangeId, meter);
      }
      this.#rate(meter, replica, now);
      const { start, end, epoch } = replica.descriptor;
      if (withSizes || meter.bounds !== epoch.bounds) {
        const operations = this.#environment.bytes;
        const tables = await this.#engine.approximateBytes(newestKey(start, operations), newestKey(end, operations));
        // When it was split meanwhile, the next round measures it again.
        meter.bounds = epoch.bounds;
        meter.sizeBytes = tables + this.#aboveTables(replica);
      }
      total += meter.sizeBytes;
    }
    this.sizeBytes = total;
  }
}
