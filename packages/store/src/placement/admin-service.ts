/**
 * What the command line asks for by name. The store that drives placement answers from all stores' reports; another one
 * says which that is; with none, a store answers from what it knows itself.
 */
import { Failure, noStore, rangeId, storeId } from "@flotilla/base";
import type { Environment, RangeDescriptor, StoreId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import type { SharedLog } from "@flotilla/raft-log";
import { AdminArguments } from "./admin-arguments.ts";
import { AdminChanges, unknownRange } from "./admin-changes.ts";
import { AdminLists, hottestOrders } from "./admin-lists.ts";
import type { HottestRequest } from "./admin-lists.ts";
import { AdminStores } from "./admin-stores.ts";
import type { PlacementHost } from "./placement-host.ts";
import type { StoreKnowledge } from "./report-book.ts";
import type { PeerLinks } from "../peer-links.ts";
import type { Replica } from "../replica/replica.ts";
import type { StoreDirectory } from "../store-directory.ts";
import type { ReplicaCreation } from "../snapshot/replica-creation.ts";
import { AdminRecovery } from "../unsafe-recovery/admin-recovery.ts";
import type { RangeRecovery } from "../unsafe-recovery/range-recovery.ts";

/** Rows of one answer. */
const hottestMax = 100;

/** What `answer` needs of its store. */
export interface AdminHost {
  readonly plan: ClusterPlan;
  readonly storeId: StoreId;
  readonly environment: Environment;
  readonly directory: StoreDirectory;
  readonly placement: PlacementHost;
  readonly links: PeerLinks;
  readonly storeDeadMs: number;
  readonly log: SharedLog;
  readonly lifecycle: { readonly recovery: RangeRecovery; readonly creation: ReplicaCreation };
  replica(rangeId: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  descriptors(): Promise<readonly RangeDescriptor[]>;
  leaderOf(rangeId: number): StoreId;
}

export class AdminService {
  readonly #host: AdminHost;
  readonly #lists: AdminLists;
  readonly #changes: AdminChanges;
  readonly #stores: AdminStores;
  readonly #recovery: AdminRecovery;

  constructor(host: AdminHost) {
    const { placement, plan, environment } = host;
    this.#host = host;
    this.#lists = new AdminLists(host);
    this.#changes = new AdminChanges(placement, environment.random, () => environment.clock.wallMs());
    this.#stores = new AdminStores(placement, plan.clusterId, () => placement.metaRange);
    this.#recovery = new AdminRecovery(host);
  }

  async answer(name: string, argument: unknown): Promise<unknown> {
    switch (name) {
      case "cluster-status":
        return this.#lists.clusterStatus(this.#reports(argument));
      case "node-list":
        return this.#lists.nodeList(this.#reports(argument));
      case "store-list":
        return this.#lists.storeList(this.#reports(argument));
      case "range-list":
        return this.#lists.rangeList(this.#reports(argument), undefined, isLocal(argument));
      case "range-hottest":
        return this.#lists.hottest(this.#reports(argument), hottestRequest(new AdminArguments(name, argument)));
      case "transfer-leader":
        return this.#transferLeader(argument);
      case "unsafe-recovery-survey":
        return this.#recovery.survey(new AdminArguments(name, argument));
      case "unsafe-recovery-force":
        return this.#recovery.force(new AdminArguments(name, argument));
      case "founding-state":
        return { token: null, kind: "member", clusterId: this.#host.plan.clusterId };
      case "cluster-init":
        throw this.#member();
      case "identity-offer":
      case "identity-withdraw":
      case "identity-confirm":
        return this.#founded(name, argument);
      default:
        return this.#asked(name, new AdminArguments(name, argument));
    }
  }

  /** What the placement driver alone answers. */
  async #asked(name: string, given: AdminArguments): Promise<unknown> {
    const changes = this.#changes;
    const stores = this.#stores;
    switch (name) {
      case "range-split":
        return changes.split(given);
      case "range-merge":
        return changes.merge(given);
      case "range-move":
        return changes.move(given);
      case "range-transfer-leader":
        return changes.transferLeader(given);
      case "range-scatter":
        return changes.scatter(given);
      case "range-explain":
        return changes.explain(given);
      case "range-check":
        return this.#rangeCheck(given);
      case "range-show":
        return this.#rangeShow(given);
      case "operator-list":
        return changes.operatorList(given);
      case "operator-show":
        return changes.operatorShow(given);
      case "operator-cancel":
        return changes.operatorCancel(given);
      case "scheduler-list":
        return changes.schedulerList();
      case "scheduler-pause":
        return changes.schedulerPause(given, true);
      case "scheduler-resume":
        return changes.schedulerPause(given, false);
      case "setting-get":
        return changes.settingGet(given);
      case "setting-set":
        return changes.settingSet(given);
      case "node-drain":
        return stores.drain(given);
      case "node-decommission":
        return stores.decommission(given);
      case "node-recommission":
        return stores.recommission(given);
      case "store-show":
        return this.#storeShow(given);
      case "store-replace":
        return stores.replace(given);
      case "store-join":
        return stores.join(given);
      case "unsafe-recovery-begin":
        return this.#recovery.begin(given);
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
  #reports(argument: unknown): StoreKnowledge[] {
    const { placement, storeId, links, storeDeadMs } = this.#host;
    const { driver } = placement;
    if (
      !isLocal(argument) &&
      !placement.leads &&
      driver !== noStore &&
      driver !== storeId &&
      links.alive(driver, storeDeadMs)
    ) {
      throw new Failure("Refused", `store ${driver} drives placement`, { details: { redirectStoreId: driver } });
    }
    return placement.reports();
  }

  async #rangeShow(given: AdminArguments): Promise<unknown> {
    const id = rangeId(given.id("rangeId"));
    const { operators, explain } = await this.#changes.operatorsOf(id);
    const rows = await this.#lists.rangeList(this.#host.placement.reports(), new Set([id]));
    if (rows[0] === undefined) throw unknownRange(id);
    return { ...rows[0], operators, explain };
  }

  async #rangeCheck(given: AdminArguments): Promise<unknown> {
    const only = given.has("rangeId") ? rangeId(given.id("rangeId")) : undefined;
    const { map } = await this.#host.placement.inOffice();
    if (only !== undefined && map.get(only) === undefined) throw unknownRange(only);
    const ranges = only === undefined ? map.all().map((range) => range.rangeId) : [only];
    return { ranges: await this.#host.placement.checks.check(ranges, (id) => map.get(id)) };
  }

  async #storeShow(given: AdminArguments): Promise<unknown> {
    const id = storeId(given.id("storeId"));
    await this.#host.placement.inOffice();
    const row = this.#lists.storeList(this.#host.placement.reports(), id)[0];
    if (row === undefined) throw new Failure("NotFound", `there is no store ${id}`, { hint: "flotilla store list" });
    return row;
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

/** Asked of this very store, whoever drives placement. */
const isLocal = (argument: unknown): boolean =>
  typeof argument === "object" && argument !== null && "local" in argument && argument.local === true;

function hottestRequest(given: AdminArguments): HottestRequest {
  const asked = given.text("order", 20);
  const order = hottestOrders.find((known) => known === asked);
  const count = given.id("count");
  if (order === undefined || count > hottestMax)
    throw new Failure(
      "InvalidArgument",
      `range-hottest takes order, one of ${hottestOrders.join(", ")}, and count, at most ${hottestMax}`,
    );
  return { order, count };
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
