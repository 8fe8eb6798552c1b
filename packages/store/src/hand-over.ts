/** Giving leaderships away: before a stop, and while the disk is full. */
import type { Environment, StoreId } from "@flotilla/base";
import type { Replica } from "./replica/replica.ts";

const pollMs = 20;
/** Transfers at a time. */
const underWayMax = 64;
/** While nobody can take over what is left. */
const patienceMs = 500;

export class HandOver {
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #environment: Environment;
  readonly #alive: (store: StoreId) => boolean;
  /** Leaderships, to each store. */
  readonly #given: Map<StoreId, number> = new Map();

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
    let begunMs = clock.monotonicMs();
    while (!givenUp() && clock.monotonicMs() < until) {
      let held = false;
      for (const replica of underWay) {
        const arrived = replica.retired || (!replica.leads && replica.node.leader !== 0);
        if (arrived || (replica.leads && !this.one(replica))) underWay.delete(replica);
      }
      for (const replica of this.#replicas.values()) {
        if (underWay.size >= underWayMax) break;
        // Told to lead just before the stop: once it was elected it is handed on. Its voters have no leader meanwhile.
        held ||= replica.node.role === "candidate";
        if (!replica.leads || underWay.has(replica)) continue;
        held ||= replica.descriptor.replicas.length > 1;
        if (this.one(replica)) underWay.add(replica);
      }
      if (underWay.size > 0) begunMs = clock.monotonicMs();
      // Who could take what is left may only be busy: a moment later it is heard again.
      else if (!held || clock.monotonicMs() - begunMs >= patienceMs) return;
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
    // In turn: so all get as many, and one that refuses, because its own disk is full, is not always the same one.
    const given = ({ id }: (typeof level)[number]): number => this.#given.get(replica.storeOf(id)) ?? 0;
    const next = level.reduce((least, candidate) => (given(candidate) < given(least) ? candidate : least));
    this.#given.set(replica.storeOf(next.id), given(next) + 1);
    replica.transferTo(next.id);
    return true;
  }
}
