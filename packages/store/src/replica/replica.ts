/**
 * One range's member on this store: its Raft state machine, its records, what its clients wait for. Everything is a step
 * of the store's round (store-round.ts); nothing here has a timer or a promise of its own.
 */
import { assert, noTerm, noVersion, rangeId, version } from "@flotilla/base";
import type { LogIndex, RangeDescriptor, RangeId, ReplicaId, StoreId, Term, Version } from "@flotilla/base";
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
import { CommandQueue, isAdmitted } from "./command-queue.ts";
import { decodedEntry } from "./decoded-entry.ts";
import { entryKindOf } from "./entry-format.ts";
import type { EntryKind } from "./entry-format.ts";
import { Evaluator } from "./evaluator.ts";
import type { QueuedBatch } from "./evaluator.ts";
import { configurationChange, isMember, memberChangeRefusal, placesIn, sameMembers } from "./member-change.ts";
import type { MemberChange } from "./member-change.ts";
import { PendingAnswers, answerApplied, answerFallen, answerNotTaken } from "./pending-answers.ts";
import type { BatchAnswer, EntryOutcome } from "./pending-answers.ts";
import type { ReplicaHost } from "./replica-host.ts";
import { RangeLoad } from "../load/range-load.ts";
import type { RoutingRefusal } from "../clients/client-connection.ts";
import { ReplicaSleep } from "./replica-sleep.ts";
import { ReadQueue, refuseRead } from "./read-queue.ts";
import type { QueuedRead } from "./read-queue.ts";
import { encodeRecordsEntry, isBarrier } from "./records-entry.ts";
import type { RecordChange } from "./records-entry.ts";
import { decodeMergeEntry } from "./merge-entry.ts";
import type { MergeEntry } from "./merge-entry.ts";
import { applyMergeStep, mergeRefusal } from "./merge-machine.ts";
import { encodeReshape, reshapeRefusal } from "./reshape.ts";
import type { Reshape } from "./reshape.ts";
import { decodeSplit } from "./split-entry.ts";
import type { SplitEntry } from "./split-entry.ts";
import { splitMachine, splitRefusal } from "./split-machine.ts";
import type { StateMachine } from "./state-machine.ts";
import { Strangers } from "./strangers.ts";
import { versionAt } from "./session-table.ts";

/** Lost: not in force as far as is known; it may come into force as long as no entry of a later term is applied. */
export type RecordsOutcome = "applied" | "lost";

export class Replica {
  readonly rangeId: RangeId;
  readonly replicaId: ReplicaId;
  readonly machine: StateMachine;
  readonly node: RawNode;
  /** True while the host has it on its list for this round. */
  dirty = false;
  /** A range snapshot is being loaded into the engine: Raft hands out nothing to apply meanwhile. */
  loading = false;
  /** As that range snapshot has the range: after a merge it may have more keys than the replica here. */
  incoming: RangeDescriptor | undefined = undefined;
  /** An applied configuration has it as a member no more: it applies nothing behind that. */
  removed = false;
  /** Its group has lost its majority for good: it takes part in nothing, and applies to the end what its log has. */
  recovering = false;
  /** Taken out of the store: it takes no step and answers nobody. */
  retired = false;
  /** Leader, and the no-op of its own term is applied. */
  #canEvaluate = false;
  /** The term to which pending records, answers and reads belong; 0 = not leader. */
  #leaderTerm: Term = noTerm;
  /** Highest version given in this term. */
  #assigned: Version = noVersion;
  readonly #commands: CommandQueue;
  readonly #answers: PendingAnswers;
  readonly #reads: ReadQueue;
  /** A `Reshape` is proposed and neither applied nor lost: nothing is evaluated meanwhile, and there is no lease. */
  #reshaping = false;
  #changingMembers = false;
  readonly #strangers = new Strangers();
  #lastRole: Role = "follower";
  /** Called once, when the next entry without records is applied: the same moment on every replica. */
  atBarrier: (() => void) | undefined = undefined;
  readonly load: RangeLoad = new RangeLoad();
  readonly sleep: ReplicaSleep;
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
    const { environment, settings } = host;
    this.#commands = new CommandQueue(settings.uncommittedBytesMax);
    this.#answers = new PendingAnswers(this.rangeId);
    this.#reads = new ReadQueue(settings.uncommittedBytesMax);
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
    this.sleep = new ReplicaSleep(this, host, () => this.#takeReady());
  }

  /** Nothing waits here, and nothing is being changed. */
  get idle(): boolean {
    if (this.removed || this.retired || this.recovering || this.loading || this.atBarrier !== undefined) return false;
    if (this.dirty || this.sealed || this.#reshaping || this.configurationPending) return false;
    if (this.#leaderTerm === 0) return true;
    return this.#canEvaluate && this.#commands.length === 0 && !this.#reads.waiting && this.#answers.empty;
  }

  get descriptor(): RangeDescriptor {
    return this.machine.descriptor;
  }

  /** Undefined while a range snapshot is loaded: what the engine has of the range then is neither old nor new. */
  get wholeMachine(): StateMachine | undefined {
    return this.loading ? undefined : this.machine;
  }

  get leads(): boolean {
    return this.#leaderTerm !== 0;
  }

  /** Leads and may evaluate and read. */
  get serves(): boolean {
    return this.#canEvaluate;
  }

  get pendingCommands(): number {
    return this.#answers.commands;
  }

  get leaderStore(): StoreId {
    return this.storeOf(this.node.leader);
  }

  storeOf(replica: ReplicaId): StoreId {
    for (const member of this.descriptor.replicas) if (member.replicaId === replica) return member.storeId;
    return this.#strangers.storeOf(replica);
  }

  isMember(replica: ReplicaId): boolean {
    return this.descriptor.replicas.some((member) => member.replicaId === replica);
  }

  /** Where a sender lives: a member that this replica has not heard of yet may lead, and wants answers. */
  noteStore(replica: ReplicaId, store: StoreId): void {
    if (!this.isMember(replica)) this.#strangers.note(replica, store);
  }

  replicaOn(store: StoreId): ReplicaId | undefined {
    return this.descriptor.replicas.find((member) => member.storeId === store)?.replicaId;
  }

  // ---- what arrives ----

  tick(): void {
    if (this.recovering || this.sleep.asleep || this.sleep.leaderRests()) return;
    this.node.tick();
    if (this.node.hasReady()) this.#host.markDirty(this);
  }

  step(message: Message): void {
    if (this.removed || this.recovering) return;
    this.load.noteMessage(message);
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

  /** A change of members is proposed and not applied, or joint and not left. */
  get configurationPending(): boolean {
    return this.#changingMembers || this.machine.configuration.votersOutgoing.length > 0;
  }

  /**
   * Proposes a change of members; why not, or undefined when it is proposed. Settled as applied when it is in force here
   * (joint, when it needs that: it is left by itself).
   */
  proposeMembers(change: MemberChange, settle: (outcome: EntryOutcome) => void): string | undefined {
    if (!this.#canEvaluate) return `this replica of range ${this.rangeId} does not lead it`;
    if (this.#reshaping) return `range ${this.rangeId} is being split or merged`;
    if (this.sealed) return `range ${this.rangeId} is sealed`;
    const refusal = memberChangeRefusal(this.descriptor, change);
    if (refusal !== undefined) return refusal;
    const proposed = this.node.proposeConfigurationChange(this.#leaderTerm, configurationChange(change));
    if (!proposed.ok) return `range ${this.rangeId} does not take the change: ${proposed.reason}`;
    this.#changingMembers = true;
    this.#noteOwn(proposed.index, proposed.term, (outcome) => {
      this.#changingMembers = false;
      settle(outcome);
    });
    return undefined;
  }

  /** See `RangeRecovery`. Not for a leader or a candidate. */
  takeWholeLog(): void {
    this.recovering = true;
    this.node.commitTail();
    this.#host.markDirty(this);
  }

  /** Out of the store: what waits here is sent elsewhere, and no step follows. */
  retire(refusal?: RoutingRefusal): void {
    if (this.#leaderTerm !== 0) this.#stepDown(refusal);
    this.retired = true;
  }

  /** Waits for its left neighbour to take it in: it answers nobody meanwhile (rule: merge). */
  get sealed(): boolean {
    return this.machine.sealed !== undefined;
  }

  /**
   * Another range's log proves that the entry of that index and term is committed here: everything up to it is applied now.
   * False when that cannot be.
   */
  applyUpTo(index: LogIndex, term: Term): boolean {
    if (this.loading || !this.node.learnCommitted(index, term)) return false;
    this.#noteRole();
    this.#takeReady();
    return this.machine.appliedIndex >= index;
  }

  submit(queued: QueuedBatch): void {
    this.sleep.noteUse();
    if (this.node.role !== "leader") {
      queued.connection.refuseRouting("commands", queued.batch.batchId, this.#host.routingRefusal(this));
      return;
    }
    if (!this.#commands.add(queued)) {
      const message = `range ${this.rangeId} has too many batches waiting`;
      queued.connection.refuse("commands", queued.batch.batchId, "Busy", message, 50);
      return;
    }
    this.#host.markDirty(this);
  }

  read(queued: QueuedRead): void {
    this.sleep.noteUse();
    if (this.node.role !== "leader") return refuseRead(queued, this.#host.routingRefusal(this));
    if (!this.#reads.add(queued)) {
      const id = queued.kind === "reads" ? queued.batch.batchId : queued.request.scanId;
      queued.connection.refuse(queued.kind, id, "Busy", `range ${this.rangeId} has too many reads waiting`, 50);
      return;
    }
    this.#host.markDirty(this);
  }

  // ---- the round ----

  /** Evaluates what is queued and starts read rounds, then hands out everything Raft has ready. */
  round(): void {
    if (this.retired) return;
    this.sleep.wake();
    this.#noteRole();
    if (this.#canEvaluate) {
      if (this.#evaluable) this.#evaluate();
      if (this.#readable) this.#startReads();
    }
    this.#takeReady();
    if (this.removed) return this.#host.onRemoved(this);
    if (this.#canEvaluate && (this.#evaluable || this.#readable)) this.#host.markDirty(this);
    this.sleep.followerRests();
  }

  #takeReady(): void {
    while (!this.removed && !this.retired && this.node.hasReady()) this.#ready(this.node.ready());
  }

  get #evaluable(): boolean {
    return this.#commands.length > 0 && !this.#reshaping && !this.sealed && this.#host.pace.open;
  }

  /** A read that is confirmed behind the seal could miss what its left neighbour has written to these keys. */
  get #readable(): boolean {
    return this.#reads.startable && !this.sealed;
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
    for (const { context, index } of ready.readStates) this.#reads.confirmRound(context, index);
    this.#serveConfirmed();
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
    this.incoming = undefined;
    this.node.applied(this.machine.appliedIndex);
    this.#host.markDirty(this);
  }

  // ---- writes ----

  #evaluate(): void {
    const { node, machine } = this;
    const commands = this.#commands;
    const now = versionAt(this.#host.environment.clock.wallMs());
    commands.admit((queued) => isAdmitted(queued, now, this.descriptor, () => this.#host.epochMismatch(this)));
    while (commands.length > 0) {
      let first = Math.max(now, this.#assigned + 1, machine.lastVersion + 1);
      for (const { batch } of commands.batches) if (batch.seen >= first) first = batch.seen + 1;
      const evaluated = this.#evaluator.evaluate(
        commands.batches,
        this.#host.settings.entryTargetBytes,
        node.lastIndex + 1,
        version(first),
      );
      if (evaluated !== undefined) {
        const proposed = node.propose(this.#leaderTerm, evaluated.data);
        if (!proposed.ok) {
          this.#evaluator.undo();
          this.#notTaken(evaluated.answers, proposed.reason);
        } else {
          this.#assigned = evaluated.lastVersion;
          const { index, term } = proposed;
          this.#answers.add({ index, term, answers: evaluated.answers, commands: evaluated.commands });
          this.#host.counters.entriesProposed++;
          this.#host.pace.spend(evaluated.data.length);
        }
      }
      commands.dropDone();
    }
  }

  /**
   * For the placement driver, which alone writes to the meta range: one entry with all of them, in the term that it began
   * its office in. Lost also when it was not taken at all; what is true then, the range says in its next term, or now if
   * this store still leads it.
   */
  proposeRecords(term: Term, changes: readonly RecordChange[]): Promise<RecordsOutcome> {
    if (!this.#canEvaluate || this.#leaderTerm !== term) return Promise.resolve("lost");
    const { environment } = this.#host;
    const now = versionAt(environment.clock.wallMs());
    const given = version(Math.max(now, this.#assigned + 1, this.machine.lastVersion + 1));
    const data = encodeRecordsEntry(changes, this.descriptor.epoch.bounds, given, environment.bytes);
    return new Promise((resolve) => {
      const settle = (outcome: EntryOutcome): void => resolve(outcome === "applied" ? "applied" : "lost");
      const refusal = this.#proposeOwn(data, settle, () => {
        this.#assigned = given;
      });
      if (refusal !== undefined) resolve("lost");
    });
  }

  #notTaken(answers: readonly BatchAnswer[], reason: string): void {
    const message =
      reason === "busy"
        ? `range ${this.rangeId} has too many bytes not yet committed`
        : `range ${this.rangeId}: ${reason}`;
    this.#host.counters.commandsRefused += answerNotTaken(answers, message, this.machine.lastVersion);
  }

  // ---- entries of the store itself ----

  /**
   * Changes which keys the range has or whether it serves them, as the leader; why not, or undefined when it is proposed.
   * Until that is settled no command is evaluated and no lease is used or renewed (rule: bounds at the data).
   */
  proposeReshape(reshape: Reshape, settle: (outcome: EntryOutcome) => void): string | undefined {
    if (!this.#canEvaluate) return `this replica of range ${this.rangeId} does not lead it`;
    if (this.#reshaping) return `range ${this.rangeId} is being split or merged already`;
    if (this.configurationPending) return `range ${this.rangeId} is changing its members`;
    const refusal = reshapeRefusal(this.machine, reshape);
    if (refusal !== undefined) return refusal;
    return this.#proposeOwn(
      encodeReshape(reshape, this.#host.environment.bytes),
      (outcome) => {
        this.#reshaping = false;
        this.node.suspendLease(false);
        settle(outcome);
      },
      () => {
        this.#reshaping = true;
        this.node.suspendLease(true);
      },
    );
  }

  #proposeOwn(data: Uint8Array, settle: (outcome: EntryOutcome) => void, onProposed: () => void): string | undefined {
    const proposed = this.node.propose(this.#leaderTerm, data);
    if (!proposed.ok) return `range ${this.rangeId} does not take the entry: ${proposed.reason}`;
    onProposed();
    this.#noteOwn(proposed.index, proposed.term, settle);
    return undefined;
  }

  #noteOwn(index: LogIndex, term: Term, settle: (outcome: EntryOutcome) => void): void {
    this.#answers.add({ index, term, answers: [], commands: 0, settle });
    this.#host.counters.entriesProposed++;
    this.#host.markDirty(this);
  }

  #stepDown(refusal: RoutingRefusal = this.#host.routingRefusal(this)): void {
    this.#leaderTerm = noTerm;
    this.#canEvaluate = false;
    this.#assigned = noVersion;
    this.machine.memtable.pending.clear();
    this.machine.sessions.dropPending();
    const { lastVersion } = this.machine;
    this.#answers.answerUnknown(lastVersion);
    this.#commands.refuseAll(refusal, lastVersion);
    for (const read of this.#reads.takeAll()) refuseRead(read, refusal);
  }

  #applyAll(entries: readonly Entry[]): void {
    assert(
      !this.loading,
      () => `range ${this.rangeId}: entry ${entries[0]!.index} to apply while a snapshot is loaded`,
    );
    for (const entry of entries) {
      this.#apply(entry);
      if (this.removed) break;
    }
    this.node.applied(this.machine.appliedIndex);
  }

  #apply(entry: Entry): void {
    const { machine } = this;
    let accepted = true;
    if (entry.kind === "configuration") this.#applyConfiguration(entry);
    else if (entry.data.length > 0) accepted = this.#applyData(entry);
    machine.noteApplied(entry);
    if (this.atBarrier !== undefined && isBarrier(entry.data)) this.#passBarrier(this.atBarrier);
    if (this.#leaderTerm === 0) return;
    if (entry.term === this.#leaderTerm) this.#canEvaluate = true;
    this.#answer(entry.index, entry.term, accepted);
  }

  /** The members come from here and from nowhere else (hazard B14); the automatic leave is one of these entries, too. */
  #applyConfiguration(entry: Entry): void {
    const { machine } = this;
    const configuration = this.node.applyConfigurationChange(entry);
    if (!sameMembers(machine.configuration, configuration))
      machine.changeMembers(
        configuration,
        decodedEntry(this.rangeId, entry, () => placesIn(entry)),
      );
    if (!isMember(configuration, this.replicaId)) this.removed = true;
  }

  #passBarrier(pass: () => void): void {
    this.atBarrier = undefined;
    pass();
  }

  /** False when it was evaluated on what is not so any more: then it has no effect. */
  #applyData(entry: Entry): boolean {
    return decodedEntry(this.rangeId, entry, () => this.#applyKind(entry, entryKindOf(entry.data)));
  }

  #applyKind(entry: Entry, kind: EntryKind): boolean {
    const { machine } = this;
    const { bytes } = this.#host.environment;
    switch (kind) {
      case "commands":
        return machine.applyCommands(entry);
      case "records":
        return machine.applyRecords(entry);
      case "split":
        return this.#applySplit(decodeSplit(entry.data, bytes));
      case "seal":
      case "unseal":
      case "cancel":
        return applyMergeStep(machine, kind, entry);
      case "merge":
        return this.#applyMerge(decodeMergeEntry(entry.data, bytes));
      default:
        return kind satisfies never;
    }
  }

  #applySplit(split: SplitEntry): boolean {
    if (splitRefusal(this.machine, split) !== undefined) return false;
    const counterpart = split.replicas.find(({ left }) => left === this.replicaId)?.right;
    assert(counterpart !== undefined, () => `range ${this.rangeId}: replica ${this.replicaId} splits and is no member`);
    this.#host.adoptRightHalf(this, splitMachine(this.machine, split), counterpart);
    return true;
  }

  #applyMerge(merge: MergeEntry): boolean {
    return mergeRefusal(this.machine, merge) === undefined && this.#host.takeIn(this, merge);
  }

  #answer(index: number, term: Term, accepted: boolean): void {
    const pending = this.#answers.take(index, term);
    if (pending === undefined) return;
    pending.settle?.(accepted ? "applied" : "fallen");
    this.#host.counters.commandsApplied += pending.commands;
    this.load.noteAnswered(pending.commands);
    if (accepted) answerApplied(pending.answers, this.machine.lastVersion);
    else answerFallen(pending.answers, this.#host.epochMismatch(this));
  }

  // ---- reads ----

  #startReads(): void {
    const reads = this.#reads.take();
    if (reads.length === 0) return;
    if (this.node.leaseHolds()) {
      this.#reads.confirm(this.node.commit, reads);
      this.#serveConfirmed();
      return;
    }
    const context = this.#host.nextReadContext();
    if (this.node.readIndex(context)) this.#reads.noteRound(context, reads);
    else {
      const refusal = this.#host.routingRefusal(this);
      for (const read of reads) refuseRead(read, refusal);
    }
  }

  #serveConfirmed(): void {
    this.#reads.serve(this.machine.appliedIndex, (reads) => this.#host.serveReads(this, reads));
  }
}
