/** Some replicas and the network between them, under a test's control. */
import type { Configuration, Entry, InstallSnapshot, Message } from "@flotilla/raft";
import { TestReplica, configurationOf } from "./replica.ts";
import type { ReplicaSetup } from "./replica.ts";
import { TestClock } from "./world.ts";

export interface GroupOptions {
  readonly options?: ReplicaSetup["options"];
  readonly configuration?: Configuration;
  /** Replicas that exist besides those of the configuration. */
  readonly others?: readonly number[];
  readonly setup?: (replica: number) => Partial<ReplicaSetup>;
  readonly tickMs?: number;
}

export class Group {
  readonly clock = new TestClock();
  readonly replicas = new Map<number, TestReplica>();
  /** Sent and not yet delivered, in order. */
  queue: Message[] = [];
  /** Everything that was ever sent. */
  sent: Message[] = [];
  /** Messages for which this says true are lost. */
  loses: (message: Message) => boolean = () => false;
  /** State machines by applied index, for snapshots: all replicas apply the same entries. */
  readonly #history = new Map<number, readonly Entry[]>();
  readonly #options: GroupOptions;

  constructor(voters: readonly number[], options: GroupOptions = {}) {
    this.#options = options;
    const configuration = options.configuration ?? configurationOf(voters);
    const ids = new Set([
      ...voters,
      ...configuration.votersOutgoing,
      ...configuration.learners,
      ...(options.others ?? []),
    ]);
    for (const replica of ids) this.add(replica, configuration);
  }

  add(replica: number, configuration: Configuration = configurationOf([])): TestReplica {
    const added = new TestReplica({
      id: replica,
      clock: this.clock,
      configuration,
      ...(this.#options.options === undefined ? {} : { options: this.#options.options }),
      ...this.#options.setup?.(replica),
      send: (message) => this.send(message),
      stateAt: (index) => this.#history.get(index),
    });
    this.replicas.set(replica, added);
    return added;
  }

  at(replica: number): TestReplica {
    return this.replicas.get(replica)!;
  }

  send(message: Message): void {
    this.sent.push(message);
    if (!this.loses(message)) this.queue.push(message);
  }

  /** Steps one message at its receiver, without letting anyone act on it. */
  deliver(message: Message): void {
    const to = this.replicas.get(message.to);
    if (to === undefined) return;
    if (message.type === "snapshot") this.#deliverSnapshot(message, to);
    else to.node.step(message);
  }

  /** As a host does: the label of what is really sent, then a report to the sender. */
  #deliverSnapshot(message: InstallSnapshot, to: TestReplica): void {
    const from = this.at(message.from);
    const term = from.log.term(from.appliedIndex)!;
    const label = { index: from.appliedIndex, term, configuration: from.configuration };
    this.#history.set(label.index, [...from.applied]);
    to.node.step({ ...message, label });
    from.node.reportSnapshot(message.to, label, true);
  }

  pump(): void {
    for (const replica of this.replicas.values()) replica.pump();
  }

  /** Delivers until nobody has anything to say. */
  settle(): void {
    this.pump();
    for (let rounds = 0; this.queue.length > 0; rounds++) {
      if (rounds > 10_000) throw new Error(`messages never end: ${JSON.stringify(this.queue.slice(0, 4))}`);
      const batch = this.queue;
      this.queue = [];
      for (const message of batch) if (!this.loses(message)) this.deliver(message);
      this.pump();
    }
  }

  /** Everybody ticks together; messages settle after each tick. */
  tick(count = 1, only?: readonly number[]): void {
    for (let i = 0; i < count; i++) {
      this.clock.advance(this.#options.tickMs ?? 100);
      for (const [replica, host] of this.replicas) if (only === undefined || only.includes(replica)) host.node.tick();
      this.settle();
    }
  }

  /** Makes a replica leader by letting it campaign. */
  elect(replica: number): TestReplica {
    const candidate = this.at(replica);
    candidate.node.campaign();
    this.settle();
    if (candidate.node.role !== "leader")
      throw new Error(`${replica} is ${candidate.node.role} in term ${candidate.node.term}`);
    return candidate;
  }

  get leader(): TestReplica | undefined {
    let found: TestReplica | undefined;
    for (const replica of this.replicas.values()) {
      if (replica.node.role === "leader" && (found === undefined || replica.node.term > found.node.term))
        found = replica;
    }
    return found;
  }

  get leaders(): TestReplica[] {
    return [...this.replicas.values()].filter((replica) => replica.node.role === "leader");
  }

  /** Nothing passes between the two sides. */
  partition(...side: number[]): void {
    this.loses = (message) => side.includes(message.from) !== side.includes(message.to);
  }

  isolate(replica: number): void {
    this.partition(replica);
  }

  heal(): void {
    this.loses = () => false;
  }
}
