/**
 * What a replica does while it leads, in one term (thesis §3.5, §3.10, §6.4). It is made when the replica becomes leader
 * and dropped when it steps down, so nothing in it outlives the term.
 *
 * Whatever a step causes is only noted; `flush`, called by `ready()`, turns it into messages. So one append carries all
 * proposals of a turn and the newest commit index, and one round of heartbeats serves all its reads.
 */
import { noReplica } from "@flotilla/base";
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import { changeConfiguration } from "./changer.ts";
import type { SnapshotLabel } from "./configuration.ts";
import { encodeConfigurationChange } from "./configuration-change.ts";
import type { EntryKind } from "./entry.ts";
import { noEntries } from "./group-log.ts";
import { LeaderLease } from "./lease.ts";
import type { AppendResponse, HeartbeatResponse } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { ConfigurationChange, Proposed } from "./raw-node-api.ts";
import { ReadRounds } from "./read-rounds.ts";
import type { ReplicaParts } from "./replica-parts.ts";
import { UncommittedTail } from "./uncommitted-tail.ts";

const noData: Uint8Array = new Uint8Array(0);
const noContext: Uint8Array = noData;

const busy: Proposed = { ok: false, reason: "busy" };
const transferring: Proposed = { ok: false, reason: "transferring" };
const pending: Proposed = { ok: false, reason: "configuration-pending" };
const invalid: Proposed = { ok: false, reason: "invalid" };
const notLeader: Proposed = { ok: false, reason: "not-leader" };

export class Leadership {
  readonly #parts: ReplicaParts;
  readonly #term: Term;
  /** Index of the leader's first entry: everything from here on is of its own term. */
  readonly #termStart: LogIndex;
  readonly #uncommitted: UncommittedTail;
  readonly #rounds = new ReadRounds();
  readonly #lease: LeaderLease;
  /** Ticks since the last heartbeats; < heartbeatTicks. */
  #heartbeatElapsed = 0;
  /** Ticks since the last quorum check; < electionTicksMin. */
  #quorumElapsed = 0;
  /** Ticks since the transfer began; < electionTicksMin, 0 without a transfer. */
  #transferElapsed = 0;
  /** To whom leadership is being transferred; proposals are refused meanwhile. */
  #transferee: ReplicaId = noReplica;
  /** No configuration change is proposed before everything up to here is applied. */
  #pendingConfigurationIndex: LogIndex;
  /** `flush` has appends to consider. */
  #appendsOwed = false;
  /** `flush` must start a round of heartbeats. */
  #roundOwed = false;

  constructor(parts: ReplicaParts, term: Term) {
    const { log, members, options, id } = parts;
    this.#parts = parts;
    this.#term = term;
    this.#uncommitted = new UncommittedTail(options.uncommittedBytesMax);
    this.#lease = new LeaderLease(parts.clock, options.leaseMs);
    for (const progress of members.all) progress.restart(log.lastIndex);
    const self = members.get(id);
    if (self !== undefined) {
      self.match = log.persisted;
      self.becomeReplicate();
    }
    // Every configuration entry that the log may hold is at or below this.
    this.#pendingConfigurationIndex = log.lastIndex;
    this.#termStart = (log.lastIndex + 1) as LogIndex;
    this.#append("normal", noData);
    this.#roundOwed = parts.variant.batched;
  }

  get transferee(): ReplicaId {
    return this.#transferee;
  }

  get leaseUntilMs(): number {
    return this.#lease.untilMs;
  }

  /** Design rule: a new leader serves nothing before an entry of its own term is committed. */
  get committedInTerm(): boolean {
    return this.#parts.log.commit >= this.#termStart;
  }

  get owesMessages(): boolean {
    return this.#appendsOwed || this.#roundOwed;
  }

  // Proposals.

  propose(data: Uint8Array): Proposed {
    if (!this.#parts.members.isMember(this.#parts.id)) return notLeader;
    if (this.#transferee !== noReplica) return transferring;
    if (!this.#uncommitted.hasRoomFor(data.length)) return busy;
    const index = this.#append("normal", data);
    return { ok: true, index, term: this.#term };
  }

  proposeConfigurationChange(change: ConfigurationChange): Proposed {
    const { log, members, variant, id } = this.#parts;
    if (!members.isMember(id)) return notLeader;
    if (this.#transferee !== noReplica) return transferring;
    if (variant.configurationChanges !== "unchecked") {
      // Thesis §4.1 and the erratum of 2015: only one at a time, and not before an own entry is committed (hazard B1).
      if (log.applied < this.#pendingConfigurationIndex) return pending;
      if (variant.configurationChanges === "after-own-commit" && !this.committedInTerm) return pending;
      const changed = changeConfiguration(members.configuration, members.progress, change, log.lastIndex);
      if (!changed.ok) return changed.reason === "already-joint" ? pending : invalid;
    }
    const data = encodeConfigurationChange(change);
    if (!this.#uncommitted.hasRoomFor(data.length)) return busy;
    const index = this.#append("configuration", data);
    this.#pendingConfigurationIndex = index;
    return { ok: true, index, term: this.#term };
  }

  #append(kind: EntryKind, data: Uint8Array): LogIndex {
    const { log } = this.#parts;
    const index = (log.lastIndex + 1) as LogIndex;
    log.push({ index, term: this.#term, kind, data });
    this.#uncommitted.add(index, data.length);
    this.#oweAll();
    return index;
  }

  /**
   * Leaves a joint configuration that is to be left by itself, as soon as it is applied; also one that an earlier leader
   * entered (hazard B4). Asked after each apply and each tick, so that a refusal is made good later.
   */
  leaveJointWhenDue(): void {
    const { log, members } = this.#parts;
    if (!members.configuration.autoLeave || this.#transferee !== noReplica) return;
    if (log.applied < this.#pendingConfigurationIndex || !this.committedInTerm) return;
    const leave: ConfigurationChange = { changes: [], transition: "auto", context: noContext };
    this.#pendingConfigurationIndex = this.#append("configuration", encodeConfigurationChange(leave));
  }

  // Time.

  /** False: no majority was heard for an election timeout, the leader must step down. */
  tick(): boolean {
    const { options, variant, members, id } = this.#parts;
    this.#quorumElapsed++;
    if (this.#quorumElapsed >= options.electionTicksMin) {
      this.#quorumElapsed = 0;
      if (variant.checkQuorum && !members.takeQuorumActive(id)) return false;
    }
    if (this.#transferee !== noReplica && ++this.#transferElapsed >= options.electionTicksMin) this.abortTransfer();
    this.#heartbeatElapsed++;
    if (this.#heartbeatElapsed >= options.heartbeatTicks) {
      this.#heartbeatElapsed = 0;
      if (variant.batched) this.#roundOwed = true;
      else this.#startRound();
      if (members.configuration.autoLeave) this.leaveJointWhenDue();
    }
    return true;
  }

  /**
   * Ticks may stop: nothing is under way, and every member that `isAlive` has the whole log and was heard; those are a
   * majority. The others are told, and from here on there is no lease. False: something is still to be done.
   */
  rest(isAlive: (id: ReplicaId) => boolean): boolean {
    const { log, members, id } = this.#parts;
    const { votersOutgoing, voters } = members.configuration;
    if (this.#transferee !== noReplica || this.owesMessages || votersOutgoing.length > 0 || !this.#rounds.idle)
      return false;
    if (!this.committedInTerm || !log.quiet || !members.isVoter(id)) return false;
    let level = 0;
    for (const progress of members.all) {
      if (progress.id !== id && !isAlive(progress.id)) continue;
      if (progress.id !== id && !isLevel(progress, log.lastIndex)) return false;
      if (!progress.learner) level++;
    }
    if (level * 2 <= voters.length) return false;
    this.#lease.restart();
    for (const progress of members.all) if (progress.id !== id) this.#sendHeartbeat(progress, 0, 0, true);
    return true;
  }

  wake(): void {
    this.#heartbeatElapsed = 0;
    this.#quorumElapsed = 0;
    for (const progress of this.#parts.members.all) {
      progress.recentActive = false;
      progress.activeBefore = false;
    }
    this.#lease.restart();
    this.#roundOwed = true;
  }

  // Reads.

  readIndex(context: number): boolean {
    const { log, variant } = this.#parts;
    if (!this.committedInTerm) return false;
    if (!this.#rounds.add(context, log.commit)) return false;
    if (variant.batched) this.#roundOwed = true;
    else this.#startRound();
    return true;
  }

  leaseHolds(): boolean {
    return this.committedInTerm && this.#lease.holds();
  }

  suspendLease(suspended: boolean): void {
    this.#lease.suspend(suspended);
    if (!suspended) this.#roundOwed = true;
  }

  #startRound(): void {
    const { members, id, options } = this.#parts;
    const round = this.#rounds.start();
    const leaseMs = options.leaseMs > 0 ? this.#lease.roundStarts(round) : 0;
    for (const progress of members.all) {
      if (progress.id === id) {
        progress.ackedRound = round;
        if (leaseMs > 0) progress.ackedLeaseRound = round;
        continue;
      }
      this.#sendHeartbeat(progress, round, leaseMs, false);
    }
    this.#confirmRounds();
  }

  #sendHeartbeat(progress: Progress, context: number, leaseMs: number, rests: boolean): void {
    const { log, outbox, id, variant } = this.#parts;
    const known = progress.match < log.commit ? progress.match : log.commit;
    const commit = variant.batched ? log.commit : known;
    const commitTerm = log.term(commit) ?? (0 as Term);
    const to = progress.id;
    const term = this.#term;
    outbox.send({ type: "heartbeat", from: id, to, term, commit, commitTerm, context, leaseMs, rests });
    progress.sentCommit = known;
  }

  #confirmRounds(): void {
    const { members, options, outbox } = this.#parts;
    // A configuration without voters reaches everything; no round beyond the last has started.
    this.#rounds.confirm(Math.min(members.reached("ackedRound"), this.#rounds.round), outbox);
    if (options.leaseMs > 0) this.#lease.confirmed(members.reached("ackedLeaseRound"));
  }

  // Transfer of leadership (thesis §3.10).

  transfer(to: ReplicaId): boolean {
    const { log, members, id } = this.#parts;
    const progress = members.get(to);
    // Who is no voter of the incoming configuration could not stay leader.
    if (to === id || progress === undefined || !members.configuration.voters.includes(to)) return false;
    if (this.#transferee === to) return true;
    this.#transferee = to;
    this.#transferElapsed = 0;
    if (progress.match === log.lastIndex) this.#sendTimeoutNow(to);
    else this.#owe(progress);
    return true;
  }

  abortTransfer(): void {
    this.#transferee = noReplica;
    this.#transferElapsed = 0;
  }

  #sendTimeoutNow(to: ReplicaId): void {
    // The order may arrive at any later time and its campaign passes every promise, so there is no lease behind it.
    this.#lease.forfeit();
    this.#parts.outbox.send({ type: "timeout-now", from: this.#parts.id, to, term: this.#term });
  }

  // What others report.

  /** The leader's own log has become durable further than before: only now it counts itself (hazard A4). */
  persisted(): void {
    const self = this.#parts.members.get(this.#parts.id);
    if (self === undefined || !self.accepted(this.#parts.log.persisted)) return;
    this.#advanceCommit();
  }

  onAppendResponse(progress: Progress, message: AppendResponse): void {
    const { log } = this.#parts;
    progress.recentActive = true;
    if (message.reject) {
      this.#onRejected(progress, message);
      return;
    }
    // Nobody can hold more than the leader; such an answer is not one to this leader's log.
    if (message.index > log.lastIndex) return;
    const news = progress.accepted(message.index);
    if (!news && !(progress.match === message.index && progress.state === "probe")) return;
    if (progress.state === "probe") {
      progress.becomeReplicate();
    } else if (progress.state === "snapshot") {
      // Whatever snapshot it was: what comes next is in the log again.
      if (progress.match + 1 >= log.firstIndex()) progress.becomeReplicate();
    } else {
      progress.inflights.freeUpTo(message.index);
    }
    if (!this.#advanceCommit() && progress.canBumpCommit(log.commit)) this.#owe(progress);
    this.#oweEntries(progress);
    if (progress.id === this.#transferee && progress.match === log.lastIndex) this.#sendTimeoutNow(progress.id);
  }

  #onRejected(progress: Progress, message: AppendResponse): void {
    const { log } = this.#parts;
    let hint = message.hintIndex;
    if (message.hintTerm > 0 && hint <= log.lastIndex) {
      // The other way round of the follower's own skip: all of the leader's terms that the follower cannot have.
      hint = log.findConflictByTerm(hint, message.hintTerm);
    }
    if (!progress.refused(message.index, hint)) return;
    if (progress.state === "replicate") progress.becomeProbe(0 as LogIndex);
    this.#owe(progress);
  }

  onHeartbeatResponse(progress: Progress, message: HeartbeatResponse): void {
    progress.recentActive = true;
    // A sign of life: whatever filled the window may have been lost, so one append may try again (hazard A15).
    progress.flowPaused = false;
    if (progress.match < this.#parts.log.lastIndex || progress.state === "probe") this.#owe(progress);
    const round = message.context;
    if (round > this.#rounds.round || round < 1) return;
    let news = false;
    if (round > progress.ackedRound) {
      progress.ackedRound = round;
      news = true;
    }
    if (round > progress.ackedLeaseRound && this.#lease.granted(round)) {
      progress.ackedLeaseRound = round;
      news = true;
    }
    if (news) this.#confirmRounds();
  }

  reportUnreachable(progress: Progress): void {
    if (progress.state === "replicate") progress.becomeProbe(0 as LogIndex);
  }

  reportSnapshot(progress: Progress, label: SnapshotLabel, ok: boolean): void {
    if (progress.state !== "snapshot") return;
    progress.becomeProbe(ok ? label.index : (0 as LogIndex));
    // The follower's own acknowledgement, or else the next heartbeat's answer, opens the way again.
    progress.flowPaused = true;
  }

  /** The configuration in force is another, and the leader is still part of it. */
  configurationChanged(): void {
    const { members, variant } = this.#parts;
    // Acknowledgements under the old configuration say nothing about majorities of the new one.
    for (const progress of members.all) progress.ackedLeaseRound = 0;
    this.#lease.restart();
    if (variant.batched) this.#roundOwed = true;
    if (this.#transferee !== noReplica && !members.configuration.voters.includes(this.#transferee))
      this.abortTransfer();
    // A smaller quorum may have been reached already (hazard B12).
    if (!this.#advanceCommit()) for (const progress of members.all) this.#oweEntries(progress);
    this.#confirmRounds();
  }

  // Commit.

  /** Raft paper §5.4.2: only an entry of the own term is committed by counting; all before it with it (hazard A3). */
  #advanceCommit(): boolean {
    const { log, members } = this.#parts;
    const reached = members.reached("match") as LogIndex;
    if (reached < this.#termStart || reached > log.lastIndex || !log.commitTo(reached)) return false;
    this.#uncommitted.committed(reached);
    this.#oweAll();
    return true;
  }

  // Appends.

  /** An append is owed to the follower, if need be an empty one. */
  #owe(progress: Progress): void {
    if (progress.id === this.#parts.id) return;
    if (this.#parts.variant.batched) {
      progress.appendOwed = true;
      this.#appendsOwed = true;
    } else {
      this.#sendAppend(progress, true);
    }
  }

  /** Entries are owed to the follower, if there are any it has not been sent. */
  #oweEntries(progress: Progress): void {
    if (progress.id === this.#parts.id) return;
    if (this.#parts.variant.batched) this.#appendsOwed = true;
    else while (this.#sendAppend(progress, false));
  }

  #oweAll(): void {
    if (this.#parts.variant.batched) {
      this.#appendsOwed = true;
      return;
    }
    for (const progress of this.#parts.members.all) this.#owe(progress);
  }

  /** Turns everything owed into messages. Bounded by the followers' windows. */
  flush(): void {
    if (this.#appendsOwed) {
      this.#appendsOwed = false;
      for (const progress of this.#parts.members.all) {
        if (progress.id !== this.#parts.id) this.#flushTo(progress);
      }
    }
    if (this.#roundOwed) {
      this.#roundOwed = false;
      this.#startRound();
    }
  }

  #flushTo(progress: Progress): void {
    const { log } = this.#parts;
    let sent = false;
    if (progress.next <= log.lastIndex) while (this.#sendAppend(progress, false)) sent = true;
    if (progress.appendOwed) {
      progress.appendOwed = false;
      if (!sent) sent = this.#sendAppend(progress, true);
    }
    if (!sent && !this.#roundOwed) this.#noteCommit(progress);
  }

  /** A commit index alone travels as a heartbeat that wants no answer, not as an empty append that does. */
  #noteCommit(progress: Progress): void {
    const { log } = this.#parts;
    const known = progress.match < log.commit ? progress.match : log.commit;
    if (known > progress.sentCommit) this.#sendHeartbeat(progress, 0, 0, false);
  }

  /** One append, or the order for a snapshot. False: nothing left. */
  #sendAppend(progress: Progress, evenIfEmpty: boolean): boolean {
    if (progress.paused) return false;
    const { log, outbox, options, id } = this.#parts;
    const prevIndex = (progress.next - 1) as LogIndex;
    const prevTerm = log.term(prevIndex);
    if (prevTerm === undefined) return this.#orderSnapshot(progress);
    // A full window still lets an empty append through after a sign of life: if all messages in it were lost, its answer
    // is what frees it.
    const entries =
      progress.state === "replicate" && progress.inflights.full
        ? noEntries
        : log.entriesFrom(progress.next, options.appendBytesMax);
    if (entries.length === 0 && !evenIfEmpty) return false;
    let bytes = 0;
    for (let i = 0; i < entries.length; i++) bytes += entries[i]!.data.length;
    const commit = log.commit;
    outbox.send({ type: "append", from: id, to: progress.id, term: this.#term, prevIndex, prevTerm, entries, commit });
    progress.sentEntries(entries.length, bytes);
    progress.sentCommit = commit;
    return true;
  }

  #orderSnapshot(progress: Progress): boolean {
    // Nobody streams a snapshot to a store that does not answer.
    if (!progress.recentActive) return false;
    const { log, members, outbox, id } = this.#parts;
    const index = log.applied;
    const term = log.term(index);
    if (term === undefined) return false;
    const label: SnapshotLabel = { index, term, configuration: members.configuration };
    progress.becomeSnapshot(index);
    outbox.send({ type: "snapshot", from: id, to: progress.id, term: this.#term, label });
    return true;
  }
}

const isLevel = ({ match, state, recentActive, activeBefore }: Progress, lastIndex: LogIndex): boolean =>
  state === "replicate" && match === lastIndex && (recentActive || activeBefore);
