/** Nodes and stores: drained, taken out, taken back, given up, and new ones. What follows for ranges the rounds decide. */
import { Failure, nodeId, storeId } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import { planDecommission, planDrain, planStoreReplace } from "@flotilla/placement";
import type { AdminPlan, ClusterIndex } from "@flotilla/placement";
import type { StoreEntry, StoreMembership } from "@flotilla/transport";
import type { AdminArguments } from "./admin-arguments.ts";
import type { MetaDraft } from "./meta-draft.ts";
import type { PlacementHost } from "./placement-host.ts";

const storesMax = 1024;
const nothingToDo: AdminPlan["plan"] = { steps: [], bytes: 0, risks: [], blocked: [] };

export class AdminStores {
  readonly #placement: PlacementHost;
  readonly #clusterId: string;
  readonly #metaRange: () => RangeDescriptor;

  constructor(placement: PlacementHost, clusterId: string, metaRange: () => RangeDescriptor) {
    this.#placement = placement;
    this.#clusterId = clusterId;
    this.#metaRange = metaRange;
  }

  drain(given: AdminArguments): Promise<unknown> {
    const node = nodeId(given.id("nodeId"));
    const undo = given.flag("undo");
    const from: StoreMembership[] = undo ? ["draining"] : ["active"];
    return this.#change(
      given,
      (index) => planDrain(index, node),
      (draft) => setNode(draft, node, from, undo ? "active" : "draining"),
    );
  }

  decommission(given: AdminArguments): Promise<unknown> {
    const node = nodeId(given.id("nodeId"));
    return this.#change(
      given,
      (index) => planDecommission(index, node),
      (draft) => setNode(draft, node, ["active", "draining"], "decommissioning"),
    );
  }

  /** While it is not out: a store that is, has no way back, for its peers have forgotten it. */
  recommission(given: AdminArguments): Promise<unknown> {
    const node = nodeId(given.id("nodeId"));
    return this.#change(given, undefined, (draft) => {
      const stores = storesOf(draft, node);
      if (stores.every(({ state }) => state === "decommissioned"))
        throw new Failure("Refused", `node ${node} is out of the cluster`, {
          hint: "an empty directory may join: flotilla start --join",
        });
      return setNode(draft, node, ["draining", "decommissioning"], "active");
    });
  }

  /** The store is given up: from now on it is a stranger, and what it had is made anew elsewhere. */
  replace(given: AdminArguments): Promise<unknown> {
    const id = storeId(given.id("storeId"));
    const plan = (index: ClusterIndex): AdminPlan => planStoreReplace(index, id);
    return this.#change(given, plan, (draft) => {
      const store = draft.meta.stores.get(id);
      if (store === undefined)
        throw new Failure("NotFound", `there is no store ${id}`, { hint: "flotilla store list" });
      if (store.state === "decommissioned") return false;
      plan(this.#placement.service.index(draft.meta));
      draft.putStore({ ...store, state: "decommissioned" });
      return true;
    });
  }

  async #change(
    given: AdminArguments,
    plan: ((index: ClusterIndex) => AdminPlan) | undefined,
    change: (draft: MetaDraft) => boolean,
  ): Promise<unknown> {
    const meta = await this.#placement.inOffice();
    if (given.flag("plan")) {
      this.#placement.office.preview(change);
      return { plan: plan?.(this.#placement.service.index(meta)).plan ?? nothingToDo };
    }
    return this.#placement.office.perform((draft) => ({ changed: change(draft), operatorIds: [] }));
  }

  /** Ids for an empty directory; the same ones however often it asks with its key. */
  async join(given: AdminArguments): Promise<unknown> {
    const storeKey = given.text("storeKey", 32);
    if (!/^[0-9a-f]{32}$/.test(storeKey)) throw new Failure("InvalidArgument", "storeKey is 32 hex digits");
    const address = addressOf(given, "address");
    const httpAddress = addressOf(given, "httpAddress");
    const labels = given.labels("labels");
    await this.#placement.inOffice();
    const { joined, stores } = await this.#placement.office.perform((draft) => {
      const known = [...draft.meta.stores.values()];
      const again = known.find((store) => store.storeKey === storeKey);
      if (again?.state === "decommissioned")
        throw new Failure("Refused", `store ${again.storeId} was taken out of the cluster; it does not come back`, {
          hint: "join with an empty directory",
        });
      if (again !== undefined) return { joined: again, stores: known };
      const there = known.find((store) => store.state !== "decommissioned" && store.address === address);
      if (there !== undefined)
        throw new Failure("InUse", `store ${there.storeId} is at ${address} already`, {
          hint: "another address, or give the lost store up first: flotilla store replace",
        });
      if (known.length >= storesMax) throw new Failure("Refused", `a cluster has at most ${storesMax} stores`);
      const joined: StoreEntry = {
        storeId: storeId(draft.nextId("store")),
        nodeId: nodeId(draft.nextId("node")),
        address,
        httpAddress,
        storeKey,
        state: "active",
        labels,
      };
      draft.putStore(joined);
      return { joined, stores: [...known, joined] };
    });
    const present = stores.filter(({ state }) => state !== "decommissioned");
    const metaRange = this.#metaRange();
    // A store that was given up may be a member still: its replica goes when this new store has one.
    const replicas = metaRange.replicas.filter((replica) => present.some(({ storeId: id }) => id === replica.storeId));
    return {
      clusterId: this.#clusterId,
      nodeId: joined.nodeId,
      storeId: joined.storeId,
      stores: present,
      metaRange: { ...metaRange, replicas },
    };
  }
}

function storesOf(draft: MetaDraft, node: number): StoreEntry[] {
  const stores = [...draft.meta.stores.values()].filter((store) => store.nodeId === node);
  if (stores.length === 0) throw new Failure("NotFound", `there is no node ${node}`, { hint: "flotilla node list" });
  return stores;
}

function setNode(draft: MetaDraft, node: number, from: readonly StoreMembership[], to: StoreMembership): boolean {
  const changing = storesOf(draft, node).filter(({ state }) => from.includes(state));
  for (const store of changing) draft.putStore({ ...store, state: to });
  return changing.length > 0;
}

function addressOf(given: AdminArguments, field: string): string {
  const text = given.text(field, 300);
  if (!/^[^\s:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/.test(text))
    throw new Failure("InvalidArgument", `store-join needs ${field}, host:port`);
  return text;
}
