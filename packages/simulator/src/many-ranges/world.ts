/**
 * Stores and ranges without data, for the decisions of the placement driver alone: who lives, who leads, which replicas are
 * where. Everything that changes is put into the driver's index at once, as if it had been reported.
 */
import {
  key,
  keyMax,
  logIndex,
  metaRangeId,
  noStore,
  nodeId,
  rangeId,
  replicaId,
  storeId,
  systemPrefix,
  term,
  userPrefix,
} from "@flotilla/base";
import type { Key, RangeDescriptor, RangeId, ReplicaDescriptor, ReplicaId, StoreId } from "@flotilla/base";
import { ClusterIndex, noLoad, storeHealth } from "@flotilla/placement";
import type { ClusterMoment, IdSource, PlacementSettings, RangeState, StoreState } from "@flotilla/placement";
import type { SeededRandom } from "../time/seeded-random.ts";
import { Agenda } from "./agenda.ts";

export const MiB: number = 1024 * 1024;

export interface WorldOptions {
  readonly stores: number;
  readonly ranges: number;
  /** 0: stores have no such label. */
  readonly zones: number;
  readonly rangeBytesMin: number;
  readonly rangeBytesMax: number;
  readonly settings: PlacementSettings;
}

export interface WorldStore {
  readonly id: StoreId;
  /** Empty where there are none. */
  readonly zone: string;
  membership: StoreState["membership"];
  diskFull: boolean;
  /** Undefined while it lives. */
  silentSinceMs: number | undefined;
  /** How often it has died: what was under way with it before is lost. */
  deaths: number;
}

/** From the death of a leader until others follow another one. */
const electionMsMin = 2000;
const electionMsMax = 5000;
/** From the return of a store until its replicas have what they missed. */
const catchUpMsMin = 1000;
const catchUpMsMax = 20_000;
/** Entries that a replica lacks which is not level. */
const entriesMissed = 5000;

export class World {
  readonly agenda: Agenda = new Agenda();
  readonly options: WorldOptions;
  readonly random: SeededRandom;
  readonly stores: Map<StoreId, WorldStore> = new Map();
  readonly ids: IdSource;
  index: ClusterIndex;
  /** When a store last died. */
  failedMs: number = -Infinity;
  /** The range is another than before. */
  onChange: (id: RangeId) => void = () => {};
  #nextReplica = 1;
  #nextRange: number = metaRangeId;
  #nextStore = 1;

  constructor(options: WorldOptions, random: SeededRandom) {
    this.options = options;
    this.random = random;
    this.ids = {
      nextReplicaId: () => replicaId(this.#nextReplica++),
      nextRangeId: () => rangeId(this.#nextRange++),
    };
    this.index = new ClusterIndex(this.moment());
    for (let i = 0; i < options.stores; i++) this.addStore();
    this.#found();
  }

  get nowMs(): number {
    return this.agenda.nowMs;
  }

  moment(): ClusterMoment {
    const { settings } = this.options;
    return { nowMs: this.nowMs, paused: new Set(), colocatedPrefixes: [], keptRanges: new Set(), settings };
  }

  /** In the zone that has fewest. */
  addStore(): StoreId {
    const id = storeId(this.#nextStore++);
    const counts = Array.from({ length: this.options.zones }, () => 0);
    if (counts.length > 0) for (const { zone } of this.active()) counts[Number(zone)]!++;
    const zone = counts.length === 0 ? "" : String(counts.indexOf(Math.min(...counts)));
    const store: WorldStore = { id, zone, membership: "active", diskFull: false, silentSinceMs: undefined, deaths: 0 };
    this.stores.set(id, store);
    this.report(store);
    return id;
  }

  /** What the driver knows of the store by now. */
  report({ id, zone, membership, diskFull, silentSinceMs }: WorldStore): void {
    const downMs = silentSinceMs === undefined ? 0 : this.nowMs - silentSinceMs;
    this.index.putStore({
      storeId: id,
      nodeId: nodeId(id),
      membership,
      health: storeHealth(downMs, this.options.settings),
      downMs,
      diskFull,
      stopping: false,
      labels: zone === "" ? { host: `host${id}` } : { host: `host${id}`, zone },
      sizeBytes: 0,
      freeBytes: Number.MAX_SAFE_INTEGER,
      snapshotsSending: 0,
      snapshotsReceiving: 0,
    });
  }

  /** True when the driver holds another view of one of them now. */
  reportSilent(): boolean {
    let changed = false;
    for (const store of this.stores.values()) {
      if (store.silentSinceMs === undefined) continue;
      const before = this.index.stores.get(store.id)!.store.health;
      this.report(store);
      if (this.index.stores.get(store.id)!.store.health !== before) changed = true;
    }
    return changed;
  }

  get someSilent(): boolean {
    for (const { silentSinceMs } of this.stores.values()) if (silentSinceMs !== undefined) return true;
    return false;
  }

  /** Those that count: a store that was decommissioned has nothing any more. */
  active(): WorldStore[] {
    return [...this.stores.values()].filter(({ membership }) => membership === "active");
  }

  lives(id: StoreId): boolean {
    const store = this.stores.get(id);
    return store !== undefined && store.silentSinceMs === undefined;
  }

  /** The range can commit something now. */
  canCommit({ descriptor, leader }: RangeState): boolean {
    return leader !== noStore && this.lives(leader) && this.#hasMajority(descriptor);
  }

  #hasMajority({ replicas }: RangeDescriptor): boolean {
    const voters = replicas.filter(({ role }) => role === "voter");
    return voters.filter(({ storeId: store }) => this.lives(store)).length * 2 > voters.length;
  }

  put(range: RangeState): void {
    this.index.putRange(range);
    this.onChange(range.descriptor.rangeId);
  }

  // ---- what befalls stores ----

  die(id: StoreId): void {
    const store = this.stores.get(id)!;
    store.silentSinceMs = this.nowMs;
    this.failedMs = this.nowMs;
    const death = ++store.deaths;
    this.agenda.after(this.random.between(electionMsMin, electionMsMax), () => {
      if (store.deaths === death && store.silentSinceMs !== undefined) this.#noticeAll(id);
    });
  }

  comeBack(id: StoreId): void {
    const store = this.stores.get(id)!;
    store.silentSinceMs = undefined;
    this.report(store);
    const { deaths } = store;
    this.#noticeAll(id);
    this.agenda.after(this.random.between(catchUpMsMin, catchUpMsMax), () => {
      if (store.deaths === deaths) this.#levelAll(id);
    });
  }

  #noticeAll(id: StoreId): void {
    for (const range of [...this.index.stores.get(id)!.ranges]) this.notice(this.index.ranges.get(range)!);
  }

  /** The range's leader, or the one that is elected now, sees who lives. */
  notice(range: RangeState): void {
    const led = this.lives(range.leader) && this.#hasMajority(range.descriptor);
    const leader = led ? range.leader : this.#electable(range);
    const changed = leader !== range.leader && leader !== noStore;
    this.put({ ...range, leader, term: changed ? term(range.term + 1) : range.term, replicas: this.#seen(range) });
  }

  #seen({ replicas }: RangeState): RangeState["replicas"] {
    return replicas.map((replica) => {
      const active = this.lives(replica.storeId);
      if (active === replica.active) return replica;
      if (!active || replica.state !== "replicate") return { ...replica, active };
      // Whoever was away has missed something.
      return { ...replica, active, state: "probe", lag: entriesMissed };
    });
  }

  #levelAll(id: StoreId): void {
    for (const rangeId_ of [...this.index.stores.get(id)!.ranges]) {
      const range = this.index.ranges.get(rangeId_)!;
      const replica = range.replicas.find(({ storeId: store }) => store === id);
      if (replica !== undefined && replica.state === "probe") this.level(range, replica.replicaId);
    }
  }

  level(range: RangeState, id: ReplicaId): void {
    const replicas = range.replicas.map((replica) =>
      replica.replicaId === id ? { ...replica, state: "replicate" as const, lag: 0, active: true } : replica,
    );
    const { descriptor } = range;
    const leader = range.leader === noStore ? this.#electable({ ...range, replicas }) : range.leader;
    this.put({ ...range, descriptor, leader, replicas });
  }

  #electable({ descriptor, replicas }: RangeState): StoreId {
    if (!this.#hasMajority(descriptor)) return noStore;
    const able = descriptor.replicas.filter(
      ({ role, storeId: store, replicaId: id }) =>
        role === "voter" &&
        this.lives(store) &&
        replicas.find((replica) => replica.replicaId === id)?.state === "replicate",
    );
    return able.length === 0 ? noStore : this.random.pick(able).storeId;
  }

  // ---- ranges ----

  #areApart(a: StoreId, b: StoreId): boolean {
    const { zone } = this.stores.get(a)!;
    return a !== b && (zone === "" || zone !== this.stores.get(b)!.zone);
  }

  /** Every store once, by chance, zone by zone: as even as can be, also where zones differ by a store. */
  #lap(byZone: readonly (readonly StoreId[])[]): StoreId[] {
    const shuffled = byZone.map((zone) => this.random.shuffle([...zone]));
    const lap: StoreId[] = [];
    for (let i = 0; lap.length < this.options.stores; i++)
      for (const zone of shuffled) if (zone[i] !== undefined) lap.push(zone[i]!);
    return lap;
  }

  /** Evenly over all stores, the replicas of a range in different zones, and those of a store with those of every other. */
  #found(): void {
    const { ranges, zones } = this.options;
    const byZone = Array.from({ length: Math.max(1, zones) }, () => [] as StoreId[]);
    for (const { id, zone } of this.stores.values()) byZone[Number(zone)]!.push(id);
    const bounds = [systemPrefix, userPrefix];
    for (let i = 1; i < ranges; i++) bounds.push(key(userPrefix + i.toString(36).padStart(5, "0")));
    bounds.push(keyMax);
    let waiting: StoreId[] = [];
    for (let i = 0; i <= ranges; i++) {
      const members: StoreId[] = [];
      while (members.length < 3) {
        const fits = (store: StoreId): boolean => members.every((member) => this.#areApart(store, member));
        const at = waiting.findIndex(fits);
        if (at < 0) waiting = [...waiting, ...this.#lap(byZone)];
        else members.push(...waiting.splice(at, 1));
      }
      const { rangeBytesMin, rangeBytesMax } = this.options;
      const sizeBytes = i === 0 ? MiB : this.random.between(rangeBytesMin, rangeBytesMax);
      const leader = members[i % members.length]!;
      this.index.putRange(this.#newRange(bounds[i]!, bounds[i + 1]!, members, leader, sizeBytes));
    }
  }

  #newRange(start: Key, end: Key, members: readonly StoreId[], leader: StoreId, sizeBytes: number): RangeState {
    const replicas = members.map((store): ReplicaDescriptor => ({
      replicaId: this.ids.nextReplicaId(),
      storeId: store,
      role: "voter",
    }));
    const descriptor = { rangeId: this.ids.nextRangeId(), start, end, epoch: { bounds: 1, members: 1 }, replicas };
    return rangeOf(descriptor, leader, sizeBytes);
  }
}

export function rangeOf(descriptor: RangeDescriptor, leader: StoreId, sizeBytes: number): RangeState {
  const rates = {
    sizeKnown: true,
    writesPerSecond: 0,
    readsPerSecond: 0,
    load: noLoad,
    configurationPending: false,
    sealedFor: undefined,
  };
  const replicas = descriptor.replicas.map((replica) => reportOf(replica, "replicate"));
  return { descriptor, leader, term: term(1), sizeBytes, ...rates, replicas };
}

export function reportOf(
  { replicaId: id, storeId: store }: ReplicaDescriptor,
  state: "replicate" | "snapshot",
): RangeState["replicas"][number] {
  const lag = state === "replicate" ? 0 : entriesMissed;
  return { replicaId: id, storeId: store, match: logIndex(entriesMissed - lag), lag, state, active: true };
}
