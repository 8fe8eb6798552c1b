/**
 * Where the meta range is, for a store that may have no replica of it: then what its members say in their heartbeats. So
 * any store can send a client on, and report to whoever drives placement.
 */
import { noStore } from "@flotilla/base";
import type { RangeDescriptor, StoreId } from "@flotilla/base";
import type { StoreHeartbeat } from "@flotilla/transport";
import type { Replica } from "../replica/replica.ts";

export class MetaWhereabouts {
  readonly #replica: () => Replica | undefined;
  #heard: RangeDescriptor;
  #leader: StoreId = noStore;

  constructor(planned: RangeDescriptor, replica: () => Replica | undefined) {
    this.#heard = planned;
    this.#replica = replica;
  }

  get descriptor(): RangeDescriptor {
    return this.#replica()?.descriptor ?? this.#heard;
  }

  /** 0 = unknown. */
  get leader(): StoreId {
    // A replica here that knows none may be gone itself.
    const own = this.#replica()?.leaderStore ?? noStore;
    return own === noStore ? this.#leader : own;
  }

  /** For heartbeats: hearsay is not passed on, it could go round for ever. */
  get leaderFirstHand(): StoreId {
    return this.#replica()?.leaderStore ?? noStore;
  }

  /** Its members' epoch alone decides what is newer: the bounds of the meta range never change. */
  onHeartbeat(from: StoreId, { metaRange, metaLeader }: StoreHeartbeat): void {
    if (metaRange.rangeId === this.#heard.rangeId && metaRange.epoch.members > this.#heard.epoch.members) {
      this.#heard = metaRange;
    }
    // A follower may be behind: the leader itself is believed first, and whoever was believed may take it back.
    if (metaLeader === from || from === this.#leader || this.#leader === noStore) this.#leader = metaLeader;
  }
}
