/**
 * One seed of one group: replicas of the Raft core alone, without a store, on their own clocks, disks and network, while
 * entries are proposed, reads asked for and members changed. It is some fifty times cheaper than a cluster and reaches
 * what a cluster of fixed members cannot. Equal seeds give equal runs.
 */
import { logIndex, rangeId, replicaId } from "@flotilla/base";
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import type { Configuration, Entry, Message } from "@flotilla/raft";
import { ClaimViolated, Claims } from "../cluster/claims.ts";
import type { SeedReport } from "../cluster/run-seed.ts";
import { NodeTime } from "../time/node-time.ts";
import { SeededRandom } from "../time/seeded-random.ts";
import { VirtualTime } from "../time/virtual-time.ts";
import { GroupFaults } from "./group-faults.ts";
import { GroupNetwork } from "./group-network.ts";
import { GroupReplica } from "./group-replica.ts";
import { OldAnswers } from "./old-answers.ts";
import { OldTail } from "./old-tail.ts";

/** The only range there is. */
const range = rangeId(1);
const tickMs = 50;
const electionTicksMin = 10;
const electionMsMax = 2 * electionTicksMin * tickMs;
/** 80 % of the shortest election timeout. */
const leaseMs = 0.8 * electionTicksMin * tickMs;
const chaosMs = 20_000;
const healMsMax = 30_000;
/** What has not arrived by then is given up by its sender. */
const snapshotMsMax = 1000;
const replicasMax = 5;
const notesShown = 60;

interface Read {
  readonly replica: ReplicaId;
  /** Somebody knew everything up to here to be committed when the read was asked for. */
  readonly least: number;
}

export async function runGroupSeed(seed: number): Promise<SeedReport> {
  const run = new GroupRun(seed);
  await run.go();
  return run.report();
}

class GroupRun {
  readonly #seed: number;
  readonly #random: SeededRandom;
  readonly #time = new VirtualTime();
  readonly #claims = new Claims(() => this.#time.nowMicros);
  readonly #network: GroupNetwork;
  readonly #replicas: GroupReplica[] = [];
  readonly #faults: GroupFaults;
  /** In some seeds of five voters, instead of other faults. */
  readonly #oldTail: OldTail | undefined;
  /** In some seeds, beside other faults. */
  readonly #oldAnswers: OldAnswers | undefined;
  readonly #membersChange: boolean;
  /** The highest index that anybody has known to be committed. */
  #committed = 0;
  /** Terms of applied entries by index, as the first replica applied them. */
  readonly #applied = new Map<number, { readonly term: Term; readonly replica: string }>();
  readonly #reads = new Map<number, Read>();
  #contexts = 0;
  #operations = 0;
  #stopped = false;

  constructor(seed: number) {
    this.#seed = seed;
    this.#random = new SeededRandom(seed).fork("group");
    const random = this.#random;
    this.#network = new GroupNetwork(this.#time, random.fork("network"));
    const voters = random.pick([1, 3, 3, 3, 4, 5, 5]);
    this.#membersChange = voters > 1 && random.chance(0.6);
    const configuration: Configuration = {
      voters: Array.from({ length: voters }, (_, i) => replicaId(i + 1)),
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    const raft = {
      electionTicksMin,
      heartbeatTicks: 2,
      appendBytesMax: random.pick([16, 64]),
      inflightMessagesMax: 4,
      inflightBytesMax: 1024,
      uncommittedBytesMax: 4096,
      committedBytesMax: 256,
      leaseMs: random.chance(0.75) ? leaseMs : 0,
    };
    for (let id = 1; id <= (this.#membersChange ? replicasMax : voters); id++) {
      const time = new NodeTime(`replica-${id}`, this.#time, random.fork(`time ${id}`));
      const joins = id > voters;
      const options = {
        id: replicaId(id),
        raft,
        tickMs,
        configuration: joins ? { ...configuration, voters: [] } : configuration,
        firstIndex: logIndex(joins ? 0 : 1),
      };
      this.#replicas.push(new GroupReplica(options, time, random.fork(`replica ${id}`), this.#host));
    }
    this.#faults = new GroupFaults(this.#replicas, this.#network, this.#time, random.fork("faults"));
    const oldTail = random.fork("old tail");
    if (voters === 5 && !this.#membersChange && oldTail.chance(0.5))
      this.#oldTail = new OldTail(this.#replicas, this.#network, this.#time, oldTail);
    const oldAnswers = random.fork("late answers of before");
    if (voters > 1 && this.#oldTail === undefined && oldAnswers.chance(0.15))
      this.#oldAnswers = new OldAnswers(this.#replicas, this.#network, this.#time, oldAnswers);
    this.#time.afterEvent = () => {
      if (this.#claims.violation !== undefined) throw new ClaimViolated();
    };
  }

  get #host(): ConstructorParameters<typeof GroupReplica>[3] {
    return {
      claims: this.#claims,
      rangeId: range,
      send: (from, message) => this.#send(from, message),
      committed: (index) => {
        this.#committed = Math.max(this.#committed, index);
      },
      applied: (replica, entry) => this.#appliedBy(replica, entry),
      readConfirmed: (replica, context, index) => this.#readConfirmed(replica, context, index),
      failed: (error) =>
        this.#claims.violate("nothing fails unexpectedly", range, [
          error instanceof Error ? (error.stack ?? error.message) : String(error),
        ]),
    };
  }

  #send(from: GroupReplica, message: Message): void {
    const to = this.#replicas[message.to - 1];
    if (to === undefined) return;
    if (message.type !== "snapshot") {
      this.#network.send(message, to, () => to.does((node) => node.step(message)));
      return;
    }
    // As a store does: the label is that of what is really sent, and the sender hears how it ended, in any case.
    const { label } = from;
    let arrived = false;
    this.#network.send(message, to, () => {
      arrived = true;
      to.does((node) => node.step({ ...message, label }));
      from.time.deliver(1000, () => from.does((node) => node.reportSnapshot(message.to, label, true)));
    });
    from.time.deliver(snapshotMsMax * 1000, () => {
      if (!arrived) from.does((node) => node.reportSnapshot(message.to, label, false));
    });
  }

  #appliedBy(replica: GroupReplica, entry: Entry): void {
    const known = this.#applied.get(entry.index);
    if (known === undefined) this.#applied.set(entry.index, { term: entry.term, replica: replica.name });
    else if (known.term !== entry.term)
      this.#claims.violate("all replicas apply the same entry at one index", range, [
        `index ${entry.index}: ${known.replica} applied term ${known.term}`,
        `${replica.name} applies term ${entry.term}`,
      ]);
    if (entry.kind === "configuration") this.#note(replica, `applies a change of members at ${entry.index}`);
  }

  #note(replica: GroupReplica, text: string): void {
    this.#time.trace.note(this.#time.nowMicros, replica.name, range, text);
  }

  // Work.

  #every(msMin: number, msMax: number, work: () => void): void {
    this.#time.after(this.#random.between(msMin, msMax) * 1000, () => {
      if (this.#stopped) return;
      work();
      this.#every(msMin, msMax, work);
    });
  }

  /** Whom a client would ask: mostly one that says that it leads, which need not be true any more. */
  #pick(): GroupReplica {
    const leaders = this.#replicas.filter((each) => each.leads);
    return this.#random.pick(leaders.length > 0 && this.#random.chance(0.9) ? leaders : this.#replicas);
  }

  #propose(): void {
    const replica = this.#pick();
    if (!replica.time.alive) return;
    const data = this.#random.bytes(this.#random.between(1, 40));
    replica.time.deliver(this.#random.between(0, 1000), () => {
      replica.does((node) => {
        if (node.propose(node.term, data).ok) this.#operations++;
      });
    });
  }

  /** A client that can reach the replica even when its peers cannot. */
  #read(): void {
    const replica = this.#pick();
    if (!replica.time.alive) return;
    const least = this.#committed;
    replica.time.deliver(this.#random.between(0, 1000), () => {
      replica.does((node) => {
        if (node.leaseHolds()) return this.#served(replica, "under its lease", node.commit, least);
        const context = ++this.#contexts;
        if (node.readIndex(context)) this.#reads.set(context, { replica: replica.id, least });
      });
    });
  }

  #readConfirmed(replica: GroupReplica, context: number, index: LogIndex): void {
    const read = this.#reads.get(context);
    this.#reads.delete(context);
    if (read?.replica === replica.id) this.#served(replica, "by a round", index, read.least);
  }

  #served(replica: GroupReplica, how: string, index: number, least: number): void {
    this.#operations++;
    if (index >= least) return;
    this.#claims.violate("a read sees everything that was committed when it was asked for", range, [
      `everything up to ${least} was committed when the read reached ${replica.name}`,
      `it is served ${how} as of ${index}`,
    ]);
  }

  /**
   * Never below three voters: of two, one that crashes keeps the other from going on, in any protocol that applies a change
   * when it is committed (hazard B11); the placement driver plans none such either.
   */
  #changeMembers(): void {
    const replica = this.#pick();
    if (!replica.leads || replica.time.paused) return;
    const random = this.#random;
    const change = (): { type: "add-voter" | "add-learner" | "remove"; id: ReplicaId } => ({
      type: random.pick(["add-voter", "add-voter", "add-learner", "remove", "remove"] as const),
      id: replicaId(random.between(1, replicasMax)),
    });
    const changes = [change()];
    if (random.chance(0.5)) changes.push(change());
    const voters = new Set<number>(replica.configuration.voters);
    for (const { type, id } of changes) {
      if (type === "add-voter") voters.add(id);
      else voters.delete(id);
    }
    if (voters.size < 3) return;
    const transition = random.pick(["auto", "auto", "joint-implicit"] as const);
    replica.does((node) => {
      const proposed = node.proposeConfigurationChange(node.term, { changes, transition, context: new Uint8Array(0) });
      if (!proposed.ok) return;
      this.#operations++;
      if (!replica.committedInTerm)
        this.#claims.violate("a leader changes members only after it has committed in its own term", range, [
          `${replica.name} leads term ${node.term} and has committed up to ${node.commit}, of an earlier term`,
          `it takes a change of members as index ${proposed.index}`,
        ]);
      this.#note(replica, `proposes ${changes.map(({ type, id }) => `${type} ${id}`).join(", ")} at ${proposed.index}`);
    });
  }

  // The run.

  async go(): Promise<void> {
    try {
      this.#every(5, this.#random.pick([60, 60, 1500]), () => this.#propose());
      this.#every(2, 30, () => this.#read());
      if (this.#membersChange) this.#every(20, 600, () => this.#changeMembers());
      if (this.#oldTail === undefined) this.#faults.start();
      else this.#oldTail.start();
      this.#oldAnswers?.start();
      await this.#time.runFor(chaosMs * 1000);
      this.#stopped = true;
      this.#oldTail?.stop();
      this.#oldAnswers?.stop();
      this.#faults.healAll();
      for (const replica of this.#replicas) {
        replica.releaseDisk();
        replica.continueApply();
        replica.syncMicrosMax = 4000;
      }
      await this.#recovers();
    } catch (error) {
      if (error instanceof ClaimViolated) return;
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#claims.violate("nothing fails unexpectedly", range, [what]);
    }
  }

  get #leader(): GroupReplica | undefined {
    const leaders = this.#replicas.filter((each) => each.leads);
    return leaders.sort((a, b) => b.node.term - a.node.term)[0];
  }

  async #recovers(): Promise<void> {
    const from = this.#committed;
    await this.#within("a group commits within ten election timeouts after healing", 10 * electionMsMax, () => {
      const leader = this.#leader;
      if (leader === undefined) return false;
      leader.does((node) => node.propose(node.term, new Uint8Array(1)));
      return this.#committed > from && leader.node.commit === this.#committed;
    });
    await this.#within("members of a healed group become level, and a joint configuration is left", healMsMax, () => {
      const leader = this.#leader;
      if (leader === undefined || leader.configuration.votersOutgoing.length > 0) return false;
      const { voters, learners } = leader.configuration;
      return [...voters, ...learners].every((id) => this.#replicas[id - 1]!.appliedIndex === leader.node.lastIndex);
    });
  }

  async #within(claim: string, ms: number, condition: () => boolean): Promise<void> {
    const until = this.#time.nowMicros + ms * 1000;
    while (!condition()) {
      if (this.#time.nowMicros >= until) {
        const status = this.#replicas.map((each) => `${each.name}: ${JSON.stringify(each.node.status())}`);
        this.#claims.violate(claim, range, [`not within ${ms / 1000} s`, ...status]);
        throw new ClaimViolated();
      }
      await this.#time.runFor(50_000);
    }
  }

  report(): SeedReport {
    const { violation } = this.#claims;
    return {
      seed: this.#seed,
      violation,
      simulatedSeconds: this.#time.nowMicros / 1e6,
      calls: this.#operations,
      operations: this.#operations,
      unknown: 0,
      faults: {
        ...(this.#oldTail === undefined ? this.#faults.counts : { oldTail: this.#oldTail.times }),
        ...(this.#oldAnswers === undefined ? {} : { oldAnswers: this.#oldAnswers.times }),
      },
      changes: {},
      events: this.#time.eventsExecuted,
      traceHash: this.#time.trace.digest(),
      notes: violation === undefined ? [] : this.#time.trace.latest(notesShown),
    };
  }
}
