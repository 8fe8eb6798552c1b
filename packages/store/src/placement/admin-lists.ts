/** Lists of nodes, stores and ranges, and the cluster's state in short. What nobody has reported is null. */
import { Failure, metaRangeId, noStore, userKeyOf, userPrefix } from "@flotilla/base";
import type { Key, NodeId, RangeId, StoreId } from "@flotilla/base";
import type { RangeReport, StoreEntry, StoreStatus } from "@flotilla/transport";
import type { AdminHost } from "./admin-service.ts";
import { newestRanges } from "./report-book.ts";
import type { StoreKnowledge } from "./report-book.ts";

export class AdminLists {
  readonly #host: AdminHost;

  constructor(host: AdminHost) {
    this.#host = host;
  }

  /** Stores that have reported, or are heard of and will. */
  #live(reports: readonly StoreKnowledge[]): Set<StoreId> {
    const { directory, links, storeDeadMs } = this.#host;
    const live = new Set(reports.map((report) => report.status.storeId));
    for (const { storeId } of directory.members()) if (links.alive(storeId, storeDeadMs)) live.add(storeId);
    return live;
  }

  async clusterStatus(reports: readonly StoreKnowledge[]): Promise<unknown> {
    const { directory, plan, placement, storeId } = this.#host;
    const stores = directory.members();
    const { driver } = placement;
    const descriptors = await this.#host.descriptors();
    const led = new Set(reports.flatMap(({ ranges }) => [...ranges.keys()]));
    const live = this.#live(reports);
    const reasons: string[] = [];
    let underReplicated = 0;
    let unavailable = 0;
    for (const descriptor of descriptors) {
      const alive = descriptor.replicas.filter((replica) => live.has(replica.storeId)).length;
      if (alive < descriptor.replicas.length) underReplicated++;
      if (!led.has(descriptor.rangeId) && alive <= descriptor.replicas.length / 2) unavailable++;
    }
    for (const store of stores)
      if (!live.has(store.storeId)) reasons.push(`store ${store.storeId} (${store.address}) does not answer`);
    if (unavailable > 0) reasons.push(`${unavailable} ranges have no majority`);
    else if (led.size < descriptors.length && reports.length === live.size) {
      reasons.push(`${descriptors.length - led.size} ranges have no leader at this moment`);
    }
    if (driver === noStore) reasons.push("the meta range has no leader known to this store");
    const health = unavailable > 0 || driver === noStore ? "unavailable" : reasons.length > 0 ? "degraded" : "ok";
    const term = this.#host.replica(metaRangeId)?.node.term ?? null;
    const driverNode = directory.entry(driver)?.nodeId ?? null;
    return {
      clusterId: plan.clusterId,
      formatNumber: 1,
      health,
      reasons,
      warnings: [...reports.flatMap(({ status }) => exposed(status)), ...stores.flatMap(leaving)],
      nodes: { total: nodesOf(stores), live: nodesOf(stores.filter((store) => live.has(store.storeId))) },
      stores: { total: stores.length, live: live.size },
      ranges: { total: descriptors.length, led: led.size, underReplicated, unavailable },
      placementDriver: { nodeId: driverNode, storeId: driver === noStore ? null : driver, term },
      sizeBytes: reports.find((report) => report.status.storeId === storeId)?.status.sizeBytes ?? null,
    };
  }

  /** Those too that are out of the cluster. */
  nodeList(reports: readonly StoreKnowledge[]): object[] {
    const nodes = new Map<NodeId, StoreEntry[]>();
    for (const store of this.#host.directory.stores.values()) {
      const stores = nodes.get(store.nodeId);
      if (stores === undefined) nodes.set(store.nodeId, [store]);
      else stores.push(store);
    }
    return [...nodes].map(([nodeId, stores]) => {
      const store = stores[0]!;
      const status = statusOf(reports, store.storeId);
      return {
        nodeId,
        address: status?.address ?? store.address,
        httpAddress: status?.httpAddress ?? (store.httpAddress === "" ? null : store.httpAddress),
        pid: status?.pid ?? null,
        state: this.#stateOf(store, status),
        serverVersion: status?.serverVersion ?? null,
        uptimeMs: status?.uptimeMs ?? null,
        stores: stores.map(({ storeId }) => storeId),
        labels: status?.labels ?? store.labels,
      };
    });
  }

  /** What was asked of it while it is alive, and out when it is. */
  #stateOf(store: StoreEntry, status: StoreStatus | undefined): string {
    const { links, storeDeadMs } = this.#host;
    if (store.state === "decommissioned") return store.state;
    if (status !== undefined) return store.state === "active" ? "live" : store.state;
    return links.alive(store.storeId, storeDeadMs) ? "suspect" : "dead";
  }

  storeList(reports: readonly StoreKnowledge[], only?: StoreId): object[] {
    const stores = [...this.#host.directory.stores.values()];
    const shown = only === undefined ? stores : stores.filter((store) => store.storeId === only);
    return shown.map((store) => {
      const status = statusOf(reports, store.storeId);
      return {
        storeId: store.storeId,
        nodeId: store.nodeId,
        address: status?.address ?? store.address,
        state: this.#stateOf(store, status),
        replicas: status?.replicas ?? null,
        leaders: status?.leaders ?? null,
        sizeBytes: status?.sizeBytes ?? null,
        freeBytes: status?.freeBytes ?? null,
        logBytes: status?.logBytes ?? null,
        fsyncs: status?.fsyncs ?? null,
        dataDir: status?.dataDir ?? null,
      };
    });
  }

  /** Rows of the ranges with the most of it a second, the most first. */
  async hottest(reports: readonly StoreKnowledge[], { order, count }: HottestRequest): Promise<object[]> {
    const load = loads[order];
    const chosen = [...newestRanges(reports).values()]
      .sort((a, b) => load(b) - load(a) || a.descriptor.rangeId - b.descriptor.rangeId)
      .slice(0, count)
      .map(({ descriptor }) => descriptor.rangeId);
    const rows = await this.rangeList(reports, new Set(chosen));
    const places = new Map(chosen.map((rangeId, place) => [rangeId, place]));
    return rows.sort((a, b) => places.get(a.rangeId)! - places.get(b.rangeId)!);
  }

  /** `local`: whoever asks wants to know what this store knows, be it nothing. */
  async rangeList(
    reports: readonly StoreKnowledge[],
    only?: ReadonlySet<RangeId>,
    local = false,
  ): Promise<{ readonly rangeId: RangeId }[]> {
    const newest = newestRanges(reports);
    const { directory } = this.#host;
    const live = this.#live(reports);
    const all = await this.#host.descriptors();
    // A store that has no replica of the meta range, and knows of no driver: it was taken out, or hears nobody.
    if (all.length === 0 && !local)
      throw new Failure("NoQuorum", `store ${this.#host.storeId} knows neither ranges nor a placement driver`, {
        hint: "ask another node",
      });
    const shown = only === undefined ? all : all.filter((descriptor) => only.has(descriptor.rangeId));
    return shown.map((descriptor) => {
      const report = newest.get(descriptor.rangeId);
      return {
        rangeId: descriptor.rangeId,
        start: visibleBound(descriptor.start),
        end: visibleBound(descriptor.end),
        system: descriptor.rangeId === metaRangeId,
        epoch: descriptor.epoch,
        leaderStoreId: report?.leaderStoreId ?? null,
        term: report?.term ?? null,
        replicas: descriptor.replicas.map(({ replicaId, storeId, role }) => {
          const state = report?.replicas.find((replica) => replica.replicaId === replicaId);
          const word = !live.has(storeId)
            ? "down"
            : storeId === report?.leaderStoreId
              ? "leader"
              : (state?.state ?? null);
          return { replicaId, storeId, nodeId: directory.entry(storeId)?.nodeId ?? null, role, state: word };
        }),
        sizeBytes: report?.sizeBytes ?? null,
        keys: report?.keys ?? null,
        writesPerSecond: report?.writesPerSecond ?? null,
        readsPerSecond: report?.readsPerSecond ?? null,
        bytesPerSecond: report?.bytesPerSecond ?? null,
        asleep: report?.asleep ?? false,
      };
    });
  }
}

export const hottestOrders = ["operations", "writes", "reads", "bytes", "size"] as const;

export interface HottestRequest {
  readonly order: (typeof hottestOrders)[number];
  readonly count: number;
}

const loads: Readonly<Record<HottestRequest["order"], (range: RangeReport) => number>> = {
  operations: ({ writesPerSecond, readsPerSecond }) => writesPerSecond + readsPerSecond,
  writes: ({ writesPerSecond }) => writesPerSecond,
  reads: ({ readsPerSecond }) => readsPerSecond,
  bytes: ({ bytesPerSecond }) => bytesPerSecond,
  size: ({ sizeBytes }) => sizeBytes,
};

const nodesOf = (stores: readonly StoreEntry[]): number => new Set(stores.map(({ nodeId }) => nodeId)).size;

function statusOf(reports: readonly StoreKnowledge[], store: StoreId): StoreStatus | undefined {
  return reports.find(({ status }) => status.storeId === store)?.status;
}

/** Without TLS and users, an address beyond this machine is an open door; it is said wherever somebody looks. */
function exposed({ nodeId, address, httpAddress }: StoreStatus): string[] {
  return [address, httpAddress]
    .filter((text) => !/^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\]):\d+$/.test(text))
    .map((text) => `node ${nodeId}: ${text} can be reached from other machines, without TLS and users`);
}

/** What somebody has ordered and may have forgotten; after a recovery, what was ended by an order that is lost. */
function leaving({ storeId, nodeId, state }: StoreEntry): string[] {
  switch (state) {
    case "draining":
      return [
        `store ${storeId} is draining: it leads nothing and takes no replicas; flotilla node drain ${nodeId} --undo ends that`,
      ];
    case "decommissioning":
      return [`store ${storeId} is being decommissioned: flotilla node recommission ${nodeId} takes that back`];
    default:
      return [];
  }
}

/** As a user's key, a binary string; the ends of the key space are empty. */
function visibleBound(bound: Key): string {
  return bound.startsWith(userPrefix) ? userKeyOf(bound) : "";
}
