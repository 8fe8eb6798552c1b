/**
 * What the command line asks for by name. The store that drives placement answers from all stores' reports; another one
 * says which that is; with none, a store answers from what it knows itself.
 */
import { Failure, metaRangeId, noStore, userKeyOf, userPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor, StoreId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import type { RangeReport, StoreReport, StoreStatus } from "@flotilla/transport";
import type { PlacementHost } from "./placement-host.ts";
import type { PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";

export interface AdminHost {
  readonly plan: ClusterPlan;
  readonly storeId: StoreId;
  readonly placement: PlacementHost;
  readonly links: PeerLinks;
  readonly storeDeadMs: number;
  replica(rangeId: number): Replica | undefined;
  descriptors(): Promise<readonly RangeDescriptor[]>;
  leaderOf(rangeId: number): StoreId;
}

export class AdminService {
  readonly #host: AdminHost;

  constructor(host: AdminHost) {
    this.#host = host;
  }

  async answer(name: string, argument: unknown): Promise<unknown> {
    switch (name) {
      case "cluster-status":
        return this.#clusterStatus(this.#reports(argument));
      case "node-list":
        return this.#nodeList(this.#reports(argument));
      case "store-list":
        return this.#storeList(this.#reports(argument));
      case "range-list":
        return this.#rangeList(this.#reports(argument));
      case "transfer-leader":
        return this.#transferLeader(argument);
      case "founding-state":
        return { token: null, kind: "member", clusterId: this.#host.plan.clusterId };
      case "cluster-init":
        throw this.#member();
      case "identity-offer":
      case "identity-withdraw":
      case "identity-confirm":
        return this.#founded(name, argument);
      default:
        throw new Failure("InvalidArgument", `unknown request ${JSON.stringify(name)}`, {
          hint: "client and server differ in their versions",
        });
    }
  }

  #member(): Failure {
    const { clusterId } = this.#host.plan;
    return new Failure("Refused", `store ${this.#host.storeId} already belongs to cluster ${clusterId}`, {
      hint: "a cluster is made once; `flotilla cluster status` shows it",
      details: { clusterId },
    });
  }

  /** A node that makes this very cluster may not have heard yet that this store has its identity. */
  #founded(name: string, argument: unknown): unknown {
    if (founderOf(argument) !== this.#host.plan.clusterId) throw this.#member();
    if (name === "identity-withdraw") return { withdrawn: false };
    return name === "identity-offer" ? { taken: true } : { member: true };
  }

  /** The driver's reports; a store that is not the driver sends the client there, unless `{ local: true }` was asked. */
  #reports(argument: unknown): StoreReport[] {
    const { placement, storeId, links, storeDeadMs } = this.#host;
    const local = typeof argument === "object" && argument !== null && "local" in argument && argument.local === true;
    const { driver } = placement;
    if (!local && !placement.leads && driver !== noStore && driver !== storeId && links.alive(driver, storeDeadMs)) {
      throw new Failure("Refused", `store ${driver} drives placement`, { details: { redirectStoreId: driver } });
    }
    return placement.reports();
  }

  /** Stores that have reported, or are heard of and will. */
  #live(reports: readonly StoreReport[]): Set<StoreId> {
    const { plan, links, storeDeadMs } = this.#host;
    const live = new Set(reports.map((report) => report.status.storeId));
    for (const { storeId } of plan.stores) if (links.alive(storeId, storeDeadMs)) live.add(storeId);
    return live;
  }

  async #clusterStatus(reports: readonly StoreReport[]): Promise<unknown> {
    const { plan, placement, storeId } = this.#host;
    const { driver } = placement;
    const descriptors = await this.#host.descriptors();
    const led = new Map(reports.flatMap((report) => report.ranges).map((range) => [range.descriptor.rangeId, range]));
    const live = this.#live(reports);
    const reasons: string[] = [];
    let underReplicated = 0;
    let unavailable = 0;
    for (const descriptor of descriptors) {
      const alive = descriptor.replicas.filter((replica) => live.has(replica.storeId)).length;
      if (alive < descriptor.replicas.length) underReplicated++;
      if (!led.has(descriptor.rangeId) && alive <= descriptor.replicas.length / 2) unavailable++;
    }
    for (const store of plan.stores)
      if (!live.has(store.storeId)) reasons.push(`store ${store.storeId} (${store.address}) does not answer`);
    if (unavailable > 0) reasons.push(`${unavailable} ranges have no majority`);
    else if (led.size < descriptors.length && reports.length === live.size) {
      reasons.push(`${descriptors.length - led.size} ranges have no leader at this moment`);
    }
    if (driver === noStore) reasons.push("the meta range has no leader known to this store");
    const health = unavailable > 0 || driver === noStore ? "unavailable" : reasons.length > 0 ? "degraded" : "ok";
    const term = this.#host.replica(metaRangeId)?.node.term ?? null;
    const driverNode = plan.stores.find((store) => store.storeId === driver)?.nodeId ?? null;
    return {
      clusterId: plan.clusterId,
      formatNumber: 1,
      health,
      reasons,
      warnings: reports.flatMap(({ status }) => exposed(status)),
      nodes: { total: plan.stores.length, live: live.size },
      stores: { total: plan.stores.length, live: live.size },
      ranges: { total: descriptors.length, led: led.size, underReplicated, unavailable },
      placementDriver: { nodeId: driverNode, storeId: driver === noStore ? null : driver, term },
      sizeBytes: reports.find((report) => report.status.storeId === storeId)?.status.sizeBytes ?? null,
    };
  }

  #nodeList(reports: readonly StoreReport[]): unknown {
    const { plan, links, storeDeadMs } = this.#host;
    return plan.stores.map((store) => {
      const status = reports.find((report) => report.status.storeId === store.storeId)?.status;
      const state = status !== undefined ? "live" : links.alive(store.storeId, storeDeadMs) ? "suspect" : "dead";
      return {
        nodeId: store.nodeId,
        address: status?.address ?? store.address,
        httpAddress: status?.httpAddress ?? null,
        pid: status?.pid ?? null,
        state,
        serverVersion: status?.serverVersion ?? null,
        uptimeMs: status?.uptimeMs ?? null,
        stores: [store.storeId],
        labels: status?.labels ?? {},
      };
    });
  }

  #storeList(reports: readonly StoreReport[]): unknown {
    const { plan, links, storeDeadMs } = this.#host;
    return plan.stores.map((store) => {
      const status = reports.find((report) => report.status.storeId === store.storeId)?.status;
      return {
        storeId: store.storeId,
        nodeId: store.nodeId,
        address: status?.address ?? store.address,
        state: status !== undefined ? "live" : links.alive(store.storeId, storeDeadMs) ? "suspect" : "dead",
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

  async #rangeList(reports: readonly StoreReport[]): Promise<unknown> {
    const newest = new Map<number, RangeReport>();
    for (const { ranges } of reports) {
      for (const range of ranges) {
        const known = newest.get(range.descriptor.rangeId);
        if (known === undefined || range.term > known.term) newest.set(range.descriptor.rangeId, range);
      }
    }
    const stores = new Map(this.#host.plan.stores.map((store) => [store.storeId, store.nodeId]));
    const live = this.#live(reports);
    return (await this.#host.descriptors()).map((descriptor) => {
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
          return { replicaId, storeId, nodeId: stores.get(storeId) ?? null, role, state: word };
        }),
        sizeBytes: report?.sizeBytes ?? null,
        keys: report?.keys ?? null,
        writesPerSecond: report?.writesPerSecond ?? null,
        readsPerSecond: report?.readsPerSecond ?? null,
        asleep: report?.asleep ?? false,
      };
    });
  }

  async #transferLeader(argument: unknown): Promise<unknown> {
    const { rangeId, to } = transferArguments(argument);
    const descriptor = (await this.#host.descriptors()).find((range) => range.rangeId === rangeId);
    if (descriptor === undefined)
      throw new Failure("NotFound", `there is no range ${rangeId}`, { hint: "flotilla range list" });
    const member = descriptor.replicas.find((replica) => replica.storeId === to);
    if (member === undefined)
      throw new Failure("Refused", `store ${to} has no replica of range ${rangeId}`, { hint: "flotilla range list" });
    const leader = this.#host.leaderOf(rangeId);
    if (leader === to) return { rangeId, leaderStoreId: to, changed: false };
    if (leader !== this.#host.storeId) {
      if (leader === noStore)
        throw new Failure("NoQuorum", `range ${rangeId} has no leader known here`, { hint: "flotilla cluster status" });
      throw new Failure("Refused", `store ${leader} leads range ${rangeId}`, { details: { redirectStoreId: leader } });
    }
    if (this.#host.replica(rangeId)?.transferTo(member.replicaId) !== true) {
      throw new Failure("Refused", `range ${rangeId} cannot be led by store ${to} now`, {
        hint: "its replica is down or far behind",
      });
    }
    return { rangeId, leaderStoreId: to, changed: true };
  }
}

/** Without TLS and users, an address beyond this machine is an open door; it is said wherever somebody looks. */
function exposed({ nodeId, address, httpAddress }: StoreStatus): string[] {
  return [address, httpAddress]
    .filter((text) => !/^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\]):\d+$/.test(text))
    .map((text) => `node ${nodeId}: ${text} can be reached from other machines, without TLS and users`);
}

/** The cluster that an offer, a withdrawal or a confirmation is about. */
function founderOf(argument: unknown): unknown {
  if (typeof argument !== "object" || argument === null) return undefined;
  if ("clusterId" in argument) return argument.clusterId;
  const { plan } = argument as { plan?: unknown };
  return typeof plan === "object" && plan !== null && "clusterId" in plan ? plan.clusterId : undefined;
}

function transferArguments(argument: unknown): { rangeId: number; to: number } {
  if (typeof argument === "object" && argument !== null && "rangeId" in argument && "to" in argument) {
    const { rangeId, to } = argument;
    if (Number.isSafeInteger(rangeId) && Number.isSafeInteger(to))
      return { rangeId: rangeId as number, to: to as number };
  }
  throw new Failure("InvalidArgument", "transfer-leader takes { rangeId, to }, both integers");
}

/** As a user's key, a binary string; the ends of the key space are empty. */
function visibleBound(bound: Key): string {
  return bound.startsWith(userPrefix) ? userKeyOf(bound) : "";
}
