/** What befalls the replicas of a group, by a schedule that the seed draws. Every fault ends by itself or with `healAll`. */
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import type { GroupNetwork } from "./group-network.ts";
import type { GroupReplica } from "./group-replica.ts";
import { driftPartsMax } from "../time/node-time.ts";

export const groupFaultKinds = [
  "partition",
  "oneWayPartition",
  "isolatedLeader",
  "cutLink",
  "messageLoss",
  "lateMessages",
  "pause",
  "suspend",
  "kill",
  "killAll",
  "swizzle",
  "slowDisk",
  "stuckDisk",
  "stalledApply",
  "clockJump",
  "clockDrift",
  "compaction",
  "transfer",
  "restartedVoter",
  "lateAnswers",
] as const;

export type GroupFaultKind = (typeof groupFaultKinds)[number];

/** From one fault to the next, at most: few that last, or many that follow each other closely. */
const gapsMsMax = [120, 400, 1000] as const;
const durationsMsMax = [400, 1500, 3000] as const;

export class GroupFaults {
  readonly counts: Partial<Record<GroupFaultKind, number>> = {};
  readonly #kinds: readonly GroupFaultKind[];
  readonly #replicas: readonly GroupReplica[];
  readonly #network: GroupNetwork;
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #gapMsMax: number;
  readonly #durationMsMax: number;
  readonly #ends = new Set<() => void>();
  #stopped = false;

  constructor(replicas: readonly GroupReplica[], network: GroupNetwork, time: VirtualTime, random: SeededRandom) {
    this.#replicas = replicas;
    this.#network = network;
    this.#time = time;
    this.#random = random;
    this.#gapMsMax = random.pick(gapsMsMax);
    this.#durationMsMax = random.pick(durationsMsMax);
    const share = random.pick([0.3, 0.6, 1]);
    const kinds = groupFaultKinds.filter(() => random.chance(share));
    this.#kinds = kinds.length === 0 ? groupFaultKinds : kinds;
  }

  start(): void {
    this.#time.after(this.#random.between(20, this.#gapMsMax) * 1000, () => {
      if (this.#stopped) return;
      const kind = this.#random.pick(this.#kinds);
      this.counts[kind] = (this.counts[kind] ?? 0) + 1;
      this.#do(kind);
      this.start();
    });
  }

  healAll(): void {
    this.#stopped = true;
    for (const end of this.#ends) end();
    this.#ends.clear();
    this.#network.heal();
    for (const replica of this.#replicas) {
      replica.time.resume();
      replica.time.drift(0);
      replica.restart();
    }
    this.#note("all faults are healed");
  }

  #note(text: string): void {
    this.#time.trace.note(this.#time.nowMicros, "", 0, text);
  }

  #until(end: () => void, durationMsMax: number = this.#durationMsMax): void {
    this.#ends.add(end);
    this.#time.after(this.#random.between(10, durationMsMax) * 1000, () => {
      if (this.#ends.delete(end)) end();
    });
  }

  #do(kind: GroupFaultKind): void {
    const replica = this.#random.pick(this.#replicas);
    this.#note(`${kind} (${replica.name})`);
    switch (kind) {
      case "partition":
      case "oneWayPartition":
        return this.#split(
          this.#replicas.filter(() => this.#random.chance(0.5)),
          kind === "oneWayPartition",
        );
      case "isolatedLeader":
        return this.#split(
          this.#replicas.filter((each) => each.leads),
          false,
        );
      case "cutLink":
        return this.#block(replica, this.#random.pick(this.#replicas), this.#random.chance(0.5));
      case "messageLoss":
        this.#network.lossChance = this.#random.pick([0.02, 0.1, 0.3]);
        return this.#until(() => {
          this.#network.lossChance = 0;
        });
      case "lateMessages":
        this.#network.lateMicrosMax = this.#random.pick([200_000, 1_000_000, 3_000_000]);
        return;
      case "pause":
      case "suspend":
        replica.time.pause(kind === "suspend");
        return this.#until(() => replica.time.resume());
      case "kill":
        return this.#kill(replica);
      case "killAll":
        for (const each of this.#replicas) this.#kill(each);
        return;
      case "swizzle":
        return this.#swizzle();
      case "slowDisk":
        replica.syncMicrosMax = this.#random.pick([20_000, 100_000, 400_000]);
        return this.#until(() => {
          replica.syncMicrosMax = 4000;
        });
      case "stuckDisk":
        replica.stuckDisk = true;
        return this.#until(() => replica.releaseDisk());
      case "stalledApply":
        replica.stalledApply = true;
        return this.#until(() => replica.continueApply());
      case "clockJump":
        return replica.time.jumpWall(this.#random.between(-5000, 5000));
      case "clockDrift":
        replica.time.drift(((this.#random.below(201) - 100) / 100) * driftPartsMax);
        return this.#until(() => replica.time.drift(0));
      case "compaction":
        for (const each of this.#replicas) if (each.time.alive && this.#random.chance(0.7)) each.compact();
        return;
      case "transfer":
        for (const each of this.#replicas)
          if (each.leads && !each.time.paused) each.does((node) => node.transferLeader(replica.id));
        return;
      case "restartedVoter":
        return this.#restartVoter();
      case "lateAnswers":
        return this.#answerLate();
      default:
        kind satisfies never;
    }
  }

  /** A follower loses the leader; later all do, while another of them starts again: both may want a new one at once. */
  #restartVoter(): void {
    const leader = this.#replicas.find((each) => each.leads);
    if (leader === undefined) return;
    const [first, second] = this.#random.shuffle(this.#replicas.filter((each) => each !== leader));
    if (first === undefined || second === undefined) return;
    this.#block(leader, first, true);
    this.#time.after(this.#random.between(400, 1500) * 1000, () => {
      if (this.#stopped) return;
      this.#split([leader], false);
      second.crash();
      this.#time.after(this.#random.between(10, 80) * 1000, () => second.restart());
    });
  }

  /** All answers reach a leader late; then nobody hears it any more, while old answers still arrive. */
  #answerLate(): void {
    const leader = this.#replicas.find((each) => each.leads);
    if (leader === undefined) return;
    this.#network.slowDownTo(leader.id, this.#random.between(500, 1500) * 1000);
    this.#time.after(this.#random.between(1000, 3000) * 1000, () => {
      if (!this.#stopped) this.#split([leader], true);
      this.#until(() => this.#network.slowDownTo(leader.id, 0));
    });
  }

  #kill(replica: GroupReplica): void {
    replica.crash();
    // Back before a lease is over that it had promised, or long after.
    this.#until(() => replica.restart(), this.#random.chance(0.5) ? 100 : this.#durationMsMax);
  }

  /** Stops one after the other, and starts them again in another order. */
  #swizzle(): void {
    const stops = this.#random.shuffle(this.#replicas.filter(() => this.#random.chance(0.7)));
    const gapMicros = this.#random.between(5, 300) * 1000;
    for (const [i, replica] of stops.entries()) this.#time.after(i * gapMicros, () => this.#stop(replica));
    for (const [i, replica] of this.#random.shuffle([...stops]).entries())
      this.#time.after((stops.length + i) * gapMicros, () => replica.restart());
  }

  #stop(replica: GroupReplica): void {
    if (!this.#stopped) replica.crash();
  }

  #split(side: readonly GroupReplica[], oneWay: boolean): void {
    for (const one of side)
      for (const other of this.#replicas) if (!side.includes(other)) this.#block(one, other, !oneWay);
  }

  #block(one: GroupReplica, other: GroupReplica, both: boolean): void {
    this.#network.block(one.id, other.id);
    if (both) this.#network.block(other.id, one.id);
    this.#until(() => {
      this.#network.free(one.id, other.id);
      if (both) this.#network.free(other.id, one.id);
    });
  }
}
