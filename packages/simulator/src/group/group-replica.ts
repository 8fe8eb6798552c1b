/**
 * One member of the group: the real Raft core on a clock that drifts, a disk that is slow and a state machine that lags.
 * Its process may end at any moment; what was durable stays. A state machine is the list of entries it has applied, of which
 * only the index is kept: that equal indexes hold equal entries is a claim of its own.
 */
import { assert } from "@flotilla/base";
import type { LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import { MemoryLog, RawNode } from "@flotilla/raft";
import type { Configuration, Entry, HardState, Message, RawNodeOptions, Ready, SnapshotLabel } from "@flotilla/raft";
import type { Claims } from "../cluster/claims.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { NodeTime } from "../time/node-time.ts";

export interface GroupReplicaOptions {
  readonly id: ReplicaId;
  readonly raft: Omit<RawNodeOptions, "id">;
  readonly tickMs: number;
  /** One without a log joins later: it needs a snapshot. */
  readonly configuration: Configuration;
  readonly firstIndex: LogIndex;
}

export interface GroupReplicaHost {
  readonly claims: Claims;
  readonly rangeId: RangeId;
  send(replica: GroupReplica, message: Message): void;
  committed(index: LogIndex): void;
  applied(replica: GroupReplica, entry: Entry): void;
  readConfirmed(replica: GroupReplica, context: number, index: LogIndex): void;
  failed(error: unknown): void;
}

interface Write {
  readonly ready: Ready;
  /** The life of the process that asked for it. */
  readonly life: number;
}

export class GroupReplica {
  readonly id: ReplicaId;
  readonly name: string;
  readonly time: NodeTime;
  /** Longest time of a write. */
  syncMicrosMax = 4000;
  stuckDisk = false;
  stalledApply = false;
  #node: RawNode;
  #log: MemoryLog;
  #durableLog: MemoryLog;
  #hardState: HardState;
  #durableHardState: HardState;
  #configuration: Configuration;
  #applied: LogIndex;
  #writes: Write[] = [];
  #writing = false;
  #toApply: Entry[] = [];
  #applying = false;
  #restoring: SnapshotLabel | undefined;
  /** The last install record that became durable: repeated by a start if it was not loaded. */
  #installed: SnapshotLabel | undefined;
  #pumpOwed = false;
  /** Of this life of the process. */
  #commit: number;
  readonly #options: GroupReplicaOptions;
  readonly #host: GroupReplicaHost;
  readonly #random: SeededRandom;

  constructor(options: GroupReplicaOptions, time: NodeTime, random: SeededRandom, host: GroupReplicaHost) {
    this.#options = options;
    this.#host = host;
    this.#random = random;
    this.time = time;
    this.id = options.id;
    this.name = `replica-${options.id}`;
    const term = (options.firstIndex > 0 ? 1 : 0) as Term;
    this.#log = new MemoryLog(options.firstIndex, term);
    this.#durableLog = this.#log.copy();
    this.#hardState = { term, vote: 0 as ReplicaId, commit: options.firstIndex };
    this.#durableHardState = this.#hardState;
    this.#configuration = options.configuration;
    this.#applied = options.firstIndex;
    this.#commit = options.firstIndex;
    this.#node = this.#start(true);
  }

  get node(): RawNode {
    return this.#node;
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  get appliedIndex(): LogIndex {
    return this.#applied;
  }

  get durableIndex(): LogIndex {
    return this.#durableLog.lastIndex();
  }

  durableTerm(index: LogIndex): Term | undefined {
    return this.#durableLog.term(index);
  }

  /** Its commit index is that of an entry of its present term. */
  get committedInTerm(): boolean {
    return this.#log.term(this.#node.commit) === this.#node.term;
  }

  get leads(): boolean {
    return this.time.alive && this.#node.role === "leader";
  }

  /** What the label of a snapshot of its present state says. */
  get label(): SnapshotLabel {
    const term = this.#log.term(this.#applied);
    assert(term !== undefined, () => `${this.name} has no term of ${this.#applied}`);
    return { index: this.#applied, term, configuration: this.#configuration };
  }

  #start(brandNew: boolean): RawNode {
    const reader = {
      firstIndex: () => this.#log.firstIndex(),
      lastIndex: () => this.#log.lastIndex(),
      term: (index: LogIndex) => this.#log.term(index),
      entries: (low: LogIndex, high: LogIndex, bytesMax: number) => this.#log.entries(low, high, bytesMax),
    };
    const { clock } = this.time;
    this.#tickLater();
    return new RawNode(
      { ...this.#options.raft, id: this.id },
      { log: reader, random: this.#random, clock },
      { hardState: this.#hardState, configuration: this.#configuration, applied: this.#applied, brandNew },
    );
  }

  #tickLater(): void {
    this.time.scheduler.after(this.#options.tickMs, () => {
      this.#tickLater();
      this.does((node) => node.tick());
    });
  }

  /** Everything that reaches the core comes through here: what it then has ready is done at the end of the turn. */
  does(what: (node: RawNode) => void): void {
    try {
      what(this.#node);
    } catch (error) {
      this.#host.failed(error);
      return;
    }
    if (this.#pumpOwed) return;
    this.#pumpOwed = true;
    this.time.scheduler.endOfTurn(() => {
      this.#pumpOwed = false;
      try {
        while (this.#node.hasReady()) this.#handle(this.#node.ready());
      } catch (error) {
        this.#host.failed(error);
      }
    });
  }

  #handle(ready: Ready): void {
    const { claims, rangeId } = this.#host;
    const { snapshot, entries, hardState } = ready;
    if (snapshot !== undefined) {
      this.#log.install(snapshot.index, snapshot.term);
      this.#restoring = snapshot;
      this.#toApply = [];
    }
    if (entries.length > 0) {
      claims.appended(this.name, rangeId, this.id, entries, this.#log.term((entries[0]!.index - 1) as LogIndex));
      this.#log.append(entries);
    }
    if (hardState !== undefined) this.#noteHardState(hardState);
    for (const message of ready.messages) this.#send(message);
    this.#writes.push({ ready, life: this.time.life });
    this.#write();
    this.#toApply.push(...ready.committedEntries);
    this.#apply();
    for (const { context, index } of ready.readStates) this.#host.readConfirmed(this, context, index);
  }

  #noteHardState(hardState: HardState): void {
    const { claims, rangeId } = this.#host;
    const before = this.#hardState;
    this.#hardState = hardState;
    if (hardState.term < before.term)
      claims.wentBack(this.name, rangeId, this.id, "a term", before.term, hardState.term);
    const { commit } = hardState;
    if (commit < this.#commit) claims.wentBack(this.name, rangeId, this.id, "a commit index", this.#commit, commit);
    if (commit === this.#commit) return;
    this.#commit = commit;
    const term = this.#log.term(commit);
    if (term !== undefined) claims.committed(this.name, rangeId, this.id, commit, term, hardState.term);
    this.#host.committed(commit);
  }

  #send(message: Message): void {
    const { claims, rangeId } = this.#host;
    // Its role says that nothing was committed since it began to campaign.
    const unapplied = this.#toApply.find(({ kind }) => kind === "configuration");
    if (message.type === "pre-vote" && this.#node.role === "pre-candidate" && unapplied !== undefined)
      claims.violate("nobody campaigns with a change of members that is committed and not applied", rangeId, [
        `${this.name} asks for votes of term ${message.term}`,
        `the change at index ${unapplied.index} is committed, and it has applied everything up to ${this.#applied}`,
      ]);
    claims.sent(this.name, rangeId, message, {
      reader: this.#log,
      durable: {
        term: this.#durableHardState.term,
        vote: this.#durableHardState.vote,
        lastIndex: this.#durableLog.lastIndex(),
      },
    });
    this.#host.send(this, message);
  }

  // The disk: one write after the other.

  #write(): void {
    if (this.#writing || this.stuckDisk || this.#writes.length === 0) return;
    this.#writing = true;
    const first = this.#writes[0]!;
    const micros = first.ready.mustSync ? this.#random.between(100, this.syncMicrosMax) : 50;
    this.time.deliver(micros, () => {
      this.#writing = false;
      if (this.stuckDisk) return;
      this.#writes.shift();
      this.#becomeDurable(first.ready);
      this.#written(first.ready);
      this.#write();
    });
  }

  releaseDisk(): void {
    this.stuckDisk = false;
    if (this.time.alive) this.#write();
  }

  #becomeDurable({ snapshot, entries, hardState }: Ready): void {
    if (snapshot !== undefined) {
      this.#durableLog.install(snapshot.index, snapshot.term);
      this.#installed = snapshot;
    }
    this.#durableLog.append(entries);
    if (hardState !== undefined) this.#durableHardState = hardState;
  }

  #written({ messagesAfterPersisted, persistence, snapshot }: Ready): void {
    for (const message of messagesAfterPersisted) this.#send(message);
    if (persistence !== undefined) this.does((node) => node.persisted(persistence));
    if (snapshot === undefined || snapshot !== this.#restoring) return;
    this.#restoring = undefined;
    this.#load(snapshot);
    this.does((node) => node.applied(snapshot.index));
    this.#apply();
  }

  #load(label: SnapshotLabel): void {
    this.#applied = label.index;
    this.#configuration = label.configuration;
  }

  // The state machine: entry by entry, at its own pace.

  #apply(): void {
    if (this.#applying || this.stalledApply || this.#restoring !== undefined || this.#toApply.length === 0) return;
    this.#applying = true;
    this.time.deliver(this.#random.between(20, 2000), () => {
      this.#applying = false;
      if (this.stalledApply || this.#restoring !== undefined) return;
      for (const entry of this.#toApply.splice(0, this.#random.between(1, 8))) this.#applyOne(entry);
      this.#apply();
    });
  }

  continueApply(): void {
    this.stalledApply = false;
    if (this.time.alive) this.#apply();
  }

  #applyOne(entry: Entry): void {
    const { claims, rangeId } = this.#host;
    if (entry.index !== this.#applied + 1)
      claims.violate("entries are applied in order, each once", rangeId, [
        `${this.name} has applied everything up to ${this.#applied}`,
        `it is given ${entry.index} now`,
      ]);
    if (this.#durableLog.term(entry.index) !== entry.term)
      claims.violate("a replica applies only what is durable in its own log", rangeId, [
        `${this.name} applies index ${entry.index} of term ${entry.term}`,
        `its durable log ends at ${this.#durableLog.lastIndex()} and has term ${String(this.#durableLog.term(entry.index))} there`,
      ]);
    this.#host.applied(this, entry);
    this.does((node) => {
      if (entry.kind === "configuration") this.#configuration = node.applyConfigurationChange(entry);
      this.#applied = entry.index;
      node.applied(entry.index);
    });
  }

  /** As far as it is applied, its log is freed: who lacks it needs a snapshot. */
  compact(): void {
    const to = this.#applied;
    if (to < this.#log.firstIndex() || this.#durableLog.lastIndex() < to || this.#restoring !== undefined) return;
    this.#log.truncateTo(to);
    if (to >= this.#durableLog.firstIndex()) this.#durableLog.truncateTo(to);
  }

  // Its process.

  crash(): void {
    if (!this.time.alive) return;
    this.time.crash();
    // What was under way may have reached the disk or not; nobody was told.
    for (const { ready } of this.#writes.splice(0, this.#random.below(this.#writes.length + 1))) {
      this.#becomeDurable(ready);
    }
    this.#writes = [];
    this.#writing = false;
    this.#toApply = [];
    this.#applying = false;
    this.#restoring = undefined;
    this.#pumpOwed = false;
  }

  restart(): void {
    if (this.time.alive) return;
    this.time.start();
    this.#log = this.#durableLog.copy();
    this.#hardState = this.#durableHardState;
    if (this.#installed !== undefined && this.#installed.index > this.#applied) this.#load(this.#installed);
    this.#commit = this.#hardState.commit;
    this.#host.claims.recovered(this.name, {
      rangeId: this.#host.rangeId,
      replicaId: this.id,
      hardState: this.#hardState,
      lastIndex: this.#log.lastIndex(),
      tombstone: 0 as ReplicaId,
    });
    this.#node = this.#start(false);
  }
}
