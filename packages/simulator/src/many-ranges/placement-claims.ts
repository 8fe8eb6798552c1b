/** What must hold of the driver's decisions: with each change of members, with each move, and when the cluster has come to rest. */
import type { RangeDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import { indexCluster, rangeRules } from "@flotilla/placement";
import type { ClusterIndex, ClusterState, Operator, RangeState } from "@flotilla/placement";
import type { Violation } from "../cluster/claims.ts";
import type { World } from "./world.ts";

/** Of the mean, by which the number of replicas, or of leaders, of a store may differ from it; or by one. */
const evenShare = 0.05;
const restMs = 600_000;

export class PlacementClaims {
  violation: Violation | undefined = undefined;
  /** At rest, of the mean: by how much the store differs from it that differs most. */
  readonly apartPercent: { replicas: number; leaders: number } = { replicas: 0, leaders: 0 };
  readonly #world: World;
  /** When a replica came to its store by an operator. */
  readonly #cameMs: Map<ReplicaId, number> = new Map();

  constructor(world: World) {
    this.#world = world;
  }

  violate(claim: string, rangeId: number, facts: readonly string[]): void {
    this.violation ??= { claim, rangeId, facts };
  }

  /** `range` as it was when it was decided. */
  begun({ goal, source, operatorId, reason }: Operator, { descriptor }: RangeState): void {
    if (source !== "balance-replicas" || goal.kind !== "move") return;
    const { nowMs, failedMs } = this.#world;
    const member = descriptor.replicas.find(({ storeId }) => storeId === goal.from);
    const cameMs = member === undefined ? undefined : this.#cameMs.get(member.replicaId);
    if (member === undefined || cameMs === undefined || nowMs >= cameMs + restMs || failedMs >= cameMs) return;
    this.violate("no replica moves twice within ten minutes without a failure in between", descriptor.rangeId, [
      `replica ${member.replicaId} came to store ${goal.from} ${nowMs - cameMs} ms ago`,
      `operator ${operatorId} moves it to store ${goal.to}: ${reason}`,
    ]);
  }

  membersChanged(before: RangeDescriptor, now: RangeDescriptor): void {
    const [were, are] = [voters(before), voters(now)];
    for (const id of are) if (!were.includes(id)) this.#cameMs.set(id, this.#world.nowMs);
    if (are.length >= Math.min(were.length, this.#world.options.settings.replicas)) return;
    this.violate("no operator leaves a range with too few replicas", now.rangeId, [
      `before: ${JSON.stringify(before)}`,
      `now: ${JSON.stringify(now)}`,
    ]);
  }

  /** Nothing has befallen the cluster for a while, and the driver has nothing more to do. */
  atRest(): void {
    this.#repaired();
    const { active, replicas, leaders } = countsOf(this.#world);
    this.#even("replicas", active, replicas);
    this.#even("leaders", active, leaders);
  }

  #repaired(): void {
    const { settings } = this.#world.options;
    for (const { descriptor, leader } of this.#world.index.ranges.values()) {
      const usable = descriptor.replicas.filter(
        ({ role, storeId }) => role === "voter" && this.#world.lives(storeId) && this.#isActive(storeId),
      );
      const isWhole = usable.length === settings.replicas && descriptor.replicas.length === settings.replicas;
      if (isWhole && usable.some(({ storeId }) => storeId === leader)) continue;
      this.violate("every range has its replicas on stores that live, and one of them leads", descriptor.rangeId, [
        `led by store ${leader}: ${JSON.stringify(descriptor)}`,
      ]);
    }
  }

  #isActive(id: StoreId): boolean {
    return this.#world.stores.get(id)?.membership === "active";
  }

  #even(what: "replicas" | "leaders", active: readonly StoreId[], counts: ReadonlyMap<StoreId, number>): void {
    const mean = active.reduce((sum, id) => sum + (counts.get(id) ?? 0), 0) / active.length;
    const most = Math.max(1, evenShare * mean);
    const difference = (id: StoreId): number => Math.abs((counts.get(id) ?? 0) - mean);
    this.apartPercent[what] = (100 * Math.max(...active.map(difference))) / mean;
    const apart = active.filter((id) => difference(id) > most);
    if (apart.length === 0) return;
    this.violate(`${what} are within 5 % of even`, 0, [
      `the mean is ${mean.toFixed(1)}`,
      ...apart.map((id) => `store ${id} has ${counts.get(id) ?? 0}`),
    ]);
  }

  /** The index that was kept up, against one that is made anew. */
  sameIndex(state: ClusterState): void {
    const [kept, anew] = [indexFacts(this.#world.index), indexFacts(indexCluster(state))];
    const facts = kept.flatMap((fact, i) => (fact === anew[i] ? [] : [`kept up: ${fact}`, `made anew: ${anew[i]!}`]));
    if (facts.length > 0) this.violate("the index that is kept up is the one that is made anew", 0, facts);
  }
}

const voters = ({ replicas }: RangeDescriptor): ReplicaId[] =>
  replicas.filter(({ role }) => role === "voter").map(({ replicaId }) => replicaId);

interface Counts {
  readonly active: readonly StoreId[];
  readonly replicas: ReadonlyMap<StoreId, number>;
  readonly leaders: ReadonlyMap<StoreId, number>;
}

/** By the ranges themselves. */
export function countsOf(world: World): Counts {
  const replicas = new Map<StoreId, number>();
  const leaders = new Map<StoreId, number>();
  for (const { descriptor, leader } of world.index.ranges.values()) {
    for (const { storeId } of descriptor.replicas) replicas.set(storeId, (replicas.get(storeId) ?? 0) + 1);
    leaders.set(leader, (leaders.get(leader) ?? 0) + 1);
  }
  return { active: world.active().map(({ id }) => id), replicas, leaders };
}

function indexFacts(index: ClusterIndex): string[] {
  index.examine(Infinity);
  const sorted = (ids: Iterable<number>): string => [...ids].sort((a, b) => a - b).join();
  const stores = [...index.stores.values()].map(({ store, ranges, led, ledBeside, ...load }) => {
    const { replicas, leaders, bytes, sending, receiving } = load;
    const counts = JSON.stringify({ replicas, leaders, bytes, load: load.load, sending, receiving });
    const beside = [...ledBeside].sort(([a], [b]) => a - b).map(([id, ids]) => `beside ${id} ${sorted(ids)}`);
    return `store ${store.storeId}: ${counts}, ranges ${sorted(ranges)}, leads ${sorted(led)}: ${beside.join("; ")}`;
  });
  return [...stores, ...rangeRules.map((rule) => `${rule.name}: ${sorted(index.concerned(rule))}`)];
}
