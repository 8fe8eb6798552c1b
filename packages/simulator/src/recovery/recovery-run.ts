/**
 * What a seed of the recovery scenario has beside an elastic one: with clients at work, some stores are lost for good; the
 * ranges that have no majority any more are recovered; and what is missing then is only what the recovery's report names,
 * which is whatever stands behind the last entry of the replica that a range goes on with.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import type { RecoveryAction } from "@flotilla/client/internal";
import type { KvOperation } from "../history/kv-model.ts";
import { ClaimViolated } from "../cluster/claims.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { SimulatedNode } from "../cluster/simulated-node.ts";
import { keyName } from "../cluster/workload.ts";
import type { Within } from "../placement/elastic-run.ts";
import { RecoveryOrders } from "./recovery-orders.ts";
import { WrittenEffects } from "./written-effects.ts";
import type { EntryPlace, WrittenEffect } from "./written-effects.ts";

export interface LossOptions {
  /** Stores that never come back. */
  readonly stores: number;
}

type AcknowledgedPut = Extract<KvOperation, { readonly op: "put" }>;

const callMsMax = 30_000;
const replicasWanted = 3;
/** By order, in an elastic run. */
const nodesTakenOutMax = 1;

const names = (nodes: readonly SimulatedNode[]): string[] => nodes.map(({ name }) => name);

export class RecoveryRun {
  readonly counts: Record<string, number> = {};
  readonly #cluster: SimulatedCluster;
  readonly #options: LossOptions;
  readonly #written = new WrittenEffects();
  readonly #lost = new Set<number>();
  #recovered: ReadonlyMap<number, RecoveryAction> = new Map();

  constructor(options: LossOptions, cluster: SimulatedCluster) {
    this.#options = options;
    this.#cluster = cluster;
    for (const node of cluster.nodes) {
      const { onAppend } = node;
      node.onAppend = (rangeId, entries) => {
        this.#written.note(rangeId, entries);
        onAppend?.(rangeId, entries);
      };
    }
  }

  #count(what: string, times = 1): void {
    if (times > 0) this.counts[what] = (this.counts[what] ?? 0) + times;
  }

  /** All at once, in the middle of whatever they do; in some seeds the others have heard nothing of them for a moment. */
  async lose(): Promise<void> {
    const { nodes, network, time } = this.#cluster;
    const random = this.#cluster.random.fork("losses");
    const shuffled = random.shuffle([...nodes]);
    const lost = shuffled.slice(0, this.#options.stores);
    if (random.chance(0.6)) {
      network.partition(names(lost), names(shuffled.slice(lost.length)));
      await time.runFor(random.between(20, 600) * 1000);
    }
    for (const node of lost) {
      this.#lost.add(nodes.indexOf(node) + 1);
      this.#cluster.note(`${node.name} is lost for good`);
      node.keptDown = true;
      node.losePower("none");
    }
    this.#count("store lost for good", this.#lost.size);
  }

  /** Where no replica can be made anew: too few stores are left for that. */
  get unreplaced(): ReadonlySet<number> {
    return this.#cluster.nodes.length - this.#lost.size < replicasWanted + nodesTakenOutMax ? this.#lost : new Set();
  }

  /** False: nothing is left of a range, or what is left is from before a split whose other half something is left of. */
  async recover(within: Within, everyRangeIsLed: () => boolean): Promise<boolean> {
    const { client } = this.#cluster.client({ timeoutMs: 5000 });
    const orders = new RecoveryOrders(this.#cluster, client, this.#lost);
    let open: readonly string[] = [];
    let hopeless = false;
    await within(
      "every range that lost its majority for good can be recovered",
      async () => {
        ({ open, hopeless } = await orders.round());
        // One that has its majority may lose it yet, by a change of members that was under way.
        return hopeless || (open.length === 0 && everyRangeIsLed());
      },
      () => [...open],
    );
    let drained: readonly number[] | undefined;
    await within(
      "nodes that are drained can be told to lead again",
      async () => {
        drained = await orders.endDrains();
        return drained?.length === 0;
      },
      () => drained?.map((nodeId) => `node ${nodeId} is drained`) ?? ["nobody answers"],
    );
    await this.#cluster.time.complete(client.close());
    this.#recovered = orders.sent;
    this.#count("range recovered", orders.sent.size);
    this.#count("range beyond recovery", open.length);
    return open.length === 0;
  }

  /** When every range is led: reads every key and judges it, and writes to it. */
  async checkContent(keys: number, history: readonly KvOperation[]): Promise<void> {
    const { time } = this.#cluster;
    const { client } = this.#cluster.client({ timeoutMs: callMsMax, connectTimeoutMs: callMsMax });
    for (let i = 0; i < keys; i++) await this.#checkKey(client, keyName(i), history);
    await time.complete(client.close());
  }

  async #checkKey(client: SimulatedClient, key: string, history: readonly KvOperation[]): Promise<void> {
    const entry = await this.#call(`get of ${key}`, client.getEntry(key));
    const written = this.#written.of(key);
    if (entry !== undefined && !written.some(({ value }) => value === entry.value))
      this.#violate("what a recovered range has was written to it", [`${key} has ${JSON.stringify(entry)}`]);
    const floor = entry?.version ?? this.#newestDelete(written);
    const puts = history.filter(
      (operation): operation is AcknowledgedPut =>
        operation.op === "put" && operation.key === key && operation.result === "ok",
    );
    for (const put of puts) if ((put.version ?? 0) > floor) this.#mayBeMissing(put, written, entry?.version);
    const value = `after the loss of ${[...this.#lost].join(" and ")}`;
    const { version } = await this.#call(`put of ${key}`, client.put(key, value));
    const after = await this.#call(`get of ${key}`, client.getEntry(key));
    if (after?.version !== version || after.value !== value)
      this.#violate("a recovered range keeps what is written to it", [`${key} has ${JSON.stringify(after)}`]);
  }

  /** Of those that are not given up: an absent key may have been deleted. */
  #newestDelete(written: readonly WrittenEffect[]): number {
    let newest = 0;
    for (const effect of written)
      if (effect.value === undefined && !this.#isGivenUp(effect)) newest = Math.max(newest, effect.version);
    return newest;
  }

  #mayBeMissing(put: AcknowledgedPut, written: readonly WrittenEffect[], found: number | undefined): void {
    const places = written.filter(({ value }) => value === put.value);
    this.#count("acknowledged write given up");
    if (places.some((place) => this.#isGivenUp(place))) return;
    this.#violate("what is missing after a recovery is only what its report names", [
      `put of ${put.key} was acknowledged with version ${put.version}; the key has ${found ?? "nothing"}`,
      ...places.map((place) => `it is at ${JSON.stringify(place)}`),
      ...[...this.#recovered.values()].map((action) => `recovered: ${JSON.stringify(action)}`),
    ]);
  }

  /** With the split that made a range goes all that was written to it, also when nobody left has heard of either. */
  #isGivenUp({ rangeId, term, index }: EntryPlace): boolean {
    const action = this.#recovered.get(rangeId);
    if (action !== undefined) return term > action.lastTerm || (term === action.lastTerm && index > action.lastIndex);
    if ([...this.#recovered.values()].some(({ absorbed }) => absorbed.includes(rangeId))) return true;
    return this.#written.splitsThatMade(rangeId).some((place) => this.#isGivenUp(place));
  }

  async #call<T>(what: string, call: Promise<T>): Promise<T> {
    try {
      return await this.#cluster.time.complete(call, (callMsMax + 5000) * 1000);
    } catch (error) {
      if (!isFlotillaError(error)) throw error;
      return this.#violate("a recovered cluster answers", [`${what}: ${error.code}: ${error.message}`]);
    }
  }

  #violate(claim: string, facts: readonly string[]): never {
    this.#cluster.claims.violate(claim, 0, facts);
    throw new ClaimViolated();
  }
}
