/**
 * A random run of a group under lost, late, doubled and reordered messages, slow disks, slow state machines, crashes,
 * snapshots and membership changes, with the safety properties of figure 3 of the Raft paper checked after every step.
 */
import { assert } from "@flotilla/base";
import { MemoryLog } from "@flotilla/raft";
import type { Entry, Message } from "@flotilla/raft";
import { Group } from "./group.ts";
import { at, configurationOf, id, inTerm } from "./replica.ts";
import type { TestReplica } from "./replica.ts";
import { TestRandom } from "./world.ts";

export interface FaultRunOptions {
  readonly seed: number;
  readonly steps: number;
  readonly leaseMs: number;
  readonly membership: boolean;
}

export interface FaultRunResult {
  readonly applied: number;
  readonly terms: number;
  readonly leaseReads: number;
  readonly indexReads: number;
}

export class FaultRun {
  readonly #random: TestRandom;
  readonly #group: Group;
  readonly #options: FaultRunOptions;
  /** Leader of each term that was ever seen: election safety. */
  readonly #leaders = new Map<number, number>();
  /** `${term}/${voter}` → candidate of every vote that was ever granted. */
  readonly #votes = new Map<string, number>();
  /** What was applied at each index by whoever applied it first: state machine safety. */
  readonly #chosen: Entry[] = [];
  /** How many applied entries of each replica were compared. */
  readonly #compared = new Map<number, number>();
  #proposals = 0;
  #contexts = 0;
  /** Reads under way: context → lowest index that they must see. */
  readonly #reads = new Map<string, number>();
  #leaseReads = 0;
  #indexReads = 0;

  constructor(options: FaultRunOptions) {
    this.#options = options;
    this.#random = new TestRandom(options.seed);
    this.#group = new Group([1, 2, 3], {
      others: options.membership ? [4, 5] : [],
      options: { leaseMs: options.leaseMs, appendBytesMax: 64, inflightMessagesMax: 3, uncommittedBytesMax: 4096 },
      setup: (replica) => ({
        seed: options.seed * 31 + replica,
        // As a range is made: its first replicas begin behind index 1, later ones with nothing, so they need a snapshot.
        ...(replica <= 3
          ? { configuration: configurationOf([1, 2, 3]), log: new MemoryLog(1, 1), applied: 1 }
          : { configuration: configurationOf([]) }),
      }),
    });
    for (const replica of this.#group.replicas.values()) {
      replica.autoPersist = false;
      replica.autoApply = false;
    }
  }

  run(): FaultRunResult {
    for (let step = 0; step < this.#options.steps; step++) {
      this.#step();
      this.#check();
    }
    this.#heal();
    return {
      applied: this.#chosen.length,
      terms: this.#leaders.size,
      leaseReads: this.#leaseReads,
      indexReads: this.#indexReads,
    };
  }

  #pick(): TestReplica {
    const all = [...this.#group.replicas.values()];
    return all[this.#random.below(all.length)]!;
  }

  #step(): void {
    const replica = this.#pick();
    const dice = this.#random.below(1000);
    if (dice < 480) this.#deliverOne();
    else if (dice < 600) this.#tick(replica);
    else if (dice < 740) replica.persist(1);
    else if (dice < 820) replica.apply();
    else if (dice < 900) this.#propose(replica);
    else if (dice < 940) this.#read(replica);
    else if (dice < 945) this.#group.queue.splice(this.#random.below(this.#group.queue.length + 1), 2);
    else if (dice < 948) this.#crash(replica);
    else if (dice < 950) this.#group.partition(this.#random.below(5) + 1);
    else if (dice < 962) this.#group.heal();
    else if (dice < 970) this.#compact(replica);
    else if (dice < 985) this.#changeMembers(replica);
    else if (dice < 988) replica.node.transferLeader(id(this.#random.below(5) + 1));
    else if (dice < 990) for (const other of [1, 2, 3, 4, 5]) replica.node.reportUnreachable(id(other));
    this.#pump();
  }

  #pump(): void {
    for (const replica of this.#group.replicas.values()) replica.pump();
    // A network that holds more than this is a queue of its own; the oldest is lost.
    const { queue } = this.#group;
    if (queue.length > 200) queue.splice(0, queue.length - 200);
  }

  /** Mostly in order, sometimes any message, sometimes twice. */
  #deliverOne(): void {
    const { queue } = this.#group;
    if (queue.length === 0) return;
    const at = this.#random.below(10) === 0 ? this.#random.below(queue.length) : 0;
    const message = queue[at]!;
    if (this.#random.below(20) !== 0) queue.splice(at, 1);
    if (!this.#group.loses(message)) this.#deliver(message);
  }

  #deliver(message: Message): void {
    if (message.type === "snapshot" && this.#group.at(message.from).node.role !== "leader") return;
    this.#group.deliver(message);
  }

  #tick(replica: TestReplica): void {
    this.#group.clock.advance(20);
    replica.node.tick();
  }

  #propose(replica: TestReplica): void {
    if (replica.node.role === "leader") replica.propose(`value ${++this.#proposals}`);
  }

  /** Whatever a read returns must hold everything that anybody had seen applied when the read began. */
  #read(replica: TestReplica): void {
    if (replica.node.leaseHolds()) {
      this.#leaseReads++;
      assert(
        replica.node.commit > this.#chosen.length,
        () =>
          `${replica.id} read at ${replica.node.commit} under a lease, ${this.#chosen.length} was applied elsewhere`,
      );
    }
    const context = ++this.#contexts;
    if (replica.node.readIndex(context)) this.#reads.set(`${replica.id}/${context}`, this.#chosen.length + 1);
  }

  #crash(replica: TestReplica): void {
    replica.restart();
    replica.autoPersist = false;
    replica.autoApply = false;
  }

  #compact(replica: TestReplica): void {
    const to = replica.appliedIndex;
    if (to >= replica.log.firstIndex() && replica.durable.log.lastIndex() >= to) {
      replica.log.truncateTo(to);
      if (to >= replica.durable.log.firstIndex()) replica.durable.log.truncateTo(to);
    }
  }

  #changeMembers(replica: TestReplica): void {
    if (!this.#options.membership || replica.node.role !== "leader") return;
    // Two voters cannot lose one of them while the other may crash, in this protocol or any other that applies a change
    // after it is committed (hazard B11): like the placement driver, never below three.
    const { voters } = replica.configuration;
    const type = (["add-voter", "add-learner", "remove"] as const)[this.#random.below(3)]!;
    const change = { type, id: id(this.#random.below(5) + 1) };
    if (type !== "add-voter" && voters.length <= 3 && voters.includes(change.id)) return;
    const changes = [change];
    if (this.#random.below(2) === 0) changes.push({ type: "add-voter", id: id(this.#random.below(5) + 1) });
    replica.node.proposeConfigurationChange(replica.node.term, {
      changes,
      transition: "auto",
      context: new Uint8Array(0),
    });
  }

  #check(): void {
    for (const message of this.#group.sent.splice(0)) this.#checkMessage(message);
    for (const replica of this.#group.replicas.values()) this.#checkReplica(replica);
  }

  #checkMessage(message: Message): void {
    if (message.type === "vote-response" && !message.reject) {
      const key = `${message.term}/${message.from}`;
      const before = this.#votes.get(key);
      assert(
        before === undefined || before === message.to,
        () => `${message.from} voted for ${before} and ${message.to} in term ${message.term}`,
      );
      this.#votes.set(key, message.to);
      const { hardState } = this.#group.at(message.from).durable;
      assert(
        hardState.term > message.term || (hardState.term === message.term && hardState.vote === message.to),
        () => `vote of ${message.from} for ${message.to} in term ${message.term} left before it was durable`,
      );
    }
    if (message.type === "append-response" && !message.reject && message.index > 0) {
      const { durable } = this.#group.at(message.from);
      assert(
        durable.hardState.term >= message.term &&
          (durable.log.lastIndex() >= message.index || durable.hardState.term > message.term),
        () => `${message.from} acknowledged ${message.index} with ${durable.log.lastIndex()} durable`,
      );
    }
  }

  #checkReplica(replica: TestReplica): void {
    const { node } = replica;
    if (node.role === "leader") {
      const known = this.#leaders.get(node.term);
      assert(
        known === undefined || known === replica.id,
        () => `term ${node.term} has leaders ${known} and ${replica.id}`,
      );
      if (known === undefined) {
        this.#leaders.set(node.term, replica.id);
        this.#checkCompleteness(replica);
      }
    }
    const from = Math.min(this.#compared.get(replica.id) ?? 0, replica.applied.length);
    this.#compared.set(replica.id, replica.applied.length);
    for (let i = from; i < replica.applied.length; i++) {
      const entry = replica.applied[i]!;
      const chosen = this.#chosen[i];
      if (chosen === undefined) this.#chosen[i] = entry;
      else
        assert(
          chosen.index === entry.index && chosen.term === entry.term,
          () => `${replica.id} applied ${entry.term}/${entry.index}, others ${chosen.term}/${chosen.index}`,
        );
      assert(entry.index === i + 2, () => `${replica.id} applied ${entry.index} at place ${i}`);
    }
    for (const read of replica.reads.splice(0)) {
      const least = this.#reads.get(`${replica.id}/${read.context}`);
      assert(
        least !== undefined && read.index >= least,
        () => `read at ${read.index}, ${least} was applied before it began`,
      );
      this.#indexReads++;
    }
  }

  /** Leader completeness: whatever was applied anywhere is in the log of every later leader. */
  #checkCompleteness(leader: TestReplica): void {
    for (const chosen of this.#chosen) {
      if (chosen.index < leader.log.firstIndex()) continue;
      assert(
        leader.log.term(chosen.index) === chosen.term,
        () => `leader ${leader.id} of term ${leader.node.term} lacks ${chosen.term}/${chosen.index}`,
      );
    }
  }

  /** With everything working again a leader emerges, and everybody who is a member applies the same. */
  #heal(): void {
    const group = this.#group;
    group.heal();
    for (const replica of group.replicas.values()) {
      replica.persist();
      replica.apply();
      replica.autoPersist = true;
      replica.autoApply = true;
      // A host reports the end of every snapshot, also of those that were lost.
      for (const { id: to, state } of replica.node.status().progress) {
        if (state === "snapshot")
          replica.node.reportSnapshot(to, { index: at(0), term: inTerm(0), configuration: configurationOf([]) }, false);
      }
    }
    let done = false;
    for (let ticks = 0; ticks < 600 && !done; ticks++) {
      group.tick(1);
      this.#check();
      const leader = group.leader;
      if (leader === undefined || ticks < 100) continue;
      const members = leader.node.status().progress.map((p) => group.at(p.id));
      done =
        members.every((m) => m.appliedIndex === leader.node.lastIndex) &&
        leader.configuration.votersOutgoing.length === 0;
    }
    assert(
      done,
      () =>
        `seed ${this.#options.seed}: the group does not recover: ${JSON.stringify([...group.replicas.values()].map((r) => r.node.status()))}`,
    );
    const leader = group.leader!;
    const index = leader.node.lastIndex;
    assert(leader.propose("the last").ok, "the healed leader takes a proposal");
    group.settle();
    assert(leader.appliedIndex === index + 1, "the healed group commits");
  }
}
