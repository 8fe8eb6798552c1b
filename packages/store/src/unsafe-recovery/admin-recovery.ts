/**
 * What `flotilla unsafe-recover` asks for: what each store that is left has of every range; at the placement driver, that
 * lost stores are out for good, and ids; and at one store, that it goes on with its replica of one range. The command
 * line has the plan: it sees what all stores say, which no store can be sure of while the meta range has no leader.
 */
import { Failure, noStore, rangeId, replicaId, storeId, term, logIndex } from "@flotilla/base";
import type { RangeDescriptor, StoreId } from "@flotilla/base";
import type { AdminArguments } from "../placement/admin-arguments.ts";
import type { AdminHost } from "../placement/admin-service.ts";
import { sealOf } from "../replica/merge-machine.ts";
import type { Replica } from "../replica/replica.ts";
import { lacksMajority, tailOf } from "./majority.ts";

const lostStoresMax = 1024;
const surveyRows = 500;
/** Of one range. */
const goneReplicasMax = 64;
/** Ids for one round of recoveries. */
const replicaIdsMax = 1000;

export class AdminRecovery {
  readonly #host: AdminHost;

  constructor(host: AdminHost) {
    this.#host = host;
  }

  /**
   * A page of this store's replicas, by rising range id, and of those that it has buried; `next`: where the next page begins,
   * null = no more.
   */
  survey(given: AdminArguments): unknown {
    const lost = this.#lost(given);
    this.#refuseAlive(lost);
    const from = given.count("from");
    const all = [...this.#host.replicas(), ...this.#host.lifecycle.creation.descriptors()]
      .filter(({ rangeId: id }) => id >= from)
      .sort((a, b) => a.rangeId - b.rangeId);
    const page = all.slice(0, surveyRows);
    const next = all[surveyRows]?.rangeId ?? null;
    return {
      storeId: this.#host.storeId,
      driverStoreId: this.#host.placement.driver === noStore ? null : this.#host.placement.driver,
      replicas: page.map((each) => ("machine" in each ? this.#row(each, lost) : this.#rowInTheMaking(each))),
      buried: this.#host.log
        .groups()
        .filter(({ rangeId: id, tombstone }) => tombstone > 0 && id >= from && (next === null || id < next))
        .map(({ rangeId: id, tombstone }) => ({ rangeId: id, tombstone })),
      next,
    };
  }

  #row(replica: Replica, lost: ReadonlySet<StoreId>): object {
    const { machine, node, loading } = replica;
    const descriptor = (loading ? replica.incoming : undefined) ?? replica.descriptor;
    const reader = this.#host.log.reader(replica.rangeId);
    const lastIndex = reader.lastIndex();
    const lacks = lacksMajority(machine.configuration, descriptor, lost, new Set());
    const { leaderStore } = replica;
    const led = leaderStore !== noStore && !lost.has(leaderStore);
    // Whether a range that is not led has its majority, the others' tombstones decide. What is loaded voids the log up to it.
    const tail = !loading && (lacks || !led) ? tailOf(reader, machine, replica.replicaId) : undefined;
    const sealedFor = tail === undefined ? sealOf(machine) : tail.sealedFor;
    return {
      rangeId: replica.rangeId,
      replicaId: replica.replicaId,
      start: descriptor.start,
      end: tail?.end ?? descriptor.end,
      appliedEnd: descriptor.end,
      lastEnd: tail?.lastEnd ?? descriptor.end,
      takesIn: tail?.takesIn ?? [],
      epoch: { bounds: descriptor.epoch.bounds, members: descriptor.epoch.members },
      replicas: descriptor.replicas.map((member) => ({ ...member })),
      lastTerm: reader.term(lastIndex) ?? 0,
      lastIndex,
      commitIndex: node.commit,
      appliedIndex: machine.appliedIndex,
      lacksMajority: lacks,
      leaderStoreId: led ? leaderStore : null,
      serves: replica.serves,
      whole: !loading && !replica.removed,
      loading,
      removed: tail?.removed ?? false,
      sealedFor: sealedFor === undefined ? null : { ...sealedFor },
    };
  }

  /** A range snapshot is durable here, and being loaded for a replica that was not here before. */
  #rowInTheMaking({ rangeId: id, start, end, epoch, replicas }: RangeDescriptor): object {
    const reader = this.#host.log.reader(id);
    const lastIndex = reader.lastIndex();
    return {
      rangeId: id,
      replicaId: this.#host.log.group(id)?.replicaId ?? 0,
      start,
      end,
      appliedEnd: end,
      lastEnd: end,
      takesIn: [],
      epoch: { ...epoch },
      replicas: replicas.map((member) => ({ ...member })),
      lastTerm: reader.term(lastIndex) ?? 0,
      lastIndex,
      commitIndex: lastIndex,
      appliedIndex: 0,
      lacksMajority: false,
      leaderStoreId: null,
      serves: false,
      whole: false,
      loading: true,
      removed: false,
      sealedFor: null,
    };
  }

  /** At the driver: the stores never come back, from the moment this is committed; and as many new replica ids. */
  async begin(given: AdminArguments): Promise<unknown> {
    const { placement } = this.#host;
    const lost = this.#lost(given);
    const count = given.count("replicaIds");
    if (count > replicaIdsMax)
      throw new Failure("InvalidArgument", `unsafe-recovery-begin gives at most ${replicaIdsMax} replica ids`);
    await placement.inOffice();
    this.#refuseAlive(lost);
    return placement.office.perform((draft) => {
      const marked: StoreId[] = [];
      for (const id of lost) {
        const store = draft.meta.stores.get(id);
        if (store === undefined) throw unknownStore(id);
        if (store.state === "decommissioned") continue;
        draft.putStore({ ...store, state: "decommissioned" });
        marked.push(id);
      }
      return { marked, replicaIds: Array.from({ length: count }, () => draft.nextReplicaId()) };
    });
  }

  /** At the store that has the replica. */
  async force(given: AdminArguments): Promise<unknown> {
    const lost = this.#lost(given);
    this.#refuseAlive(lost);
    for (const id of lost) if (this.#host.directory.entry(id) === undefined) throw unknownStore(id);
    const {
      replicaId: id,
      index,
      term: lastTerm,
      descriptor,
    } = await this.#host.lifecycle.recovery.force({
      rangeId: rangeId(given.id("rangeId")),
      replicaId: replicaId(given.id("replicaId")),
      newReplicaId: replicaId(given.count("newReplicaId")),
      lastTerm: term(given.id("lastTerm")),
      lastIndex: logIndex(given.id("lastIndex")),
      floor: { bounds: given.id("boundsFloor"), members: given.id("membersFloor") },
      provenBounds: given.count("provenBounds"),
      lost,
      gone: new Set((given.has("goneReplicas") ? given.ids("goneReplicas", goneReplicasMax) : []).map(replicaId)),
      known: this.#host.directory.known,
    });
    return { rangeId: descriptor.rangeId, replicaId: id, index, term: lastTerm, epoch: { ...descriptor.epoch } };
  }

  #lost(given: AdminArguments): ReadonlySet<StoreId> {
    const lost = new Set(given.ids("lostStores", lostStoresMax).map((id) => storeId(id)));
    if (lost.has(this.#host.storeId))
      throw new Failure("Refused", `store ${this.#host.storeId} is not lost: it answers this`, {
        hint: "name the stores that never come back",
      });
    return lost;
  }

  #refuseAlive(lost: ReadonlySet<StoreId>): void {
    const { links, storeDeadMs, storeId: own } = this.#host;
    for (const id of lost)
      if (links.alive(id, storeDeadMs))
        throw new Failure("Refused", `store ${id} is not lost: store ${own} hears from it`, {
          hint: "stop it for good first, if its data is given up; ask again when it has been silent for some seconds",
        });
  }
}

function unknownStore(id: StoreId): Failure {
  return new Failure("NotFound", `there is no store ${id}`, { hint: "flotilla store list" });
}
