/**
 * Loads etcd as a Node application would: through npm `etcd3`, over all members, with its default settings. The only place
 * where that client is loaded. Started by `flotilla bench compare`; the one argument is `EtcdLoad` as JSON, the result on
 * standard output is `LoadResult` as JSON.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Etcd3 } from "etcd3";
import { BenchRandom, LoadLoop, LoadSlot, NodeMeters, createKeyDistribution, loadResultOf } from "flotilla/internal";
import type { LoadDriver, LoadResult, MeasuredServers } from "flotilla/internal";

export interface EtcdLoad {
  readonly endpoints: readonly string[];
  readonly servers: MeasuredServers;
  readonly workload: "put" | "get";
  readonly keyBytes: number;
  readonly valueBytes: number;
  readonly keys: number;
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly durationMs: number;
  readonly seed: number;
}

const valuesKept = 64;
const preloadInFlight = 256;

class EtcdDriver implements LoadDriver<LoadSlot> {
  readonly #client: Etcd3;
  readonly #load: EtcdLoad;
  readonly #loop: LoadLoop<LoadSlot>;
  readonly #values: readonly Buffer[];
  readonly #nextKey: () => number;
  #nextValue = 0;

  constructor(client: Etcd3, load: EtcdLoad, loop: LoadLoop<LoadSlot>, values: readonly Buffer[]) {
    this.#client = client;
    this.#load = load;
    this.#loop = loop;
    this.#values = values;
    const distribution = createKeyDistribution("uniform", load.keys, new BenchRandom(load.seed));
    this.#nextKey = () => distribution.next();
  }

  createSlot(index: number): LoadSlot {
    return new LoadSlot(index);
  }

  begin(slot: LoadSlot): void {
    void this.#run(slot);
  }

  async #run(slot: LoadSlot): Promise<void> {
    const { workload } = this.#load;
    const key = keyOf(this.#load, this.#nextKey());
    try {
      if (workload === "put") await this.#client.put(key).value(this.#value()).exec();
      else if ((await this.#client.get(key).buffer()) === null) throw new Error(`${key.toString()} is not there`);
    } catch (error) {
      this.#loop.failed(slot, error instanceof Error ? error.constructor.name : "unknown", workload === "put");
      return;
    }
    this.#loop.answered(slot);
  }

  #value(): Buffer {
    this.#nextValue = (this.#nextValue + 1) % this.#values.length;
    return this.#values[this.#nextValue]!;
  }
}

const keyOf = ({ keyBytes }: EtcdLoad, index: number): Buffer => Buffer.from(String(index).padStart(keyBytes, "0"));

/** Every key, before the first read. */
async function preload(client: Etcd3, load: EtcdLoad, values: readonly Buffer[]): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < load.keys) {
      const index = next++;
      await client
        .put(keyOf(load, index))
        .value(values[index % values.length]!)
        .exec();
    }
  };
  await Promise.all(Array.from({ length: preloadInFlight }, worker));
}

async function run(load: EtcdLoad): Promise<LoadResult> {
  const client = new Etcd3({ hosts: [...load.endpoints] });
  const values = Array.from({ length: valuesKept }, () => randomBytes(load.valueBytes));
  try {
    if (load.workload === "get") await preload(client, load, values);
    const loop = new LoadLoop<LoadSlot>({ inFlight: load.inFlight, ratePerSecond: undefined });
    loop.start(new EtcdDriver(client, load, loop, values));
    await pause(load.warmUpMs);
    const meters = new NodeMeters(load.servers);
    await meters.begin();
    loop.beginWindow();
    const startedMs = performance.now();
    await pause(load.durationMs);
    const unsent = loop.endWindow();
    const durationMs = performance.now() - startedMs;
    const cost = await meters.end();
    await loop.drain();
    const putBytes = load.workload === "put" ? loop.meter.operations * (load.keyBytes + load.valueBytes) : 0;
    return loadResultOf({ meter: loop.meter, durationMs, unsent, cost, putBytes });
  } finally {
    client.close();
  }
}

const result = await run(JSON.parse(process.argv[2] ?? "") as EtcdLoad);
process.stdout.write(JSON.stringify(result) + "\n");
