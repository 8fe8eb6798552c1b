/**
 * The store's rounds: one an event-loop turn for the replicas that something happened to. Appends and answers of a round
 * leave together, and ONE batch goes to the log.
 */
import type { Environment } from "@flotilla/base";
import type { Replica } from "./replica/replica.ts";

export interface StoreRoundsHost {
  readonly environment: Environment;
  /** Runs a step that may find a broken invariant. */
  guard(step: () => void): void;
  /** What the round caused leaves; `replicas`: those that were in it. */
  endRound(replicas: readonly Replica[]): void;
}

export class StoreRounds {
  #dirty: Replica[] = [];
  #scheduled = false;
  readonly #host: StoreRoundsHost;

  constructor(host: StoreRoundsHost) {
    this.#host = host;
  }

  schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#host.environment.scheduler.endOfTurn(() => {
      this.#scheduled = false;
      this.#host.guard(() => this.run());
    });
  }

  markDirty(replica: Replica): void {
    if (replica.dirty) return;
    replica.dirty = true;
    this.#dirty.push(replica);
    this.schedule();
  }

  run(): void {
    const replicas = this.#dirty;
    this.#dirty = [];
    const { clock } = this.#host.environment;
    let beganMs = clock.monotonicMs();
    for (const replica of replicas) {
      replica.dirty = false;
      replica.round();
      const endedMs = clock.monotonicMs();
      replica.load.loopMs += endedMs - beganMs;
      beganMs = endedMs;
    }
    this.#host.endRound(replicas);
  }
}
