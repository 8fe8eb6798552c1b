/**
 * The raft paper's figure 8, over and over: an entry that its leader brought to one follower only, another leader with an
 * entry in the same place that nobody else has, and the first one again, which brings the old entry to a majority. Whoever
 * counts it as committed then is stopped in that moment, and the other leader comes back.
 */
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { GroupNetwork } from "./group-network.ts";
import type { GroupReplica } from "./group-replica.ts";

const pollMicros = 500;
/** More than fits into one append, so that the old entries travel before those of the new term. */
const tailEntries = 5;
/** An election may have to be repeated. */
const waitMicrosMax = 2_500_000;

export class OldTail {
  /** How often a leader was left with an old entry to bring to others. */
  times = 0;
  readonly #replicas: readonly GroupReplica[];
  readonly #network: GroupNetwork;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  #stopped = false;

  constructor(replicas: readonly GroupReplica[], network: GroupNetwork, time: VirtualTime, random: SeededRandom) {
    this.#replicas = replicas;
    this.#network = network;
    this.#time = time;
    this.#random = random;
  }

  start(): void {
    this.#when(
      () => this.#replicas.find((each) => each.leads && each.committedInTerm),
      (leader) => this.#leaveTail(leader),
    );
  }

  /** Everybody is there again, and every message arrives. */
  stop(): void {
    this.#stopped = true;
    this.#allIsWell();
  }

  #allIsWell(): void {
    this.#network.loses = undefined;
    for (const replica of this.#replicas) replica.restart();
  }

  #again(): void {
    if (this.#stopped) return;
    this.#allIsWell();
    this.#time.after(this.#random.between(50, 500) * 1000, () => this.start());
  }

  /** Looks until there is one. What takes too long begins anew. */
  #when(find: () => GroupReplica | undefined, then: (found: GroupReplica) => void): void {
    const until = this.#time.nowMicros + waitMicrosMax;
    const look = (): void => {
      if (this.#stopped) return;
      const found = find();
      if (found !== undefined) then(found);
      else if (this.#time.nowMicros < until) this.#time.after(pollMicros, look);
      else this.#again();
    };
    look();
  }

  /** (a) What is proposed now reaches one follower. */
  #leaveTail(leader: GroupReplica): void {
    const [follower, ...others] = this.#random.shuffle(this.#replicas.filter((each) => each !== leader));
    const first = [leader, follower!];
    const { lastIndex } = leader.node;
    this.#network.loses = ({ type, to }) => type === "append" && to !== follower!.id;
    this.#when(
      () => (follower!.durableIndex >= lastIndex + tailEntries ? follower : undefined),
      () => {
        for (const each of first) each.crash();
        this.#otherLeader(first, others);
      },
    );
  }

  /** (b) Another one leads, and has an entry there that it brings to nobody. */
  #otherLeader(first: readonly GroupReplica[], others: readonly GroupReplica[]): void {
    this.#network.loses = ({ type }) => type === "append";
    this.#when(
      () => others.find((each) => each.leads && each.durableTerm(each.durableIndex) === each.node.term),
      (second) => {
        second.crash();
        for (const each of first) each.restart();
        this.#oldLeader(first, second);
      },
    );
  }

  /** (c) One of the first two leads again, and brings to others what it has, but nothing of its new term. */
  #oldLeader(first: readonly GroupReplica[], second: GroupReplica): void {
    this.#network.loses = (message) => {
      if (message.type !== "append" || message.entries.every(({ term }) => term < message.term)) return false;
      // One that does not fit is refused, and tells the leader where to begin.
      return this.#replicas[message.to - 1]!.durableTerm(message.prevIndex) === message.prevTerm;
    };
    this.#when(
      () => first.find((each) => each.leads),
      (leader) => {
        this.times++;
        const { commit } = leader.node;
        this.#when(
          () => (leader.node.commit > commit ? leader : undefined),
          () => {
            for (const each of first) each.crash();
            this.#network.loses = undefined;
            second.restart();
            // (d) It wins, since its last entry is of a higher term, and replaces what lies on a majority.
            this.#time.after(waitMicrosMax, () => this.#again());
          },
        );
      },
    );
  }
}
