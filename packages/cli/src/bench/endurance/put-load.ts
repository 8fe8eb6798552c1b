/** Puts in this process against a cluster of our own: what the long benchmarks share. */
import { randomBytes } from "node:crypto";
import type { ClusterClient } from "../../cluster-client.ts";
import type { CommandIo } from "../../command-io.ts";
import { BenchKeys } from "../bench-keys.ts";
import { BenchRandom } from "../bench-random.ts";
import { createKeyDistribution } from "../key-distribution.ts";
import { LoadLoop } from "../load-loop.ts";
import { OperationDriver } from "../operation-driver.ts";
import type { OperationSlot } from "../operation-driver.ts";

export interface PutLoadOptions {
  readonly endpoints: readonly string[];
  readonly keys: number;
  readonly keyBytes: number;
  readonly valueBytes: number;
  /** The most that is ever under way: a client may have so many, and no more. */
  readonly inFlightMax: number;
}

const valuesKept = 64;
const inFlightPerClient = 5_000;

export class PutLoads {
  readonly #clients: readonly ClusterClient[];
  readonly #keys: BenchKeys;
  readonly #values: readonly Uint8Array[];
  readonly #started: LoadLoop<OperationSlot>[] = [];

  private constructor(clients: readonly ClusterClient[], keys: BenchKeys, values: readonly Uint8Array[]) {
    this.#clients = clients;
    this.#keys = keys;
    this.#values = values;
  }

  static async connect(io: CommandIo, options: PutLoadOptions): Promise<PutLoads> {
    const { endpoints, keys: count, keyBytes, valueBytes, inFlightMax } = options;
    const clients: ClusterClient[] = [];
    try {
      for (let i = 0; i * inFlightPerClient < inFlightMax; i++)
        clients.push(await io.connect({ endpoints, timeoutMs: 10_000 }));
      const { ranges } = await clients[0]!.bare.routes();
      const descriptors = ranges.map(({ descriptor }) => descriptor);
      const values = Array.from({ length: valuesKept }, () => new Uint8Array(randomBytes(valueBytes)));
      return new PutLoads(clients, new BenchKeys(descriptors, count, keyBytes), values);
    } catch (error) {
      await closeAll(clients);
      throw error;
    }
  }

  /** A closed load of uniform puts. */
  start(inFlight: number): LoadLoop<OperationSlot> {
    const loop = new LoadLoop<OperationSlot>({ inFlight, ratePerSecond: undefined });
    const random = new BenchRandom(randomBytes(4).readUInt32LE());
    const driver = new OperationDriver({
      workload: "put",
      loop,
      cores: this.#clients.map(({ bare }) => bare.internals),
      keys: this.#keys,
      distribution: createKeyDistribution("uniform", this.#keys.count, random),
      random,
      values: this.#values,
      readPercent: 0,
      history: undefined,
    });
    this.#started.push(loop);
    loop.start(driver);
    return loop;
  }

  /** Every operation that was begun has ended. */
  async drain(): Promise<void> {
    for (const loop of this.#started) await loop.drain();
  }

  async close(): Promise<void> {
    for (const loop of this.#started) loop.stop();
    await closeAll(this.#clients);
  }
}

async function closeAll(clients: readonly ClusterClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
}
