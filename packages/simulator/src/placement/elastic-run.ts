/**
 * What a seed of the elastic scenario has beside that of a cluster: orders of an administrator, processes that end behind
 * the steps of changes, a watch over all replicas, what must be true when all is healed, and a count of what happened.
 */
import { isFlotillaError } from "@flotilla/client/internal";
import { metaRangeId } from "@flotilla/base";
import type { RangeDescriptor, RangeId } from "@flotilla/base";
import type { ReplicaState } from "@flotilla/store";
import { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedClient, SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { SimulatedNode } from "../cluster/simulated-node.ts";
import type { OrderTaken, RangeRow } from "./administrator.ts";
import { noLulls } from "../cluster/lulls.ts";
import type { FaultOptions } from "../cluster/fault-driver.ts";
import type { WorkloadOptions } from "../cluster/workload.ts";
import { CrossedMerges } from "./crossed-merges.ts";
import { Interruptions } from "./interruptions.ts";
import type { InterruptionOptions } from "./interruptions.ts";
import { MergeOrders } from "./merge-orders.ts";
import type { MergeOptions } from "./merge-orders.ts";
import { PlacementOrders } from "./placement-orders.ts";
import type { OrdersOptions } from "./placement-orders.ts";
import { PlacementWatch } from "./placement-watch.ts";
import {
  isLed,
  isLevel,
  isPartition,
  mapDifferences,
  newestMembers,
  replicasByRange,
  withoutMerged,
} from "./settled-ranges.ts";
import type { LivingReplicas } from "./settled-ranges.ts";
import { StalledStores } from "./stalled-stores.ts";

export interface PlacementOptions extends OrdersOptions, InterruptionOptions {
  /** Undefined: nobody asks for a merge. */
  readonly merges?: MergeOptions;
  /** Of 1: a disk stops with a split or merge (stalled-stores.ts). */
  readonly stallChance: number;
}

/** Of `operator-list`. */
interface OperatorRow {
  readonly kind: string;
  readonly state: string;
  readonly reason: string;
}

/** Lets time pass until it is so; what is not so within the time for healing violates the claim. */
export type Within = (
  claim: string,
  condition: () => boolean | Promise<boolean>,
  facts: () => string[],
) => Promise<void>;

export class ElasticRun {
  /** How often each kind of change happened. */
  readonly counts: Record<string, number> = {};
  readonly #cluster: SimulatedCluster;
  readonly #orders: PlacementOrders;
  readonly #merges: MergeOrders | undefined;
  readonly #interruptions: Interruptions;
  readonly #stalled: StalledStores;
  readonly #crossed: CrossedMerges;
  readonly #watch: PlacementWatch;

  /** `watch`: a client reads for so many milliseconds; its host. */
  constructor(options: PlacementOptions, cluster: SimulatedCluster, keys: number, watch: (ms: number) => string) {
    this.#cluster = cluster;
    const count = (what: string): void => this.#count(what);
    const interruptions = new Interruptions(options, cluster, count);
    this.#interruptions = interruptions;
    const taken = ({ name, asleep }: OrderTaken): void => {
      if (asleep) count(`ordered asleep: ${name}`);
      interruptions.behind("order", undefined);
    };
    this.#orders = new PlacementOrders(options, cluster, keys, taken);
    const { merges } = options;
    this.#merges = merges === undefined ? undefined : new MergeOrders(merges, cluster, taken);
    const crossChance = merges?.crossChance ?? 0;
    const cancel = (left: RangeId): void => void this.#merges?.callOff(left);
    this.#stalled = new StalledStores(options.stallChance, cluster, { count, watch });
    this.#crossed = new CrossedMerges(crossChance, cluster, { count, cancel });
    this.#watch = new PlacementWatch(cluster.nodes, cluster.claims, (kind, node) => {
      count(kind);
      interruptions.behind(kind, node);
    });
    const { time } = cluster;
    const check = time.afterEvent;
    time.afterEvent = () => {
      this.#watch.afterEvent(time.nowMicros);
      check?.();
    };
  }

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }

  async run(): Promise<void> {
    this.#interruptions.planAbsence();
    await Promise.all([this.#orders.run(), this.#merges?.run()]);
  }

  stop(): void {
    this.#orders.stop();
    this.#merges?.stop();
    this.#interruptions.stop();
    this.#stalled.stop();
    this.#crossed.stop();
  }

  #living(): LivingReplicas {
    return withoutMerged(replicasByRange(this.#cluster.nodes.flatMap(({ store }) => store?.replicas() ?? [])));
  }

  /** Ranges that nobody leads. */
  unled(): RangeDescriptor[] {
    return [...this.#living().values()].filter((each) => !isLed(each)).map((each) => newestMembers(each).descriptor);
  }

  /** Soon after healing, while operators may still be under way. */
  async everyRangeIsLed(within: Within): Promise<void> {
    await within(
      "every range of a healed cluster is led",
      () => this.unled().length === 0,
      () => this.unled().map((descriptor) => JSON.stringify(descriptor)),
    );
  }

  /** Returns the ranges that there are in the end. `lost`: stores whose members there may be nowhere to make anew. */
  async settle(within: Within, lost: ReadonlySet<number> = new Set()): Promise<RangeDescriptor[]> {
    const open = (): (readonly ReplicaState[])[] => [...this.#living().values()].filter((each) => !isLevel(each, lost));
    await within(
      "the members of every range of a healed cluster become level",
      () => open().length === 0,
      () => open().map((each) => JSON.stringify(each)),
    );
    const { client } = this.#cluster.client({ timeoutMs: 2000 });
    await this.#mapIsTrue(client, within);
    await this.#strangersGo(client, within);
    await this.#countOperators(client, within);
    await this.#cluster.time.complete(client.close());
    return [...this.#living().values()].map((replicas) => newestMembers(replicas).descriptor);
  }

  /** The map of the placement driver is what replicas know, at the highest epochs. */
  async #mapIsTrue(client: SimulatedClient, within: Within): Promise<void> {
    let differences: string[] = [];
    await within(
      "the map of a healed cluster is an exact partition of the keys, at the highest epochs",
      async () => {
        const rows = (await this.#ask(client, "range-list", {})) as RangeRow[] | undefined;
        const newest = [...this.#living().values()].map((replicas) => newestMembers(replicas).descriptor);
        if (rows === undefined) differences = ["nobody answers"];
        else differences = mapDifferences(rows, newest);
        if (!isPartition(newest)) differences.push(`no partition: ${JSON.stringify(newest)}`);
        return differences.length === 0;
      },
      () => differences,
    );
  }

  /** Hazard E15; a store that is out of the cluster is told nothing any more. */
  async #strangersGo(client: SimulatedClient, within: Within): Promise<void> {
    let facts: string[] = [];
    await within(
      "a replica that is a member no more is removed from a healed cluster",
      async () => {
        const nodes = (await this.#ask(client, "node-list", {})) as { nodeId: number; state: string }[] | undefined;
        const out = new Set(nodes?.filter(({ state }) => state === "decommissioned").map(({ nodeId }) => nodeId));
        const living = this.#living();
        facts = [];
        for (const [i, { name, store }] of this.#cluster.nodes.entries()) {
          for (const replica of out.has(i + 1) ? [] : (store?.replicas() ?? [])) {
            const others = living.get(replica.descriptor.rangeId);
            if (others === undefined) facts.push(`${name} has ${JSON.stringify(replica)}, the range is no more`);
            if (others === undefined) continue;
            const { descriptor, strangers } = newestMembers(others);
            if (strangers.some(({ replicaId }) => replicaId === replica.replicaId))
              facts.push(`${name} has ${JSON.stringify(replica)}, the range is ${JSON.stringify(descriptor)}`);
          }
        }
        return nodes !== undefined && facts.length === 0;
      },
      () => facts,
    );
  }

  /** The store that leads the meta range; undefined when none answers now. */
  async #ask(client: SimulatedClient, name: string, argument: object): Promise<unknown> {
    const { nodes } = this.#cluster;
    const drives = (node: SimulatedNode): boolean =>
      node.store?.replicas().some(({ descriptor, serves }) => descriptor.rangeId === metaRangeId && serves) === true;
    const driver = nodes.findIndex(drives);
    if (driver < 0) return undefined;
    try {
      return await client.admin(name, argument, { storeId: driver + 1 });
    } catch (error) {
      if (!isFlotillaError(error) || error.code === "Internal") throw error;
      return undefined;
    }
  }

  async #countOperators(client: SimulatedClient, within: Within): Promise<void> {
    let rows: OperatorRow[] | undefined;
    let nodes: { readonly state: string }[] | undefined;
    await within(
      "the placement driver of a healed cluster answers",
      async () => {
        rows = (await this.#ask(client, "operator-list", { all: true })) as OperatorRow[] | undefined;
        nodes = (await this.#ask(client, "node-list", {})) as { readonly state: string }[] | undefined;
        return rows !== undefined && nodes !== undefined;
      },
      () => [],
    );
    for (const { kind, state, reason } of rows ?? []) {
      if (state === "running" || state === "cancelling") continue;
      this.#count(state === "done" ? `${kind}: ${whyOf(reason)}` : `${kind} ends: ${state}`);
    }
    for (const { state } of nodes ?? []) if (state === "decommissioned") this.#count("node taken out");
  }
}

function whyOf(reason: string): string {
  if (reason === "asked for") return "ordered";
  if (reason.includes("halves them")) return "by load";
  if (reason.includes("decommission")) return "of a node that leaves";
  if (reason.includes("drain")) return "of a node that is drained";
  return "decided";
}

/** How elastic seeds differ: in the number of nodes, in how large a range gets before it is split, and so on. */
export interface ElasticVariation {
  readonly nodes: number;
  readonly splitBytes: number;
  /** Of one range, from which it is split by load; 0 = none is. */
  readonly splitOperationsPerSecond: number;
  readonly clients: Partial<WorkloadOptions>;
  /** Where everything fails all the time, little is placed. */
  readonly faults: Partial<FaultOptions>;
  readonly placement: PlacementOptions;
}

export function elasticVariation(seed: number): ElasticVariation {
  const random = new SeededRandom(seed).fork("variation");
  const stalls = new SeededRandom(seed).fork("stalls");
  const variation = {
    nodes: random.pick([4, 5, 5, 5, 6]),
    splitBytes: random.pick([2 * 1024, 4 * 1024, 12 * 1024, 1 << 30]),
    splitOperationsPerSecond: 0,
    clients: {},
    faults: { gapMsMax: random.pick([1500, 4000, 10_000]) },
    placement: {
      thinkMsMax: random.pick([100, 400, 1000]),
      killChance: random.pick([0, 0.05, 0.15, 0.3]),
      absenceChance: 0.5,
      absenceMsMin: 8000,
      absenceMsMax: 16_000,
      stallChance: stalls.pick([0, 0, 0.3, 1]),
    },
  };
  return new SeededRandom(seed).fork("clients").chance(hotChance) ? hotter(variation) : variation;
}

/** Of elastic seeds, those in which load splits ranges. */
const hotChance = 0.3;

/**
 * Clients hurry, all the time and over all keys. Where a range's load falls into halves is known after some seconds in which it
 * keeps its leader and its bounds: so there is less of what changes them.
 */
function hotter(variation: ElasticVariation): ElasticVariation {
  const { clients, placement } = variation;
  return {
    ...variation,
    splitBytes: 1 << 30,
    splitOperationsPerSecond: 60,
    clients: { ...clients, thinkMsMax: 30, hotKeyChance: 0, lulls: noLulls },
    faults: { gapMsMin: 500, gapMsMax: 6000 },
    placement: { ...placement, thinkMsMax: 3000 },
  };
}
