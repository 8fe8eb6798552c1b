/**
 * How many elections a store may have begun and not decided. With thousands of ranges without a leader all of them at once
 * hold up the loops of all stores, so that more and more timeouts end meanwhile. Who is not let in waits in line, so those that
 * cannot win, because their others are away, do not keep out the ones behind them.
 */
import type { Replica } from "./replica/replica.ts";

const underWayMax = 100;
/** An election that is not decided by then is not waited for. */
const awaitedTicks = 4;

export class CampaignPace {
  /** Begun and not decided, with the tick in which that was; in this order. */
  readonly #underWay: Map<Replica, number> = new Map();
  /** Their timeouts have ended; in this order. */
  readonly #line: Set<Replica> = new Set();
  #ticks = 0;

  get open(): boolean {
    return this.#underWay.size < underWayMax;
  }

  /** Once a tick, before all others: those in line go first. */
  beginTick(): void {
    this.#ticks++;
    for (const [replica, begun] of this.#underWay)
      if (begun + awaitedTicks <= this.#ticks || isDecided(replica)) this.#underWay.delete(replica);
    for (const replica of this.#line) {
      if (!this.open) return;
      this.#line.delete(replica);
      // It may have found a leader meanwhile, or be gone.
      if (!replica.retired && !replica.sleep.asleep && replica.node.campaignDue) this.#letIn(replica);
    }
  }

  /** Its tick, unless that would begin one election too many. */
  tick(replica: Replica): void {
    if (!replica.node.campaignDue) replica.tick();
    else if (this.open) this.#letIn(replica);
    else this.#line.add(replica);
  }

  #letIn(replica: Replica): void {
    replica.tick();
    this.noteBegun(replica);
  }

  noteBegun(replica: Replica): void {
    if (!isDecided(replica)) this.#underWay.set(replica, this.#ticks);
  }
}

const isDecided = ({ node, retired }: Replica): boolean =>
  retired || (node.role !== "pre-candidate" && node.role !== "candidate");
