/**
 * What an administrator might ask for, drawn by the seed while clients work and faults hurt the cluster: splits, moves,
 * transfers, scattering, nodes drained and taken out, operators cancelled. A refusal is a fine answer.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { Epoch, RangeId, ReplicaDescriptor } from "@flotilla/base";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import { keyName } from "../cluster/workload.ts";

/** Of `range-list`. */
export interface RangeRow {
  readonly rangeId: RangeId;
  readonly start: string;
  readonly end: string;
  readonly system: boolean;
  readonly epoch: Epoch;
  readonly leaderStoreId: number | null;
  readonly replicas: readonly ReplicaDescriptor[];
}

export interface OrdersOptions {
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
}

/** Beyond these none is split on order. */
const rangesMax = 16;

export class PlacementOrders {
  readonly #options: OrdersOptions;
  readonly #cluster: SimulatedCluster;
  readonly #onTaken: () => void;
  readonly #keys: number;
  readonly #random: SeededRandom;
  readonly #client: SimulatedClient;
  readonly #pause: (ms: number) => Promise<void>;
  #stopped = false;
  #leaving: number | undefined;
  #draining: number | undefined;

  /** `onTaken`: an order was taken. */
  constructor(options: OrdersOptions, cluster: SimulatedCluster, keys: number, onTaken: () => void) {
    this.#options = options;
    this.#cluster = cluster;
    this.#onTaken = onTaken;
    this.#keys = keys;
    this.#random = cluster.random.fork("placement");
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
      if (rows === undefined) continue;
      this.#checkPartition(rows);
      await this.#order(rows);
    }
    if (this.#draining !== undefined) await this.#ask("node-drain", { nodeId: this.#draining, undo: true });
    await this.#client.close();
  }

  /** Undefined when it was refused, or nobody knows. */
  async #ask(name: string, argument: object): Promise<unknown> {
    try {
      const result = await this.#client.admin(name, argument);
      if (!name.endsWith("-list")) this.#onTaken();
      return result;
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal")
        this.#cluster.claims.violate("an order is taken or refused", 0, [`${name}: ${String(error)}`]);
      return undefined;
    }
  }

  #checkPartition(rows: readonly RangeRow[]): void {
    if (isPartition(rows)) return;
    const facts = rows.map((row) => JSON.stringify(row));
    this.#cluster.claims.violate("the map of ranges is an exact partition of the keys", 0, facts);
  }

  async #order(rows: readonly RangeRow[]): Promise<unknown> {
    const random = this.#random;
    const row = random.pick(rows);
    const { rangeId } = row;
    const node = random.pick(this.#cluster.nodes.map((_, i) => i + 1));
    const kind = random.below(20);
    if (kind < 6) {
      if (rows.length >= rangesMax) return undefined;
      if (random.chance(0.3)) return this.#ask("range-split", { rangeId, parts: random.between(2, 3) });
      return this.#ask("range-split", { rangeId, at: [keyName(random.below(this.#keys))] });
    }
    if (kind < 12) {
      const from = random.pick(row.replicas).storeId;
      const elsewhere = this.#cluster.nodes.map((_, i) => i + 1).filter((id) => !hasReplica(row, id));
      // Now and then nonsense, too.
      const to = random.chance(0.1) || elsewhere.length === 0 ? node : random.pick(elsewhere);
      return this.#ask("range-move", { rangeId, from, to });
    }
    if (kind < 15) return this.#ask("range-transfer-leader", { rangeId, to: random.pick(row.replicas).storeId });
    if (kind === 15) return this.#ask("range-scatter", {});
    if (kind === 16) return this.#drain(node);
    if (kind === 17) return this.#takeOut(node);
    return this.#cancel();
  }

  async #drain(node: number): Promise<void> {
    if (this.#draining !== undefined) {
      if ((await this.#ask("node-drain", { nodeId: this.#draining, undo: true })) !== undefined)
        this.#draining = undefined;
      return;
    }
    this.#draining = node;
    await this.#ask("node-drain", { nodeId: node });
  }

  /** One node in a run, and sometimes it is taken back before it is out. */
  async #takeOut(node: number): Promise<void> {
    if (this.#leaving === undefined) {
      this.#leaving = node;
      await this.#ask("node-decommission", { nodeId: node });
    } else if (this.#random.chance(0.5)) await this.#ask("node-recommission", { nodeId: this.#leaving });
  }

  async #cancel(): Promise<void> {
    const running = (await this.#ask("operator-list", {})) as { readonly operatorId: number }[] | undefined;
    if (running === undefined || running.length === 0) return;
    await this.#ask("operator-cancel", { operatorId: this.#random.pick(running).operatorId });
  }
}

const hasReplica = ({ replicas }: RangeRow, store: number): boolean =>
  replicas.some(({ storeId }) => storeId === store);

/** The map that routes come from covers every key once, in whatever state the cluster is. */
function isPartition(rows: readonly RangeRow[]): boolean {
  let end = "";
  let count = 0;
  for (const row of rows) {
    if (row.system) continue;
    if (row.start !== end || (end === "" && count > 0)) return false;
    end = row.end;
    count++;
  }
  return end === "";
}
