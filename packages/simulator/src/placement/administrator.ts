/**
 * Somebody who asks for one change of the cluster after the other, with a client and a source of randomness of their own,
 * while everything else goes on. A refusal is a fine answer, and so is none.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { Epoch, RangeId, ReplicaDescriptor } from "@flotilla/base";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";

/** Of `range-list`. */
export interface RangeRow {
  readonly rangeId: RangeId;
  readonly start: string;
  readonly end: string;
  readonly system: boolean;
  readonly asleep: boolean;
  readonly epoch: Epoch;
  readonly leaderStoreId: number | null;
  readonly replicas: readonly ReplicaDescriptor[];
}

export interface OrderTaken {
  readonly name: string;
  /** Its leader slept when it was given. */
  readonly asleep: boolean;
}

export interface AdministratorOptions {
  /** Of its stream of random numbers. */
  readonly name: string;
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
}

export class Administrator {
  readonly random: SeededRandom;
  stopped = false;
  readonly #thinkMsMax: number;
  readonly #cluster: SimulatedCluster;
  readonly #onTaken: (order: OrderTaken) => void;
  readonly #client: SimulatedClient;
  readonly #after: (ms: number, then: () => void) => void;

  /** `onTaken`: an order was taken. */
  constructor(
    { name, thinkMsMax }: AdministratorOptions,
    cluster: SimulatedCluster,
    onTaken: (order: OrderTaken) => void,
  ) {
    this.#thinkMsMax = thinkMsMax;
    this.#cluster = cluster;
    this.#onTaken = onTaken;
    this.random = cluster.random.fork(name);
    const { client, time } = cluster.client({ timeoutMs: 2000 });
    this.#client = client;
    this.#after = (ms, then) => void time.scheduler.after(ms, then);
  }

  /** Looks at the map and gives an order by it, again and again; behind the last one, `last`. */
  async run(order: (rows: readonly RangeRow[]) => Promise<unknown>, last?: () => Promise<unknown>): Promise<void> {
    while (!this.stopped) {
      await this.pause(this.random.below(this.#thinkMsMax + 1));
      const rows = (await this.ask("range-list", {})) as RangeRow[] | undefined;
      if (rows !== undefined) await order(rows);
    }
    await last?.();
    await this.#client.close();
  }

  #sleeps(range: unknown): boolean {
    return this.#cluster.nodes.some(({ store }) =>
      store?.replicas().some(({ descriptor, serves, asleep }) => descriptor.rangeId === range && serves && asleep),
    );
  }

  /** Where an order goes: half of them to a range that sleeps, when there is one. */
  pick(rows: readonly RangeRow[]): RangeRow {
    const sleepers = this.random.chance(0.5) ? rows.filter(({ asleep }) => asleep) : [];
    return this.random.pick(sleepers.length > 0 ? sleepers : rows);
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => this.#after(ms, resolve));
  }

  /** Undefined when it was refused, or nobody knows. */
  async ask(name: string, argument: object): Promise<unknown> {
    const asleep = "rangeId" in argument && this.#sleeps(argument.rangeId);
    try {
      const result = await this.#client.admin(name, argument);
      if (!name.endsWith("-list")) this.#onTaken({ name, asleep });
      return result;
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal")
        this.#cluster.claims.violate("an order is taken or refused", 0, [`${name}: ${String(error)}`]);
      return undefined;
    }
  }
}
