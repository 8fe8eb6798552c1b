/** Where senders live that are not in the range's descriptor: a member that a replica has not heard of yet may lead. */
import { noStore } from "@flotilla/base";
import type { ReplicaId, StoreId } from "@flotilla/base";

const strangersMax = 16;

export class Strangers {
  readonly #stores: Map<ReplicaId, StoreId> = new Map();

  note(replica: ReplicaId, store: StoreId): void {
    if (this.#stores.get(replica) === store) return;
    if (this.#stores.size >= strangersMax) this.#stores.clear();
    this.#stores.set(replica, store);
  }

  storeOf(replica: ReplicaId): StoreId {
    return this.#stores.get(replica) ?? noStore;
  }
}
