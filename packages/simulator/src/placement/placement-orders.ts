/**
 * What an administrator might ask for, drawn by the seed while clients work and faults hurt the cluster: splits, moves,
 * transfers, scattering, nodes drained and taken out, operators cancelled. A refusal is a fine answer.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import { keyName } from "../cluster/workload.ts";

export interface PlacementOptions {
  /** Longest pause between an answer and the next order. */
  readonly thinkMsMax: number;
  /** Of 1: a node is killed within a second after an order, so that steps are interrupted anywhere. */
  readonly killChance: number;
}

interface RangeRow {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly system: boolean;
  readonly leaderStoreId: number | null;
  readonly replicas: readonly { readonly storeId: number }[];
}

/** Beyond these none is split on order. */
const rangesMax = 16;

export class PlacementOrders {
  /** How often each kind was taken. */
  readonly taken: Record<string, number> = {};
  readonly #options: PlacementOptions;
  readonly #cluster: SimulatedCluster;
  readonly #keys: number;
  readonly #random: SeededRandom;
  readonly #client: SimulatedClient;
  readonly #pause: (ms: number) => Promise<void>;
  #stopped = false;
  #leaving: number | undefined;
  #draining: number | undefined;

  constructor(options: PlacementOptions, cluster: SimulatedCluster, keys: number) {
    this.#options = options;
    this.#cluster = cluster;
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
      // Empty: of a store that knows no driver and has no replica of the meta range.
      if (rows === undefined || rows.length === 0) continue;
      this.#checkPartition(rows);
      await this.#order(rows);
      if (this.#random.chance(this.#options.killChance)) this.#interrupt();
    }
    if (this.#draining !== undefined) await this.#ask("node-drain", { nodeId: this.#draining, undo: true });
    await this.#client.close();
  }

  /** Undefined when it was refused, or nobody knows. */
  async #ask(name: string, argument: object): Promise<unknown> {
    try {
      const result = await this.#client.admin(name, argument);
      this.taken[name] = (this.taken[name] ?? 0) + 1;
      return result;
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal")
        this.#cluster.claims.violate("an order is taken or refused", 0, [`${name}: ${String(error)}`]);
      return undefined;
    }
  }

  /** The map that routes come from covers every key once, in whatever state the cluster is. */
  #checkPartition(rows: readonly RangeRow[]): void {
    const users = rows.filter(({ system }) => !system);
    let end = "";
    for (const row of users) {
      if (row.start === end) {
        end = row.end;
        continue;
      }
      this.#violatePartition(rows);
      return;
    }
    if (end !== "" && users.length > 0) this.#violatePartition(rows);
  }

  #violatePartition(rows: readonly RangeRow[]): void {
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
      return this.#ask("range-move", { rangeId, from, to: node });
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

  #interrupt(): void {
    const { time } = this.#cluster;
    const node = this.#random.pick(this.#cluster.nodes);
    const startMicros = this.#random.between(100, 2000) * 1000;
    time.after(this.#random.below(1000) * 1000, () => {
      if (this.#stopped || !node.alive) return;
      node.kill();
      time.after(startMicros, () => {
        if (!node.alive) void node.start();
      });
    });
  }
}
