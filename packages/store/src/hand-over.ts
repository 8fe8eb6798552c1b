/** Giving leaderships away: before a stop, and while the disk is full. */
import { randomBelow } from "@flotilla/base";
import type { Environment, StoreId } from "@flotilla/base";
import type { Replica } from "./replica/replica.ts";

const pollMs = 20;
/** Transfers at a time. */
const underWayMax = 64;

export class HandOver {
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #environment: Environment;
  readonly #alive: (store: StoreId) => boolean;

  constructor(replicas: ReadonlyMap<number, Replica>, environment: Environment, alive: (store: StoreId) => boolean) {
    this.#replicas = replicas;
    this.#environment = environment;
    this.#alive = alive;
  }

  /**
   * Every leadership goes to a member that is level and heard of, and has arrived: the others may need this store's vote
   * until somebody leads. Waits for that, at most `transferMs`. A few at a time: each is an election, and while there are many
   * of them every range waits for all.
   */
  async all(transferMs: number, givenUp: () => boolean): Promise<void> {
    const { clock, scheduler } = this.#environment;
    const until = clock.monotonicMs() + transferMs;
    const underWay = new Set<Replica>();
    while (!givenUp() && clock.monotonicMs() < until) {
      for (const replica of underWay) {
        const arrived = replica.retired || (!replica.leads && replica.node.leader !== 0);
        if (arrived || (replica.leads && !this.one(replica))) underWay.delete(replica);
      }
      for (const replica of this.#replicas.values()) {
        if (underWay.size >= underWayMax) break;
        if (replica.leads && !underWay.has(replica) && this.one(replica)) underWay.add(replica);
      }
      if (underWay.size === 0) return;
      await new Promise<void>((resolve) => scheduler.after(pollMs, resolve));
    }
  }

  /** Begins it for every range that this store leads. */
  start(): void {
    for (const replica of this.#replicas.values()) if (replica.leads) this.one(replica);
  }

  /** True while there is somebody to lead instead. */
  one(replica: Replica): boolean {
    const { progress, transferee } = replica.node.status();
    if (transferee !== 0) return true;
    // Raft's own mark of who was heard is taken back with each quorum check; the store knows of its peers all the time.
    const candidates = progress.filter(
      ({ id, learner }) => id !== replica.replicaId && !learner && this.#alive(replica.storeOf(id)),
    );
    const furthest = candidates.reduce((high, { match }) => Math.max(high, match), 0);
    const level = candidates.filter(({ match }) => match === furthest);
    if (level.length === 0) return false;
    // Not always the same one: it may refuse, because its own disk is full.
    replica.transferTo(level[randomBelow(this.#environment.random, level.length)]!.id);
    return true;
  }
}
