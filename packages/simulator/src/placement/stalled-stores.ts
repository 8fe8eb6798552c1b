/**
 * Stops a disk with an entry that changes which keys a range has, while clients read. A leader whose disk stops with the split
 * that it proposes has not applied it yet when its followers have, and when the right half has found another leader; and a
 * store whose disk stops with a merge may lead the sealed right range, whose keys are written elsewhere by then (hazard C12).
 * Clients that write do not reach it meanwhile, and so find the others.
 */
import type { RangeId } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";
import { entryKindOf } from "@flotilla/store";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { SimulatedCluster } from "../cluster/simulated-cluster.ts";
import type { SimulatedNode } from "../cluster/simulated-node.ts";

/**
 * About a lease and what a store takes to notice its disk, on one side of an election timeout and on the other: 500 to
 * 1000 ms with the settings of the simulator.
 */
const stallMicrosMin = 300_000;
const stallMicrosMax = 1_200_000;

export interface StallHooks {
  readonly count: (what: string) => void;
  /** A client reads for so many milliseconds; its host. */
  readonly watch: (ms: number) => string;
}

export class StalledStores {
  readonly #chance: number;
  readonly #cluster: SimulatedCluster;
  readonly #random: SeededRandom;
  readonly #hooks: StallHooks;
  #stopped = false;
  /** One at a time: else nothing would be committed. */
  #untilMicros = 0;

  /** `chance`: of 1, that such an entry stops the disk. */
  constructor(chance: number, cluster: SimulatedCluster, hooks: StallHooks) {
    this.#chance = chance;
    this.#cluster = cluster;
    this.#random = cluster.random.fork("stalled stores");
    this.#hooks = hooks;
    for (const node of cluster.nodes) node.onAppend = (rangeId, entries) => this.#appended(node, rangeId, entries);
  }

  stop(): void {
    this.#stopped = true;
  }

  #appended(node: SimulatedNode, rangeId: RangeId, entries: readonly Entry[]): void {
    const { time, network, clientHosts } = this.#cluster;
    if (this.#stopped || this.#chance === 0 || time.nowMicros < this.#untilMicros) return;
    const kind = entries.map(({ kind: entry, data }) => kindOf(entry, data)).find((each) => each !== undefined);
    if (kind === undefined) return;
    const leads = node.store?.replicas().some(({ descriptor, serves }) => descriptor.rangeId === rangeId && serves);
    if ((kind === "split" && leads !== true) || !this.#random.chance(this.#chance)) return;
    this.#hooks.count(`stalled with: ${kind}`);
    this.#cluster.note(`${node.name} stalls with the ${kind} of range ${rangeId}`);
    node.disk.faults.stuck = true;
    const micros = this.#random.between(stallMicrosMin, stallMicrosMax);
    this.#untilMicros = time.nowMicros + micros;
    const watcher = this.#hooks.watch(micros / 1000);
    const cut = clientHosts.filter((host) => host !== watcher);
    for (const host of cut) network.block(host, node.name);
    time.after(micros, () => {
      node.disk.release();
      for (const host of cut) network.free(host, node.name);
    });
  }
}

function kindOf(entry: Entry["kind"], data: Uint8Array): "split" | "merge" | undefined {
  if (entry !== "normal" || data.length === 0) return undefined;
  const kind = entryKindOf(data);
  return kind === "split" || kind === "merge" ? kind : undefined;
}
