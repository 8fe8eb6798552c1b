/**
 * Leadership goes round, and a replica that leads again hears, alone and cut off from everybody, the answers to the heartbeats of
 * when it led before. They are real messages of its members, late: an answer counts only in the term that it was given in (rule:
 * commit in a shared heartbeat).
 */
import type { HeartbeatResponse } from "@flotilla/raft";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { GroupNetwork } from "./group-network.ts";
import type { GroupReplica } from "./group-replica.ts";

/** To each replica; the oldest go first. */
const keptMax = 200;
const repeatMicros = 10_000;

export class OldAnswers {
  /** How often a leader heard some. */
  times = 0;
  readonly #replicas: readonly GroupReplica[];
  readonly #network: GroupNetwork;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #kept = new Map<number, HeartbeatResponse[]>();
  #stopped = false;

  constructor(replicas: readonly GroupReplica[], network: GroupNetwork, time: VirtualTime, random: SeededRandom) {
    this.#replicas = replicas;
    this.#network = network;
    this.#time = time;
    this.#random = random;
    network.hears = (message) => {
      if (message.type === "heartbeat-response" && message.context > 0) this.#keep(message);
    };
  }

  #keep(answer: HeartbeatResponse): void {
    const kept = this.#kept.get(answer.to) ?? [];
    kept.push(answer);
    if (kept.length > keptMax) kept.shift();
    this.#kept.set(answer.to, kept);
  }

  stop(): void {
    this.#stopped = true;
  }

  start(): void {
    this.#time.after(this.#random.between(300, 1500) * 1000, () => {
      if (this.#stopped) return;
      const leader = this.#replicas.find((each) => each.leads);
      if (leader !== undefined) this.#hurt(leader);
      this.start();
    });
  }

  #hurt(leader: GroupReplica): void {
    const { term } = leader.node;
    const old = (this.#kept.get(leader.id) ?? []).filter((answer) => answer.term < term);
    if (old.length === 0 || this.#random.chance(0.3)) {
      const next = this.#random.pick(this.#replicas);
      if (!leader.time.paused) leader.does((node) => node.transferLeader(next.id));
      return;
    }
    this.times++;
    const others = this.#replicas.filter((each) => each !== leader);
    for (const { id } of others) this.#block(leader.id, id);
    const untilMicros = this.#time.nowMicros + this.#random.between(1000, 2500) * 1000;
    this.#repeat(leader, old, untilMicros, () => {
      for (const { id } of others) this.#free(leader.id, id);
    });
  }

  #repeat(leader: GroupReplica, old: readonly HeartbeatResponse[], untilMicros: number, end: () => void): void {
    if (this.#stopped || this.#time.nowMicros >= untilMicros) {
      if (!this.#stopped) end();
      return;
    }
    if (leader.time.alive)
      leader.time.deliver(100, () =>
        leader.does((node) => {
          for (const answer of old) node.step(answer);
        }),
      );
    this.#time.after(repeatMicros, () => this.#repeat(leader, old, untilMicros, end));
  }

  #block(one: number, other: number): void {
    this.#network.block(one, other);
    this.#network.block(other, one);
  }

  #free(one: number, other: number): void {
    this.#network.free(one, other);
    this.#network.free(other, one);
  }
}
