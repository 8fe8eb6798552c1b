/**
 * The replicas of a store: all of them, and those of which something is to be done or told though nobody asks. With thousands
 * of ranges most sleep, so what happens every tick or every report goes over these few and not over all.
 */
import type { Replica } from "./replica/replica.ts";

export class StoreReplicas {
  readonly byRange: Map<number, Replica> = new Map();
  /** Those that take ticks: all but the sleeping ones. */
  readonly awake: Set<Replica> = new Set();
  /** Asleep or gone since they were last taken: what was said of them while they were awake may not hold any more. */
  #settled: Set<Replica> = new Set();
  /** How many were. */
  forgotten = 0;

  get(rangeId: number): Replica | undefined {
    return this.byRange.get(rangeId);
  }

  values(): IterableIterator<Replica> {
    return this.byRange.values();
  }

  /** Every range has a leader, and what this store leads it serves. */
  get ready(): boolean {
    for (const replica of this.byRange.values()) {
      if (replica.loading || replica.node.leader === 0) return false;
      if (replica.leads && !replica.serves) return false;
    }
    return true;
  }

  /** New replicas are awake. */
  add(replica: Replica): void {
    this.byRange.set(replica.rangeId, replica);
    this.awake.add(replica);
  }

  forget(replica: Replica): void {
    this.byRange.delete(replica.rangeId);
    this.awake.delete(replica);
    this.#settled.add(replica);
    this.forgotten++;
  }

  noteSleep(replica: Replica, asleep: boolean): void {
    if (!asleep) {
      this.awake.add(replica);
      return;
    }
    this.awake.delete(replica);
    this.#settled.add(replica);
  }

  /** Something that a report says of it has changed while it sleeps. */
  noteChange(replica: Replica): void {
    this.#settled.add(replica);
  }

  /** Whatever may have changed since the last call, each once: those awake, and those that settled meanwhile. */
  takeChanging(): Set<Replica> {
    const changing = this.#settled;
    this.#settled = new Set();
    for (const replica of this.awake) changing.add(replica);
    return changing;
  }
}
