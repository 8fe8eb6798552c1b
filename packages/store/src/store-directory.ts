/**
 * Which stores the cluster has, as far as this store knows: first those it was founded or joined with, then what the
 * placement driver makes known. Any store with a newer directory hands it to a peer whose heartbeat names an older one,
 * so news reaches also those whom the driver does not. It is kept in the engine, because a store that was away must be
 * able to tell a store that joined meanwhile from a stranger (rule: identity).
 */
import type { StoreId } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import type { StoreEntry } from "@flotilla/transport";

export interface KnownDirectory {
  readonly revision: number;
  readonly stores: readonly StoreEntry[];
}

export class StoreDirectory {
  /** Of the newest news; 0 = what the store was made with. */
  #revision = 0;
  #stores: ReadonlyMap<StoreId, StoreEntry>;
  readonly #listeners: (() => void)[] = [];

  constructor(plan: ClusterPlan) {
    this.#stores = byId(
      plan.stores.map(({ storeId, nodeId, address, storeKey }) => ({
        storeId,
        nodeId,
        address,
        httpAddress: "",
        storeKey,
        state: "active",
        labels: {},
      })),
    );
  }

  get revision(): number {
    return this.#revision;
  }

  get known(): KnownDirectory {
    return { revision: this.#revision, stores: [...this.#stores.values()] };
  }

  /** By rising store id; decommissioned ones among them. */
  get stores(): ReadonlyMap<StoreId, StoreEntry> {
    return this.#stores;
  }

  /** Those that take part: all but decommissioned ones. */
  members(): StoreEntry[] {
    return [...this.#stores.values()].filter(({ state }) => state !== "decommissioned");
  }

  entry(store: StoreId): StoreEntry | undefined {
    return this.#stores.get(store);
  }

  /** False when it is not newer than what is known. */
  learn({ revision, stores }: KnownDirectory): boolean {
    if (revision <= this.#revision) return false;
    this.#revision = revision;
    this.#stores = byId(stores);
    for (const listener of this.#listeners) listener();
    return true;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
}

function byId(stores: readonly StoreEntry[]): Map<StoreId, StoreEntry> {
  return new Map(stores.toSorted((a, b) => a.storeId - b.storeId).map((store) => [store.storeId, store]));
}
