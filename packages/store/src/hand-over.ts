/** Giving leaderships away: before a stop, and while the disk is full. */
import type { Environment } from "@flotilla/base";
import type { Replica } from "./replica.ts";

const pollMs = 20;

export class HandOver {
  readonly #replicas: ReadonlyMap<number, Replica>;
  readonly #environment: Environment;
  readonly #onChanged: (replica: Replica) => void;

  constructor(replicas: ReadonlyMap<number, Replica>, environment: Environment, onChanged: (replica: Replica) => void) {
    this.#replicas = replicas;
    this.#environment = environment;
    this.#onChanged = onChanged;
  }

  /** Every leadership goes to a member that is level and heard of; waits for that, at most `transferMs`. */
  async all(transferMs: number, givenUp: () => boolean): Promise<void> {
    const { clock, scheduler } = this.#environment;
    const until = clock.monotonicMs() + transferMs;
    while (!givenUp() && clock.monotonicMs() < until) {
      let leading = 0;
      for (const replica of this.#replicas.values()) if (replica.leads && this.one(replica)) leading++;
      if (leading === 0) return;
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
    const best = progress
      .filter((member) => member.id !== replica.replicaId && !member.learner && member.recentActive)
      .sort((a, b) => b.match - a.match)[0];
    if (best === undefined) return false;
    replica.node.transferLeader(best.id);
    this.#onChanged(replica);
    return true;
  }
}
