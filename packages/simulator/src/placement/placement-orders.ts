/**
 * What an administrator might ask for, drawn by the seed while clients work and faults hurt the cluster: splits, moves,
 * transfers, scattering, nodes drained and taken out, operators cancelled. A refusal is a fine answer.
 */
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "../cluster/simulated-cluster.ts";
import { keyName } from "../cluster/workload.ts";
import { Administrator } from "./administrator.ts";
import type { OrderTaken, RangeRow } from "./administrator.ts";

export interface OrdersOptions {
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
}

/** Beyond these none is split on order. */
const rangesMax = 16;

export class PlacementOrders {
  readonly #cluster: SimulatedCluster;
  readonly #keys: number;
  readonly #administrator: Administrator;
  #leaving: number | undefined;
  #draining: number | undefined;

  /** `onTaken`: an order was taken. */
  constructor(
    { thinkMsMax }: OrdersOptions,
    cluster: SimulatedCluster,
    keys: number,
    onTaken: (order: OrderTaken) => void,
  ) {
    this.#cluster = cluster;
    this.#keys = keys;
    this.#administrator = new Administrator({ name: "placement", thinkMsMax }, cluster, onTaken);
  }

  stop(): void {
    this.#administrator.stopped = true;
  }

  run(): Promise<void> {
    const order = (rows: readonly RangeRow[]): Promise<unknown> => {
      this.#checkPartition(rows);
      return this.#order(rows);
    };
    return this.#administrator.run(order, () => this.#undrain());
  }

  get #random(): SeededRandom {
    return this.#administrator.random;
  }

  #ask(name: string, argument: object): Promise<unknown> {
    return this.#administrator.ask(name, argument);
  }

  #checkPartition(rows: readonly RangeRow[]): void {
    if (isPartition(rows)) return;
    const facts = rows.map((row) => JSON.stringify(row));
    this.#cluster.claims.violate("the map of ranges is an exact partition of the keys", 0, facts);
  }

  async #order(rows: readonly RangeRow[]): Promise<unknown> {
    const random = this.#random;
    const row = this.#administrator.pick(rows);
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
    if (this.#draining !== undefined) return this.#undrain();
    this.#draining = node;
    await this.#ask("node-drain", { nodeId: node });
  }

  async #undrain(): Promise<void> {
    if (this.#draining === undefined) return;
    if ((await this.#ask("node-drain", { nodeId: this.#draining, undo: true })) !== undefined)
      this.#draining = undefined;
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
