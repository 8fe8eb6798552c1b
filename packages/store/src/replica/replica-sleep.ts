/**
 * When a replica ticks no more (rule: sleep). A leader rests when nothing has come for `sleepTicks`, nothing is under way, and
 * all members on live stores are level; its last heartbeat says so, and who has that very log rests, too. Each of them alone
 * decides, and nothing rests on it: a leader without ticks has no lease, and a wrong one is found out by the first of its
 * group that is awake.
 *
 * Whatever reaches a replica puts it on its store's list for the round, and that wakes it; so does a change of the liveness
 * of a store that has a member (store-liveness.ts). An awake replica that knows no leader campaigns until somebody answers.
 */
import { metaRangeId } from "@flotilla/base";
import type { ReplicaId } from "@flotilla/base";
import type { Replica } from "./replica.ts";
import type { ReplicaHost } from "./replica-host.ts";

/** What may have become of another store. `started`: it is another process than before, of which nothing was missed. */
export type StoreChange = "dead" | "started" | "alive again";

/** Why a sleeper ticks again: something of its range came to be done, or a store that has a member changed. */
export type WakeReason = "work" | StoreChange;

export class ReplicaSleep {
  #asleep = false;
  #quietTicks = 0;
  #lastIndex = -1;
  #reason: WakeReason = "work";
  readonly #replica: Replica;
  readonly #host: ReplicaHost;
  /** 0 = never. */
  readonly #sleepTicks: number;
  /** Hands out what Raft has ready. */
  readonly #takeReady: () => void;

  constructor(replica: Replica, host: ReplicaHost, takeReady: () => void) {
    this.#replica = replica;
    this.#host = host;
    // Whoever leads the meta range acts for the whole cluster: it finds out by itself when it does not lead any more.
    this.#sleepTicks = replica.rangeId === metaRangeId ? 0 : host.settings.sleepTicks;
    this.#takeReady = takeReady;
  }

  get asleep(): boolean {
    return this.#asleep;
  }

  /** Why it woke the last time. */
  get wokenBy(): WakeReason {
    return this.#reason;
  }

  #set(asleep: boolean): void {
    if (asleep === this.#asleep) return;
    this.#asleep = asleep;
    if (asleep) this.#reason = "work";
    this.#host.noteSleep(this.#replica, asleep);
  }

  #isAlive = (member: ReplicaId): boolean => this.#host.isAlive(this.#replica.storeOf(member));

  /** A client asks. Of a follower, too: it was sent back here, or knows no better, and the leader may be gone. */
  noteUse(): void {
    this.#quietTicks = 0;
    if (this.#asleep) this.#host.markDirty(this.#replica);
  }

  /** Before each tick while awake. True: it rests, and there is no tick. */
  leaderRests(): boolean {
    const { node } = this.#replica;
    if (this.#sleepTicks === 0 || node.role !== "leader") return false;
    if (node.lastIndex !== this.#lastIndex) {
      this.#lastIndex = node.lastIndex;
      this.#quietTicks = 0;
    }
    if (++this.#quietTicks <= this.#sleepTicks || !this.#replica.idle || node.hasReady()) return false;
    if (!this.#host.mayRest() || !node.rest(this.#isAlive)) return false;
    this.#takeReady();
    this.#set(true);
    return true;
  }

  /** Behind a round that may have brought the leader's word. */
  followerRests(): void {
    const { node } = this.#replica;
    if (this.#sleepTicks === 0 || node.role !== "follower" || !this.#replica.idle || node.hasReady()) return;
    this.#set(node.rest(this.#isAlive));
  }

  /** Wakes it with the next round. */
  noteChange(change: StoreChange): void {
    if (this.#asleep) this.#reason = change;
  }

  wake(): void {
    if (!this.#asleep) return;
    this.#set(false);
    this.#quietTicks = 0;
    this.#replica.node.wake();
  }
}
