/**
 * Has a merge called off while its entry is on the way to the other members (hazard E8): what the leader of the left range
 * sends to them gets slow at that moment, and whoever ordered the merge is told. Of the merge and of what is sent after it to
 * undo it, one has to come into force, and the right range may serve nobody before it is known which.
 */
import type { RangeId } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";
import { entryKindOf } from "@flotilla/store";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { SimulatedNode } from "../cluster/simulated-node.ts";

/** Long enough for an order and the steps that follow it, and shorter than what makes the others elect another leader. */
const detourMicrosMin = 200_000;
const detourMicrosMax = 400_000;
const slowMicros = 600_000;

export interface CrossingHooks {
  readonly count: (what: string) => void;
  readonly cancel: (left: RangeId) => void;
}

export class CrossedMerges {
  readonly #chance: number;
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #hooks: CrossingHooks;
  #stopped = false;
  #untilMicros = 0;

  /** `chance`: of 1, that a merge is crossed. */
  constructor(chance: number, cluster: SimulatedCluster, hooks: CrossingHooks) {
    this.#chance = chance;
    this.#cluster = cluster;
    this.#random = cluster.random.fork("crossed merges");
    this.#hooks = hooks;
    for (const node of cluster.nodes) {
      const { onAppend } = node;
      node.onAppend = (rangeId, entries) => {
        this.#appended(node, rangeId, entries);
        onAppend?.(rangeId, entries);
      };
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #appended(node: SimulatedNode, rangeId: RangeId, entries: readonly Entry[]): void {
    const { time, network } = this.#cluster;
    if (this.#stopped || time.nowMicros < this.#untilMicros || !entries.some(isMerge)) return;
    const leader = node.store?.replicas().find(({ descriptor, serves }) => descriptor.rangeId === rangeId && serves);
    if (leader === undefined || !this.#random.chance(this.#chance)) return;
    this.#untilMicros = time.nowMicros + slowMicros;
    this.#hooks.count("crossed: merge");
    this.#cluster.note(`what ${node.name} sends is slow while range ${rangeId} is to take in its neighbour`);
    const detourMicros = this.#random.between(detourMicrosMin, detourMicrosMax);
    for (const { storeId } of leader.descriptor.replicas) {
      const other = this.#cluster.nodes[storeId - 1]!;
      if (other === node) continue;
      const link = network.link(node.name, other.name);
      link.detourMicros = detourMicros;
      time.after(slowMicros, () => {
        link.detourMicros = 0;
      });
    }
    this.#hooks.cancel(rangeId);
  }
}

const isMerge = ({ kind, data }: Entry): boolean =>
  kind === "normal" && data.length > 0 && entryKindOf(data) === "merge";
