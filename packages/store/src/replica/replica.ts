/**
 * One range's member on this store: its Raft state machine, its records, what its clients wait for. Everything is a step
 * of the store's round (store-round.ts); nothing here has a timer or a promise of its own.
 */
import { InvariantError, MalformedError, assert, noTerm, noVersion, rangeId, version } from "@flotilla/base";
import type {
  Environment,
  LogIndex,
  RangeDescriptor,
  RangeId,
  ReplicaId,
  StoreId,
  Term,
  Version,
} from "@flotilla/base";
import { RawNode } from "@flotilla/raft";
import type {
  Entry,
  HardState,
  InstallSnapshot,
  LogReader,
  Message,
  Persistence,
  RawNodeOptions,
  Ready,
  Role,
  SnapshotLabel,
} from "@flotilla/raft";
import type { CommandResult, ReadBatch, ScanRequest } from "@flotilla/transport";
import type { ClientConnection, RoutingRefusal } from "../clients/client-connection.ts";
import { statusApplied, statusConditionFailed } from "./entry-format.ts";
import { Evaluator } from "./evaluator.ts";
import type { QueuedBatch } from "./evaluator.ts";
import type { BatchAnswer, PendingEntry } from "./pending-answers.ts";
import type { StateMachine } from "./state-machine.ts";
import { versionAt } from "./session-table.ts";
import type { StoreSettings } from "../store-settings.ts";

/** A version this far ahead of the own clock, seen by a client, is refused: somebody's clock is wrong. */
const seenAheadVersionsMax = 10_000 * 4096;
/** ReadIndex rounds of one range under way; reads that arrive meanwhile share the next. */
const readRoundsMax = 2;
/** Batches waiting for a leader that has not applied its first entry yet. */
const queuedBatchesMax = 4096;

/** `bytes`: of its keys, roughly. */
export type QueuedRead =
  | {
      readonly kind: "reads";
      readonly connection: ClientConnection;
      readonly batch: ReadBatch;
      readonly bytes: number;
    }
  | {
      readonly kind: "scan";
      readonly connection: ClientConnection;
      readonly request: ScanRequest;
      readonly bytes: number;
    };

/** What a replica needs of its store. */
export interface ReplicaHost {
  readonly environment: Environment;
  readonly settings: StoreSettings;
  readonly storeId: StoreId;
  nextReadContext(): number;
  /** Something changed that the round has to look at. */
  markDirty(replica: Replica): void;
  sendRaft(replica: Replica, message: Message): void;
  /** Entries, hard state or a snapshot go to the shared log with this turn's batch. */
  persist(replica: Replica, ready: Ready): void;
  /** Messages that wait until everything staged so far is durable. */
  sendAfterPersisted(replica: Replica, messages: readonly Message[]): void;
  serveReads(replica: Replica, reads: readonly QueuedRead[]): void;
  installSnapshot(replica: Replica, label: SnapshotLabel): void;
  /** Why this range cannot be served here now, in words, with what is known of its leader. */
  routingRefusal(replica: Replica): RoutingRefusal;
  onRoleChanged(replica: Replica, role: Role): void;
  readonly counters: StoreCounters;
}

export interface StoreCounters {
  commandsApplied: number;
  commandsRefused: number;
  readsServed: number;
  entriesProposed: number;
  elections: number;
}

export class Replica {
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  readonly machine: StateMachine;
  readonly node: RawNode;
  /** True while the host has it on its list for this round. */
  dirty = false;
  /** A range snapshot is being loaded into the engine: Raft hands out nothing to apply meanwhile. */
  loading = false;
  /** Leader, and the no-op of its own term is applied. */
  #canEvaluate = false;
  /** The term to which pending records, answers and reads belong; 0 = not leader. */
  #leaderTerm: Term = noTerm;
  /** Highest version given in this term. */
  #assigned: Version = noVersion;
  #queue: QueuedBatch[] = [];
  /** Of the batches in #queue. */
  #queuedBytes = 0;
  #pending: PendingEntry[] = [];
  /** Index of the first pending entry that is not answered. */
  #pendingAt = 0;
  #reads: QueuedRead[] = [];
  #readBytes = 0;
  #rounds: Map<number, readonly QueuedRead[]> = new Map();
  /** Confirmed reads that wait until their index is applied; in rising order of index. */
  #confirmed: { readonly index: LogIndex; readonly reads: readonly QueuedRead[] }[] = [];
  #lastRole: Role = "follower";
  /** Operations since the last report; read and reset by the reporter. */
  writes = 0;
  readsDone = 0;
  readonly #evaluator: Evaluator;
  readonly #host: ReplicaHost;

  constructor(
    options: {
      readonly replicaId: ReplicaId;
      readonly hardState: HardState;
      readonly brandNew: boolean;
      readonly raft: Omit<RawNodeOptions, "id">;
    },
    machine: StateMachine,
    log: LogReader,
    host: ReplicaHost,
  ) {
    this.rangeId = rangeId(machine.descriptor.rangeId);
    this.replicaId = options.replicaId;
    this.machine = machine;
    this.#host = host;
    const { environment } = host;
    const { replicas, epoch } = machine.descriptor;
    this.#evaluator = new Evaluator(machine, environment.bytes);
    this.node = new RawNode(
      { ...options.raft, id: options.replicaId },
      { log, random: environment.random, clock: environment.clock },
      {
        hardState: options.hardState,
        configuration: machine.configuration,
        applied: machine.appliedIndex,
        // A group that has only ever had this member: there is no other leader whom it could have promised anything.
        brandNew: options.brandNew || (replicas.length === 1 && epoch.members === 1),
      },
    );
  }

  get descriptor(): RangeDescriptor {
    return this.machine.descriptor;
  }

  get leads(): boolean {
    return this.#leaderTerm !== 0;
  }

  /** Leads and may evaluate and read. */
  get serves(): boolean {
    return this.#canEvaluate;
  }

  get pendingCommands(): number {
    let commands = 0;
    for (let i = this.#pendingAt; i < this.#pending.length; i++) commands += this.#pending[i]!.commands;
    return commands;
  }

  get leaderStore(): StoreId {
    return this.storeOf(this.node.leader);
  }

  storeOf(replica: ReplicaId): StoreId {
    for (const member of this.descriptor.replicas) if (member.replicaId === replica) return member.storeId;
    return 0 as StoreId;
  }

  replicaOn(store: StoreId): ReplicaId | undefined {
    return this.descriptor.replicas.find((member) => member.storeId === store)?.replicaId;
  }

  // ---- what arrives ----

  tick(): void {
    this.node.tick();
    if (this.node.hasReady()) this.#host.markDirty(this);
  }

  step(message: Message): void {
    this.node.step(message);
    this.#host.markDirty(this);
  }

  /**
   * A range snapshot came whole; `staged`: its file waits to be loaded. False when Raft has no use for the file, because
   * the replica is as far by now. A snapshot without a file must be behind the commit index.
   */
  offerSnapshot(message: InstallSnapshot, staged: boolean): boolean {
    const { index } = message.label;
    const { commit } = this.node;
    assert(
      staged || index <= commit,
      () => `range ${this.rangeId}: snapshot ${index} is not staged, commit is ${commit}`,
    );
    this.step(message);
    // Accepted, the log is void up to the label; a label that the log holds only moves the commit index.
    const accepted = index > commit && this.node.status().firstIndex === index + 1;
    if (accepted) this.loading = true;
    return accepted;
  }

  /** False when it is not for this replica to decide, or the other one could not lead. */
  transferTo(to: ReplicaId): boolean {
    const begun = this.node.transferLeader(to);
    this.#host.markDirty(this);
    return begun;
  }

  submit(queued: QueuedBatch): void {
    if (this.node.role !== "leader") {
      queued.connection.refuseRouting("commands", queued.batch.batchId, this.#host.routingRefusal(this));
      return;
    }
    // As much as Raft takes without having it committed: more could only wait here.
    const full = this.#queuedBytes + queued.bytes > this.#host.settings.uncommittedBytesMax;
    if (this.#queue.length > 0 && (full || this.#queue.length >= queuedBatchesMax)) {
      queued.connection.refuse(
        "commands",
        queued.batch.batchId,
        "Busy",
        `range ${this.rangeId} has too many batches waiting`,
        50,
      );
      return;
    }
    this.#queue.push(queued);
    this.#queuedBytes += queued.bytes;
    this.#host.markDirty(this);
  }

  read(queued: QueuedRead): void {
    if (this.node.role !== "leader") return this.#refuseRead(queued);
    const full = this.#readBytes + queued.bytes > this.#host.settings.uncommittedBytesMax;
    if (this.#reads.length > 0 && (full || this.#reads.length >= queuedBatchesMax)) {
      const id = queued.kind === "reads" ? queued.batch.batchId : queued.request.scanId;
      queued.connection.refuse(queued.kind, id, "Busy", `range ${this.rangeId} has too many reads waiting`, 50);
      return;
    }
    this.#reads.push(queued);
    this.#readBytes += queued.bytes;
    this.#host.markDirty(this);
  }

  // ---- the round ----

  /** Evaluates what is queued and starts read rounds, then hands out everything Raft has ready. */
  round(): void {
    this.#noteRole();
    if (this.#canEvaluate) {
      if (this.#queue.length > 0) this.#evaluate();
      if (this.#reads.length > 0 && this.#rounds.size < readRoundsMax) this.#startReads();
    }
    while (this.node.hasReady()) this.#ready(this.node.ready());
    if (
      this.#canEvaluate &&
      (this.#queue.length > 0 || (this.#reads.length > 0 && this.#rounds.size < readRoundsMax))
    ) {
      this.#host.markDirty(this);
    }
  }

  persisted(persistence: Persistence): void {
    this.node.persisted(persistence);
    this.#host.markDirty(this);
  }

  /** Before anything is evaluated, read or applied: all of that belongs to one term of leading. */
  #noteRole(): void {
    const { node } = this;
    if (this.#leaderTerm !== 0 && (node.role !== "leader" || node.term !== this.#leaderTerm)) this.#stepDown();
    if (this.#leaderTerm === 0 && node.role === "leader") {
      this.#leaderTerm = node.term;
      this.#host.counters.elections++;
    }
    if (node.role !== this.#lastRole) {
      this.#lastRole = node.role;
      this.#host.onRoleChanged(this, node.role);
    }
  }

  #ready(ready: Ready): void {
    // A deposed leader forgets what was pending before anything of the new term is applied.
    this.#noteRole();
    if (ready.snapshot !== undefined) this.#acceptSnapshot(ready.snapshot);
    this.#host.persist(this, ready);
    for (const message of ready.messages) this.#host.sendRaft(this, message);
    if (ready.messagesAfterPersisted.length > 0) this.#host.sendAfterPersisted(this, ready.messagesAfterPersisted);
    if (ready.committedEntries.length > 0) this.#applyAll(ready.committedEntries);
    for (const { context, index } of ready.readStates) {
      const reads = this.#rounds.get(context);
      if (reads === undefined) continue;
      this.#rounds.delete(context);
      this.#confirmed.push({ index, reads });
    }
    if (this.#confirmed.length > 0) this.#serveConfirmed();
  }

  #acceptSnapshot(label: SnapshotLabel): void {
    assert(this.loading, () => `range ${this.rangeId}: Raft took a snapshot at ${label.index} that was not staged`);
    this.machine.configuration = label.configuration;
    this.machine.memtable.clear();
    this.#host.installSnapshot(this, label);
  }

  /** The snapshot's content is in the engine and the machine was restored from it. */
  loaded(): void {
    this.loading = false;
    this.node.applied(this.machine.appliedIndex);
    this.#host.markDirty(this);
  }

  // ---- writes ----

  #evaluate(): void {
    const { node, machine } = this;
    this.#queuedBytes = 0;
    const now = versionAt(this.#host.environment.clock.wallMs());
    this.#queue = this.#queue.filter((queued) => this.#admit(queued, now));
    while (this.#queue.length > 0) {
      let first = Math.max(now, this.#assigned + 1, machine.lastVersion + 1);
      for (const { batch } of this.#queue) if (batch.seen >= first) first = batch.seen + 1;
      const { entryTargetBytes } = this.#host.settings;
      const evaluated = this.#evaluator.evaluate(this.#queue, entryTargetBytes, node.lastIndex + 1, version(first));
      if (evaluated !== undefined) {
        const proposed = node.propose(this.#leaderTerm, evaluated.data);
        if (!proposed.ok) {
          this.#evaluator.undo();
          this.#notTaken(evaluated.answers, proposed.reason);
        } else {
          this.#assigned = evaluated.lastVersion;
          const { index, term } = proposed;
          this.#pending.push({ index, term, answers: evaluated.answers, commands: evaluated.commands });
          this.#host.counters.entriesProposed++;
        }
      }
      let done = 0;
      while (done < this.#queue.length && this.#queue[done]!.next === this.#queue[done]!.batch.commands.length) done++;
      this.#queue.splice(0, done);
    }
  }

  /** Checks that concern a whole batch. */
  #admit(queued: QueuedBatch, now: Version): boolean {
    const { batch, connection } = queued;
    if (connection.closed) return false;
    if (batch.bounds !== this.descriptor.epoch.bounds) {
      connection.refuseRouting("commands", batch.batchId, {
        ...this.#host.routingRefusal(this),
        reason: "epoch-mismatch",
        retryAfterMs: 0,
      });
      return false;
    }
    if (batch.seen > now + seenAheadVersionsMax) {
      connection.refuse(
        "commands",
        batch.batchId,
        "Refused",
        `version ${batch.seen} is more than 10 s ahead of this store's clock`,
        0,
      );
      return false;
    }
    return true;
  }

  #notTaken(answers: readonly BatchAnswer[], reason: string): void {
    const message =
      reason === "busy"
        ? `range ${this.rangeId} has too many bytes not yet committed`
        : `range ${this.rangeId}: ${reason}`;
    for (const { connection, batchId, results } of answers) {
      for (let i = 0; i < results.length; i++) {
        results[i] = {
          number: results[i]!.number,
          status: "refused",
          version: noVersion,
          existed: false,
          code: "Busy",
          message,
        };
      }
      this.#host.counters.commandsRefused += results.length;
      connection.answerCommands(batchId, this.machine.lastVersion, results);
    }
  }

  #stepDown(): void {
    this.#leaderTerm = noTerm;
    this.#canEvaluate = false;
    this.#assigned = noVersion;
    this.machine.memtable.dropPending();
    this.machine.sessions.dropPending();
    const message = `range ${this.rangeId} lost its leader while the command was under way`;
    for (let i = this.#pendingAt; i < this.#pending.length; i++) {
      for (const { connection, batchId, results } of this.#pending[i]!.answers) {
        const unknown = results.map((result): CommandResult => ({
          number: result.number,
          status: "unknown",
          version: noVersion,
          existed: false,
          code: "OutcomeUnknown",
          message,
        }));
        connection.answerCommands(batchId, this.machine.lastVersion, unknown);
      }
    }
    this.#pending = [];
    this.#pendingAt = 0;
    const refusal = this.#host.routingRefusal(this);
    for (const { connection, batch, next } of this.#queue) {
      // Commands before `next` are answered above; the rest was never evaluated.
      const rest = batch.commands.slice(next).map((command): CommandResult => ({
        number: command.number,
        status: "refused",
        version: noVersion,
        existed: false,
        code: "NoQuorum",
        message: refusal.message,
      }));
      if (next === 0) connection.refuseRouting("commands", batch.batchId, refusal);
      else if (rest.length > 0) connection.answerCommands(batch.batchId, this.machine.lastVersion, rest);
    }
    this.#queue = [];
    this.#queuedBytes = 0;
    const reads = [...this.#reads];
    for (const round of this.#rounds.values()) reads.push(...round);
    for (const confirmed of this.#confirmed) reads.push(...confirmed.reads);
    this.#reads = [];
    this.#readBytes = 0;
    this.#rounds.clear();
    this.#confirmed = [];
    for (const read of reads) this.#refuseRead(read);
  }

  #applyAll(entries: readonly Entry[]): void {
    assert(
      !this.loading,
      () => `range ${this.rangeId}: entry ${entries[0]!.index} to apply while a snapshot is loaded`,
    );
    for (const entry of entries) this.#apply(entry);
    this.node.applied(this.machine.appliedIndex);
  }

  #apply(entry: Entry): void {
    const { machine } = this;
    let accepted = true;
    if (entry.kind === "configuration") machine.configuration = this.node.applyConfigurationChange(entry);
    else if (entry.data.length > 0) accepted = this.#applyCommands(entry);
    machine.noteApplied(entry);
    if (this.#leaderTerm === 0) return;
    if (entry.term === this.#leaderTerm) this.#canEvaluate = true;
    this.#answer(entry.index, entry.term, accepted);
  }

  #applyCommands(entry: Entry): boolean {
    try {
      return this.machine.applyCommands(entry);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      throw new InvariantError(
        `range ${this.rangeId}: entry ${entry.index} of term ${entry.term} cannot be read: ${error.message}`,
      );
    }
  }

  #answer(index: number, term: Term, accepted: boolean): void {
    const pending = this.#pending[this.#pendingAt];
    if (pending === undefined || pending.index > index) return;
    if (pending.index !== index || pending.term !== term) {
      throw new InvariantError(
        `range ${this.rangeId}: applied ${index} of term ${term}, waiting for ${pending.index} of ${pending.term}`,
      );
    }
    this.#pendingAt++;
    if (this.#pendingAt === this.#pending.length) {
      this.#pending = [];
      this.#pendingAt = 0;
    } else if (this.#pendingAt >= 1024) {
      this.#pending.splice(0, this.#pendingAt);
      this.#pendingAt = 0;
    }
    const { counters } = this.#host;
    counters.commandsApplied += pending.commands;
    this.writes += pending.commands;
    const seen = this.machine.lastVersion;
    for (const answer of pending.answers) {
      if (answer.connection.closed) continue;
      if (accepted) {
        for (const { at, session } of answer.repeated) {
          const { number } = answer.results[at]!;
          answer.results[at] = repeatedResult(number, session.numbers.get(number));
        }
        answer.connection.answerCommands(answer.batchId, seen, answer.results);
      } else {
        answer.connection.refuseRouting("commands", answer.batchId, {
          ...this.#host.routingRefusal(this),
          reason: "epoch-mismatch",
        });
      }
    }
  }

  // ---- reads ----

  #startReads(): void {
    const reads = this.#reads.filter((read) => !read.connection.closed);
    this.#reads = [];
    this.#readBytes = 0;
    if (reads.length === 0) return;
    if (this.node.leaseHolds()) {
      this.#confirmed.push({ index: this.node.commit, reads });
      this.#serveConfirmed();
      return;
    }
    const context = this.#host.nextReadContext();
    if (this.node.readIndex(context)) this.#rounds.set(context, reads);
    else for (const read of reads) this.#refuseRead(read);
  }

  #serveConfirmed(): void {
    let served = 0;
    while (served < this.#confirmed.length && this.#confirmed[served]!.index <= this.machine.appliedIndex) {
      this.#host.serveReads(this, this.#confirmed[served]!.reads);
      served++;
    }
    if (served > 0) this.#confirmed.splice(0, served);
  }

  #refuseRead(read: QueuedRead): void {
    const refusal = this.#host.routingRefusal(this);
    if (read.kind === "reads") read.connection.refuseRouting("reads", read.batch.batchId, refusal);
    else read.connection.refuseRouting("scan", read.request.scanId, refusal);
  }
}

function repeatedResult(
  number: number,
  known: { readonly status: number; readonly version: number; readonly existed: boolean } | undefined,
): CommandResult {
  if (known?.status === statusApplied) {
    return {
      number,
      status: "applied",
      version: version(known.version),
      existed: known.existed,
      code: undefined,
      message: "",
    };
  }
  if (known?.status === statusConditionFailed) {
    return {
      number,
      status: "condition-failed",
      version: version(known.version),
      existed: known.existed,
      code: undefined,
      message: "",
    };
  }
  // Dropped by a floor that came with a later entry: nobody waits for this answer any more.
  return {
    number,
    status: "unknown",
    version: noVersion,
    existed: false,
    code: "OutcomeUnknown",
    message: "the command was settled by its client",
  };
}
