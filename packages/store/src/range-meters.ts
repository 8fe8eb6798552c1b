/** Sizes and rates of ranges, measured now and then for reports; nothing here is on the path of an operation. */
import type { Environment, Key } from "@flotilla/base";
import { newestKey } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { Replica } from "./replica/replica.ts";

interface Meter {
  atMs: number;
  writes: number;
  reads: number;
  writesPerSecond: number;
  readsPerSecond: number;
  /** What the engine says of its tables, what waits in its buffers to come there, and what is in memory. */
  sizeBytes: number;
  /** Of the epoch for which the size was taken. */
  bounds: number;
}

/** Sizes change slowly and cost the engine a look: only every so many rounds. */
const sizeEveryRounds = 10;

export class RangeMeters {
  readonly #engine: Engine;
  readonly #environment: Environment;
  readonly #unsettledBytes: (start: Key, end: Key) => number;
  readonly #meters: Map<number, Meter> = new Map();
  #rounds = 0;
  /** Of all ranges of the store, engine and memtables. */
  sizeBytes = 0;

  constructor(engine: Engine, environment: Environment, unsettledBytes: (start: Key, end: Key) => number) {
    this.#unsettledBytes = unsettledBytes;
    this.#engine = engine;
    this.#environment = environment;
  }

  of(replica: Replica): {
    readonly sizeBytes: number;
    readonly writesPerSecond: number;
    readonly readsPerSecond: number;
  } {
    const meter = this.#meters.get(replica.rangeId);
    if (meter?.bounds === replica.descriptor.epoch.bounds) return meter;
    // Right behind a split the last size would be that of both halves, and the range be split again.
    const { writesPerSecond = 0, readsPerSecond = 0 } = meter ?? {};
    return { sizeBytes: this.#aboveTables(replica), writesPerSecond, readsPerSecond };
  }

  /** What is not in the engine's tables yet. */
  #aboveTables({ descriptor, machine }: Replica): number {
    return this.#unsettledBytes(descriptor.start, descriptor.end) + Math.round(machine.memtable.bytes);
  }

  async measure(replicas: Iterable<Replica>): Promise<void> {
    const withSizes = this.#rounds++ % sizeEveryRounds === 0;
    const now = this.#environment.clock.monotonicMs();
    let total = 0;
    for (const replica of replicas) {
      let meter = this.#meters.get(replica.rangeId);
      if (meter === undefined) {
        meter = {
          atMs: now,
          writes: replica.writes,
          reads: replica.readsDone,
          writesPerSecond: 0,
          readsPerSecond: 0,
          sizeBytes: 0,
          bounds: 0,
        };
        this.#meters.set(replica.rangeId, meter);
      }
      const seconds = (now - meter.atMs) / 1000;
      if (seconds > 0) {
        meter.writesPerSecond = Math.round((replica.writes - meter.writes) / seconds);
        meter.readsPerSecond = Math.round((replica.readsDone - meter.reads) / seconds);
        meter.atMs = now;
        meter.writes = replica.writes;
        meter.reads = replica.readsDone;
      }
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
