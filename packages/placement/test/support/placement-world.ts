/** Many stores and ranges that follow decisions: operators take their time, ranges grow and are split, stores fail. */
import { key, keyMax, logIndex, noStore, nodeId, rangeId, replicaId, storeId, term } from "@flotilla/base";
import type { RangeId, ReplicaDescriptor, StoreId } from "@flotilla/base";
import {
  decide,
  defaultPlacementSettings,
  indexCluster,
  isEnded,
  noLoad,
  startOperator,
  storeHealth,
} from "../../src/index.ts";
import type { ClusterState, Operator, RangeState, StoreState } from "../../src/index.ts";
import { MiB, testIds } from "./tables.ts";
import type { SmallRandom } from "./small-random.ts";

const roundMs = 20_000;
/** Rounds are rare here, so each may do more. */
const settings = {
  ...defaultPlacementSettings,
  operatorsMax: 256,
  movesPerRoundMax: 64,
  leaderTransfersPerRoundMax: 64,
  splitsPerRoundMax: 16,
  snapshotsReceivingPerStoreMax: 16,
  snapshotsSendingPerStoreMax: 16,
};
const snapshotMs = 10_000;

export class PlacementWorld {
  nowMs = 1_000_000;
  readonly random: SmallRandom;
  readonly stores: Map<StoreId, StoreState> = new Map();
  readonly ranges: Map<RangeId, RangeState> = new Map();
  readonly downSinceMs: Map<StoreId, number> = new Map();
  readonly running: Map<RangeId, Operator> = new Map();
  readonly ended: Operator[] = [];
  readonly #ids = testIds();
  #nextRangeId = 2;
  #nextOperatorId = 1;

  /** Ranges on the first `used` stores only, all led by one of three. */
  constructor(stores: number, used: number, ranges: number, random: SmallRandom) {
    this.random = random;
    for (let id = 1; id <= stores; id++) {
      const labels = { host: `host${id}`, zone: `zone${id % 5}` };
      this.stores.set(storeId(id), {
        storeId: storeId(id),
        nodeId: nodeId(id),
        membership: "active",
        health: "live",
        downMs: 0,
        diskFull: false,
        labels,
        sizeBytes: 0,
        freeBytes: 10_000_000 * MiB,
        snapshotsSending: 0,
        snapshotsReceiving: 0,
      });
    }
    for (let i = 0; i < ranges; i++) {
      const first = 1 + random.below(used);
      const members = [0, 1, 2].map((step) => 1 + ((first - 1 + step) % used));
      this.addRange(members.map(storeId), (10 + random.below(150)) * MiB);
    }
  }

  addRange(members: readonly StoreId[], sizeBytes: number): void {
    const id = rangeId(this.#nextRangeId++);
    const replicas = members.map((store) => ({
      replicaId: this.#ids.nextReplicaId(),
      storeId: store,
      role: "voter" as const,
    }));
    const descriptor = { rangeId: id, start: key("\x01"), end: keyMax, epoch: { bounds: 1, members: 1 }, replicas };
    const rates = { writesPerSecond: 0, readsPerSecond: 0, load: noLoad, configurationPending: false };
    this.ranges.set(id, {
      descriptor,
      leader: members[0]!,
      term: term(1),
      sizeBytes,
      sizeKnown: true,
      ...rates,
      replicas: reported(replicas),
    });
  }

  state(): ClusterState {
    const stores = [...this.stores.values()].map((store) => {
      const since = this.downSinceMs.get(store.storeId);
      const downMs = since === undefined ? 0 : this.nowMs - since;
      return { ...store, downMs, health: storeHealth(downMs, settings) };
    });
    return {
      nowMs: this.nowMs,
      stores,
      ranges: [...this.ranges.values()],
      operators: [...this.running.values()],
      recent: this.ended.filter(({ endedMs }) => this.nowMs - endedMs < 700_000),
      paused: new Set(),
      colocatedPrefixes: [],
      keptRanges: new Set(),
      settings,
    };
  }

  /** One round of the driver; returns how many operators it began. */
  round(): number {
    this.nowMs += roundMs;
    for (const operator of [...this.running.values()]) this.#follow(operator);
    for (const range of this.ranges.values()) if (this.downSinceMs.has(range.leader)) this.#elect(range);
    const state = this.state();
    const decisions = decide(indexCluster(state));
    if (decisions.length === 0) return 0;
    const index = indexCluster(state);
    for (const decision of decisions) {
      const operator = startOperator(decision, this.#nextOperatorId++, index, this.#ids);
      if (typeof operator === "string") throw new Error(operator);
      this.running.set(operator.rangeId, operator);
    }
    return decisions.length;
  }

  #follow(operator: Operator): void {
    const { goal, rangeId: id, createdMs } = operator;
    const range = this.ranges.get(id)!;
    const takesMs = goal.kind === "move" || goal.kind === "repair" ? snapshotMs : 0;
    if (this.nowMs < createdMs + takesMs) return;
    const lost = "to" in goal && this.downSinceMs.has(goal.to);
    const done: Operator = { ...operator, state: lost ? "failed" : "done", endedMs: this.nowMs };
    if (!isEnded(done)) throw new Error("ends");
    this.running.delete(id);
    this.ended.push(done);
    if (lost) return;
    if (goal.kind === "transfer-leader") this.ranges.set(id, { ...range, leader: goal.to });
    else if (goal.kind === "split") this.#split(range, goal.count);
    else if (goal.kind === "merge") throw new Error("nothing is merged in this world");
    else this.#replace(range, goal.from, "to" in goal ? goal : undefined);
  }

  #split(range: RangeState, count: number): void {
    const sizeBytes = range.sizeBytes / count;
    this.ranges.set(range.descriptor.rangeId, { ...range, sizeBytes });
    const members = range.descriptor.replicas.map(({ storeId: store }) => store);
    const led = [range.leader, ...members.filter((store) => store !== range.leader)];
    for (let i = 1; i < count; i++) this.addRange(led, sizeBytes);
  }

  #replace(
    range: RangeState,
    from: StoreId,
    added: { to: StoreId; replicaId: ReplicaDescriptor["replicaId"] } | undefined,
  ): void {
    const { descriptor } = range;
    const replicas = descriptor.replicas.filter(({ storeId: store }) => store !== from);
    if (added !== undefined) replicas.push({ replicaId: replicaId(added.replicaId), storeId: added.to, role: "voter" });
    const epoch = { ...descriptor.epoch, members: descriptor.epoch.members + 1 };
    const changed = { ...range, descriptor: { ...descriptor, replicas, epoch }, replicas: reported(replicas) };
    this.ranges.set(descriptor.rangeId, changed);
    if (range.leader === from) this.#elect(changed);
  }

  #elect(range: RangeState): void {
    const heir = range.descriptor.replicas.find(({ storeId: store }) => !this.downSinceMs.has(store));
    this.ranges.set(range.descriptor.rangeId, { ...range, leader: heir?.storeId ?? noStore });
  }

  grow(share: number): void {
    for (const [id, range] of this.ranges)
      if (this.random.below(1000) < share * 1000) this.ranges.set(id, { ...range, sizeBytes: range.sizeBytes * 1.5 });
  }
}

const reported = (replicas: readonly ReplicaDescriptor[]): RangeState["replicas"] =>
  replicas.map(({ replicaId: id, storeId: store }) => ({
    replicaId: id,
    storeId: store,
    match: logIndex(10),
    lag: 0,
    state: "replicate",
    active: true,
  }));
