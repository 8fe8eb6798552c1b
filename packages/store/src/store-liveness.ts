/**
 * Which other stores may be relied upon to lead what sleeps here: those whose heartbeats come, and whose log takes writes.
 * Looked at once a tick, so that every replica of this store sees the same, and sees each change exactly once. A store that
 * was started again has changed, however short it was away: it leads nothing any more.
 */
import type { Clock, StoreId } from "@flotilla/base";
import type { Peer } from "./peer-links.ts";
import type { StoreChange } from "./replica/replica-sleep.ts";
import type { Replica } from "./replica/replica.ts";
import type { StoreSettings } from "./store-settings.ts";

/** As long as a follower that is awake waits for its leader, and some heartbeats at least. */
const aliveMs = ({ electionTicksMin, tickMs, storeHeartbeatMs }: StoreSettings): number =>
  Math.max(electionTicksMin * tickMs, 4 * storeHeartbeatMs);

export class StoreLiveness {
  /** Incarnation of each store that is alive. */
  readonly #alive: Map<StoreId, number> = new Map();
  readonly #peers: ReadonlyMap<StoreId, Peer>;
  readonly #clock: Clock;
  readonly #selfId: StoreId;
  readonly #aliveMs: number;

  constructor(selfId: StoreId, peers: ReadonlyMap<StoreId, Peer>, clock: Clock, settings: StoreSettings) {
    this.#selfId = selfId;
    this.#peers = peers;
    this.#clock = clock;
    this.#aliveMs = aliveMs(settings);
  }

  isAlive(store: StoreId): boolean {
    return store === this.#selfId || this.#alive.has(store);
  }

  /** The stores of which something else is true than at the last look, and what. */
  look(): ReadonlyMap<StoreId, StoreChange> {
    const now = this.#clock.monotonicMs();
    const changed = new Map<StoreId, StoreChange>();
    for (const { storeId, incarnation, lastBeatMs, logHangs } of this.#peers.values()) {
      const alive = !logHangs && now - lastBeatMs <= this.#aliveMs;
      const known = this.#alive.get(storeId);
      if (known === (alive ? incarnation : undefined)) continue;
      if (alive) this.#alive.set(storeId, incarnation);
      else this.#alive.delete(storeId);
      changed.set(storeId, !alive ? "dead" : known === undefined ? "alive again" : "started");
    }
    for (const storeId of this.#alive.keys()) {
      if (this.#peers.has(storeId)) continue;
      this.#alive.delete(storeId);
      changed.set(storeId, "dead");
    }
    return changed;
  }
}

/**
 * Wakes whoever of these sleeps and has to do with a store of which something has changed: those that it led miss a leader,
 * and those that lead a member of it find out how far that one is.
 */
export function wakeMembersOf(store: StoreId, replicas: Iterable<Replica>, wake: (replica: Replica) => void): void {
  for (const replica of replicas) {
    if (!replica.sleep.asleep) continue;
    const led = replica.leaderStore === store;
    if (led) replica.node.forgetLeader();
    if (led || (replica.leads && replica.replicaOn(store) !== undefined)) wake(replica);
  }
}
