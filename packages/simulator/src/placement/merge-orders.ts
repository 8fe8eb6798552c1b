/**
 * Merges of neighbours that an administrator asks for while everything else goes on, and how seeds differ in them. Beside
 * the orders of elastic seeds (placement-orders.ts), with a client and a source of randomness of their own.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { RangeRow } from "./placement-orders.ts";

export interface MergeOptions {
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
}

export class MergeOrders {
  readonly #options: MergeOptions;
  readonly #cluster: SimulatedCluster;
  readonly #onTaken: () => void;
  readonly #random: SeededRandom;
  readonly #client: SimulatedClient;
  readonly #pause: (ms: number) => Promise<void>;
  #stopped = false;

  constructor(options: MergeOptions, cluster: SimulatedCluster, onTaken: () => void) {
    this.#options = options;
    this.#cluster = cluster;
    this.#onTaken = onTaken;
    this.#random = cluster.random.fork("merges");
    const { client, time } = cluster.client({ timeoutMs: 2000 });
    this.#client = client;
    this.#pause = (ms) => new Promise((resolve) => time.scheduler.after(ms, resolve));
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<void> {
    while (!this.#stopped) {
      await this.#pause(this.#random.below(this.#options.thinkMsMax + 1));
      const rows = (await this.#ask("range-list", {})) as RangeRow[] | undefined;
      if (rows === undefined || this.#stopped) continue;
      const { rangeId } = this.#random.pick(rows);
      if ((await this.#ask("range-merge", { rangeId })) !== undefined) this.#onTaken();
    }
    await this.#client.close();
  }

  async #ask(name: string, argument: object): Promise<unknown> {
    try {
      return await this.#client.admin(name, argument);
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal")
        this.#cluster.claims.violate("an order is taken or refused", 0, [`${name}: ${String(error)}`]);
      return undefined;
    }
  }
}

export interface MergeVariation {
  readonly mergeBytes: number;
  readonly merges: MergeOptions;
}

export function mergeVariation(seed: number): MergeVariation {
  const random = new SeededRandom(seed).fork("merge variation");
  return {
    // By themselves, too, in some.
    mergeBytes: random.pick([0, 0, 1 << 30]),
    merges: { thinkMsMax: random.pick([150, 400, 1200]) },
  };
}
