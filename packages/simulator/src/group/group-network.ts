/** Between the replicas of one group: every message by itself, so it may be lost, late, doubled, and overtaken by others. */
import type { Message } from "@flotilla/raft";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { GroupReplica } from "./group-replica.ts";

export class GroupNetwork {
  lossChance = 0;
  /** Told of every message that is sent, whatever becomes of it. */
  hears: ((message: Message) => void) | undefined = undefined;
  /** Messages that are lost for certain. */
  loses: ((message: Message) => boolean) | undefined = undefined;
  /** Of those messages that are late. */
  lateMicrosMax = 50_000;
  /** How long a message takes at most, how many are late: the slower the network, the more happens meanwhile. */
  readonly #delayMicrosMax: number;
  readonly #lateChance: number;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  /** `${from}>${to}` → by how many faults. */
  readonly #blocked = new Map<string, number>();

  /** What is sent to a replica takes this much longer. */
  readonly #slowTo = new Map<number, number>();

  constructor(time: VirtualTime, random: SeededRandom) {
    this.#time = time;
    this.#random = random;
    this.#delayMicrosMax = random.pick([2000, 20_000, 60_000]);
    this.#lateChance = random.pick([0.01, 0.1]);
  }

  block(from: number, to: number): void {
    const way = `${from}>${to}`;
    this.#blocked.set(way, (this.#blocked.get(way) ?? 0) + 1);
  }

  free(from: number, to: number): void {
    const way = `${from}>${to}`;
    this.#blocked.set(way, Math.max(0, (this.#blocked.get(way) ?? 0) - 1));
  }

  /** 0 = no longer. */
  slowDownTo(to: number, micros: number): void {
    this.#slowTo.set(to, micros);
  }

  heal(): void {
    this.#blocked.clear();
    this.#slowTo.clear();
    this.lossChance = 0;
    this.lateMicrosMax = 50_000;
  }

  isBlocked(from: number, to: number): boolean {
    return (this.#blocked.get(`${from}>${to}`) ?? 0) > 0;
  }

  /** `arrive` may be called twice, or never; it says nothing about the receiver's process. */
  send(message: Message, to: GroupReplica, arrive: () => void): void {
    const random = this.#random;
    this.hears?.(message);
    if (this.isBlocked(message.from, message.to) || random.chance(this.lossChance)) return;
    if (this.loses?.(message) === true) return;
    const copies = random.chance(0.01) ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      const late = random.chance(this.#lateChance) ? this.lateMicrosMax : this.#delayMicrosMax;
      const micros = random.between(100, late) + (this.#slowTo.get(message.to) ?? 0);
      this.#time.after(micros, () => {
        if (to.time.alive) to.time.deliver(0, arrive);
      });
    }
  }
}
