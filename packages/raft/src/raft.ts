/**
 * One replica as a state machine: roles, terms and votes. What a follower does stands in `follower.ts`, what a leader does in
 * `leadership.ts`. Role, term, vote and the known leader are written by the `become…` methods and nowhere else, except that
 * `#grantVote` writes the vote and `#hear` the leader of the term.
 */
import { assert, noReplica, randomBelow, term as makeTerm } from "@flotilla/base";
import type { LogIndex, RandomSource, ReplicaId, Term } from "@flotilla/base";
import { changeConfiguration } from "./changer.ts";
import type { Configuration } from "./configuration.ts";
import { decodeConfigurationChange } from "./configuration-change.ts";
import type { Entry } from "./entry.ts";
import { Follower, accepted } from "./follower.ts";
import { GroupLog } from "./group-log.ts";
import { Leadership } from "./leadership.ts";
import { VotePromise } from "./lease.ts";
import { Members } from "./members.ts";
import type {
  Append,
  AppendResponse,
  Heartbeat,
  InstallSnapshot,
  Message,
  MessageType,
  TimeoutNow,
  VoteRequest,
  VoteResponse,
} from "./message.ts";
import { Outbox } from "./outbox.ts";
import type { RawNodeDependencies, RawNodeInitialState, RawNodeOptions } from "./raw-node-api.ts";
import type { Persistence, Role } from "./ready.ts";
import type { ReplicaParts } from "./replica-parts.ts";
import type { Variant } from "./variant.ts";

type MessageOf<Type extends MessageType> = Type extends VoteRequest["type"]
  ? VoteRequest
  : Type extends VoteResponse["type"]
    ? VoteResponse
    : Extract<Message, { type: Type }>;

/** A new message type does not compile without a handler. */
type Handlers = { readonly [Type in MessageType]: (raft: Raft, message: MessageOf<Type>) => void };

/** Committed entries are looked through in pages of this many bytes. */
const scanBytesMax = 1024 * 1024;

export class Raft {
  readonly #parts: ReplicaParts;
  readonly #random: RandomSource;
  readonly #promise: VotePromise;
  readonly #follower: Follower;
  #role: Role = "follower";
  /** Never goes back. */
  #term: Term;
  /** For whom this replica voted in #term; 0 = nobody. Once given it stays for the term (hazard A1). */
  #vote: ReplicaId;
  /** Leader of #term as far as known; 0 = unknown. */
  #leader: ReplicaId = noReplica;
  /** Highest term known durable in the local log. ≤ #term */
  #durableTerm: Term;
  /** Present exactly while candidate or pre-candidate: who answered what. */
  #votes: Map<ReplicaId, boolean> | undefined;
  /** Present exactly while leader. */
  #leadership: Leadership | undefined;
  /** Ticks since the leader was heard, a vote was given, or a campaign began. */
  #electionElapsed = 0;
  /** In [electionTicksMin, 2 × electionTicksMin), drawn anew with each term, role and campaign (hazard A18). */
  #electionTimeout = 0;
  /** The log index up to which configuration entries are part of the configuration in force. */
  #configurationIndex: LogIndex;

  constructor(
    options: RawNodeOptions,
    dependencies: RawNodeDependencies,
    initial: RawNodeInitialState,
    variant: Variant,
  ) {
    assert(options.id !== noReplica, "a replica needs an id");
    assert(
      options.electionTicksMin > options.heartbeatTicks && options.heartbeatTicks >= 1,
      () => `election timeout of ${options.electionTicksMin} ticks against heartbeats every ${options.heartbeatTicks}`,
    );
    const log = new GroupLog(dependencies.log, initial.hardState.commit, initial.applied);
    const { inflightMessagesMax, inflightBytesMax } = options;
    this.#parts = {
      id: options.id,
      options,
      variant,
      clock: dependencies.clock,
      log,
      members: new Members(initial.configuration, inflightMessagesMax, inflightBytesMax, log.lastIndex),
      outbox: new Outbox(),
    };
    this.#random = dependencies.random;
    this.#promise = new VotePromise(dependencies.clock, initial.brandNew === true ? 0 : options.leaseMs);
    this.#follower = new Follower(this.#parts, this.#promise);
    this.#term = initial.hardState.term;
    this.#durableTerm = initial.hardState.term;
    this.#vote = initial.hardState.vote;
    this.#configurationIndex = initial.applied;
    // An empty log may begin behind a bootstrap or a snapshot of a term in which nobody here has voted.
    assert(
      log.lastTerm <= this.#term || log.lastIndex < log.firstIndex(),
      () => `the log ends in term ${log.lastTerm}, the hard state in ${this.#term}`,
    );
    this.#drawElectionTimeout();
  }

  get id(): ReplicaId {
    return this.#parts.id;
  }

  get role(): Role {
    return this.#role;
  }

  get term(): Term {
    return this.#term;
  }

  get vote(): ReplicaId {
    return this.#vote;
  }

  get leader(): ReplicaId {
    return this.#leader;
  }

  get log(): GroupLog {
    return this.#parts.log;
  }

  get members(): Members {
    return this.#parts.members;
  }

  get outbox(): Outbox {
    return this.#parts.outbox;
  }

  get leadership(): Leadership | undefined {
    return this.#leadership;
  }

  // Transitions.

  #becomeFollower(term: Term, leader: ReplicaId): void {
    this.#enter("follower", term, leader);
  }

  #becomePreCandidate(): void {
    assert(this.#role !== "leader", "a leader does not campaign");
    // Term and vote stay: a pre-vote promises nothing (thesis §9.6).
    this.#enter("pre-candidate", this.#term, noReplica);
    this.#votes = new Map();
  }

  #becomeCandidate(): void {
    assert(this.#role !== "leader", "a leader does not campaign");
    this.#enter("candidate", makeTerm(this.#term + 1), noReplica);
    this.#vote = this.id;
    this.#votes = new Map();
  }

  #becomeLeader(): void {
    assert(this.#role === "candidate", () => `a ${this.#role} cannot become leader`);
    this.#enter("leader", this.#term, this.id);
    this.#leadership = new Leadership(this.#parts, this.#term);
  }

  #enter(role: Role, term: Term, leader: ReplicaId): void {
    if (term !== this.#term) {
      assert(term > this.#term, () => `term ${term} goes back from ${this.#term}`);
      this.#term = term;
      this.#vote = noReplica;
    }
    this.#role = role;
    this.#leader = leader;
    this.#follower.leaderRests = false;
    this.#votes = undefined;
    this.#leadership = undefined;
    this.#electionElapsed = 0;
    this.#drawElectionTimeout();
  }

  #drawElectionTimeout(): void {
    const ticks = this.#parts.options.electionTicksMin;
    this.#electionTimeout = ticks + randomBelow(this.#random, ticks);
  }

  // Time.

  tick(): void {
    if (this.#leadership !== undefined) {
      if (!this.#leadership.tick()) this.#becomeFollower(this.#term, noReplica);
      return;
    }
    this.#electionElapsed++;
    if (this.#electionElapsed < this.#electionTimeout) return;
    if (!this.members.isVoter(this.id)) {
      this.#rouseLeader();
      this.forgetLeader();
    }
    if (!this.#isPromotable()) return;
    // A promise that is about to end is waited for; whatever else stands in the way is tried again after a timeout.
    if (this.#promise.forbids(this.id)) return;
    this.#electionElapsed = 0;
    this.campaign(false);
  }

  get campaignDue(): boolean {
    if (this.#leadership !== undefined || this.#electionElapsed + 1 < this.#electionTimeout) return false;
    return this.#isPromotable();
  }

  rest(isAlive: (id: ReplicaId) => boolean): boolean {
    const { log } = this;
    if (this.#leadership !== undefined) return this.#leadership.rest(isAlive);
    // Who campaigns, or hears nobody, goes on until it has a leader: so a group without one never rests as a whole.
    if (this.#role !== "follower" || this.#leader === noReplica || !this.#follower.leaderRests) return false;
    return log.quiet && !log.restoring && isAlive(this.#leader);
  }

  wake(): void {
    const { leaderRests } = this.#follower;
    this.#follower.leaderRests = false;
    // What woke it may have been an order to lead: a campaign that has begun keeps the time that it was given.
    if (this.#role === "pre-candidate" || this.#role === "candidate") return;
    // Whose leader is known to be lost has waited long enough: the rest of its timeout only parts it from others.
    this.#electionElapsed = this.#leader === noReplica ? this.#parts.options.electionTicksMin : 0;
    this.#drawElectionTimeout();
    if (this.#leadership !== undefined) this.#leadership.wake();
    else if (leaderRests) this.#rouseLeader();
  }

  /** A sign of life that answers nothing: a leader that rests wakes of it, and its next round reaches everybody. */
  #rouseLeader(): void {
    const { outbox, id } = this.#parts;
    if (this.#role !== "follower" || this.#leader === noReplica) return;
    outbox.send({ type: "heartbeat-response", from: id, to: this.#leader, term: this.#term, context: 0 });
  }

  /** Also of a learner that hears nothing: it never campaigns, and may have been removed without hearing of it. */
  forgetLeader(): void {
    if (this.#role === "follower" && this.#leader !== noReplica) this.#hear(noReplica);
  }

  // Elections.

  /** A voter whose state machine is not behind an accepted snapshot. */
  #isPromotable(): boolean {
    return this.members.isVoter(this.id) && !this.log.restoring;
  }

  campaign(transfer: boolean): void {
    if (this.#role === "leader" || !this.#isPromotable()) return;
    if (!transfer && this.#promise.forbids(this.id)) return;
    // Its configuration is older than one that is decided: two such replicas could lead at once (hazard B2).
    if (this.#hasUnappliedConfiguration()) return;
    if (this.#parts.variant.preVote && !transfer) {
      this.#becomePreCandidate();
      this.#requestVotes("pre-vote", makeTerm(this.#term + 1), false);
      this.#countVote(this.id, true);
    } else {
      this.#campaignForVotes(transfer);
    }
  }

  #campaignForVotes(transfer: boolean): void {
    this.#becomeCandidate();
    // The own vote counts when it is durable: see `persisted`.
    this.#requestVotes("vote", this.#term, transfer);
  }

  #requestVotes(type: VoteRequest["type"], term: Term, transfer: boolean): void {
    const { log, members, outbox, id, variant } = this.#parts;
    // A request speaks of a log and a term. After a crash, answers to a request that was never durable could elect this
    // replica in the same term with less of a log than they were given for.
    const durable = type === "vote" && variant.durableVoteRequests;
    for (const { id: to, learner } of members.all) {
      if (to === id || learner) continue;
      const request: VoteRequest = {
        type,
        from: id,
        to,
        term,
        lastIndex: log.lastIndex,
        lastTerm: log.lastTerm,
        transfer,
      };
      if (durable) outbox.sendAfterPersisted(request);
      else outbox.send(request);
    }
  }

  #hasUnappliedConfiguration(): boolean {
    const { log } = this.#parts;
    let low = (Math.max(log.applied, this.#configurationIndex) + 1) as LogIndex;
    while (low <= log.commit) {
      const entries = log.committedFrom(low, scanBytesMax);
      if (entries.length === 0) return true;
      for (const entry of entries) if (entry.kind === "configuration") return true;
      low = (low + entries.length) as LogIndex;
    }
    return false;
  }

  #countVote(from: ReplicaId, granted: boolean): void {
    const votes = this.#votes;
    if (votes === undefined || votes.has(from)) return;
    votes.set(from, granted);
    switch (this.members.voteResult(votes)) {
      case "won":
        if (this.#role === "pre-candidate") this.#campaignForVotes(false);
        else this.#becomeLeader();
        return;
      case "lost":
        this.#becomeFollower(this.#term, noReplica);
        return;
      case "pending":
    }
  }

  #onVoteResponse(message: VoteResponse): void {
    const awaited = this.#role === "pre-candidate" ? "pre-vote-response" : "vote-response";
    if (this.#votes === undefined || message.type !== awaited || !this.members.isMember(message.from)) return;
    // A granted pre-vote speaks of the term that would be campaigned in.
    if (awaited === "pre-vote-response" && !message.reject && message.term !== this.#term + 1) return;
    this.#countVote(message.from, !message.reject);
  }

  /** A leader was heard within the minimum election timeout (thesis §4.2.3). */
  #hearsLeader(): boolean {
    if (!this.#parts.variant.checkQuorum || this.#leader === noReplica) return false;
    return this.#role === "leader" || this.#electionElapsed < this.#parts.options.electionTicksMin;
  }

  #ignoresVoteRequest(message: VoteRequest): boolean {
    if (message.transfer) return false;
    if (message.term > this.#term && this.#hearsLeader()) return true;
    const again = message.type === "vote" && message.term === this.#term && message.from === this.#vote;
    return !again && this.#promise.forbids(message.from);
  }

  #onVoteRequest(message: VoteRequest): void {
    const preVote = message.type === "pre-vote";
    const mayVote =
      this.#vote === message.from ||
      (this.#vote === noReplica && this.#leader === noReplica) ||
      (preVote && message.term > this.#term);
    const type = preVote ? "pre-vote-response" : "vote-response";
    const { outbox, log, id } = this.#parts;
    if (mayVote && log.isUpToDate(message.lastIndex, message.lastTerm)) {
      // A learner votes, too: it may be a voter by now and not know it yet (hazard A17).
      const response: VoteResponse = { type, from: id, to: message.from, term: message.term, reject: false };
      if (preVote) {
        this.#answer(response);
      } else {
        this.#grantVote(message.from);
        outbox.sendAfterPersisted(response);
      }
    } else {
      this.#answer({ type, from: id, to: message.from, term: this.#term, reject: true });
    }
  }

  #grantVote(candidate: ReplicaId): void {
    assert(
      this.#vote === noReplica || this.#vote === candidate,
      () => `voted for ${this.#vote} in term ${this.#term}, now for ${candidate}`,
    );
    this.#vote = candidate;
    this.#electionElapsed = 0;
  }

  #onTimeoutNow(message: TimeoutNow): void {
    if (this.#role !== "follower" || (this.#leader !== noReplica && this.#leader !== message.from)) return;
    this.campaign(true);
  }

  // Messages.

  static readonly #handlers: Handlers = {
    append: (raft, message) => raft.#onAppend(message),
    "append-response": (raft, message) => raft.#onAppendResponse(message),
    heartbeat: (raft, message) => raft.#onHeartbeat(message),
    "heartbeat-response": (raft, message) => {
      const progress = raft.members.get(message.from);
      if (progress !== undefined) raft.#leadership?.onHeartbeatResponse(progress, message);
    },
    "pre-vote": (raft, message) => raft.#onVoteRequest(message),
    vote: (raft, message) => raft.#onVoteRequest(message),
    "pre-vote-response": (raft, message) => raft.#onVoteResponse(message),
    "vote-response": (raft, message) => raft.#onVoteResponse(message),
    "timeout-now": (raft, message) => raft.#onTimeoutNow(message),
    snapshot: (raft, message) => raft.#onSnapshot(message),
  };

  step(message: Message): void {
    const { from, to, term } = message;
    if (term < 1 || to !== this.id || from === this.id || from < 1) return;
    if (message.type === "pre-vote" || message.type === "vote") {
      // Somebody misses the leader: only the leader itself can tell whether it is there.
      if (this.#follower.leaderRests) this.#rouseLeader();
      this.#follower.leaderRests = false;
      if (this.#ignoresVoteRequest(message)) return;
    }
    if (term < this.#term) {
      this.#onOldTerm(message);
      return;
    }
    if (term > this.#term && !this.#onNewTerm(message)) return;
    (Raft.#handlers[message.type] as (raft: Raft, message: Message) => void)(this, message);
  }

  /** Moves to the message's term if that is due. False: there is nothing more to do with the message. */
  #onNewTerm(message: Message): boolean {
    switch (message.type) {
      case "append":
      case "heartbeat":
      case "snapshot":
      case "timeout-now":
        // Sent by leaders only, even by one whose configuration this replica does not know yet.
        this.#becomeFollower(message.term, message.from);
        return true;
      case "vote":
        this.#becomeFollower(message.term, noReplica);
        return true;
      case "pre-vote":
        return true;
      case "pre-vote-response":
        if (!message.reject) return true;
        break;
      case "append-response":
      case "heartbeat-response":
      case "vote-response":
        break;
      default:
        message satisfies never;
    }
    // An answer counts only from members (hazard A19): nobody else was asked, and can raise the term with one.
    if (this.members.isMember(message.from)) this.#becomeFollower(message.term, noReplica);
    return false;
  }

  #onOldTerm(message: Message): void {
    const { id } = this.#parts;
    const { from: to } = message;
    switch (message.type) {
      case "append":
      case "heartbeat":
      case "snapshot":
        // The old leader learns of the new term; else a replica that PreVote keeps quiet would stay stuck (hazard A9).
        this.#answer(accepted(id, to, this.#term, 0 as LogIndex));
        return;
      case "pre-vote":
        this.#answer({ type: "pre-vote-response", from: id, to, term: this.#term, reject: true });
        return;
      default:
    }
  }

  get #termIsDurable(): boolean {
    return this.#durableTerm === this.#term;
  }

  #answer(message: Message): void {
    this.#follower.answer(message, this.#termIsDurable);
  }

  /** The leader of the term speaks. False: someone else claims to be it. */
  #hearLeader(from: ReplicaId): boolean {
    if (this.#role === "leader" || (this.#leader !== noReplica && this.#leader !== from)) return false;
    if (this.#role !== "follower") this.#becomeFollower(this.#term, from);
    else if (this.#leader !== from) this.#hear(from);
    this.#electionElapsed = 0;
    return true;
  }

  #hear(leader: ReplicaId): void {
    this.#leader = leader;
  }

  #onAppend(message: Append): void {
    if (this.#hearLeader(message.from)) this.#follower.onAppend(message, this.#termIsDurable);
  }

  #onHeartbeat(message: Heartbeat): void {
    if (this.#hearLeader(message.from)) this.#follower.onHeartbeat(message);
  }

  #onSnapshot(message: InstallSnapshot): void {
    if (!this.#hearLeader(message.from)) return;
    if (this.#follower.onSnapshot(message, this.#termIsDurable)) this.#configurationIndex = message.label.index;
  }

  #onAppendResponse(message: AppendResponse): void {
    const progress = this.members.get(message.from);
    if (progress !== undefined) this.#leadership?.onAppendResponse(progress, message);
  }

  // What the host reports.

  persisted(persistence: Persistence): void {
    const { log } = this.#parts;
    assert(persistence.term <= this.#term, () => `persisted term ${persistence.term}, now in ${this.#term}`);
    if (persistence.term > this.#durableTerm) this.#durableTerm = persistence.term;
    if (persistence.snapshotIndex > 0) log.snapshotPersisted(persistence.snapshotIndex);
    // A write of an older term may have been overwritten since, even by the same entries (hazard A5). A later one covers it.
    if (persistence.term !== this.#term) return;
    if (persistence.lastIndex > 0) log.persistedTo(persistence.lastIndex, persistence.lastTerm);
    if (this.#role === "candidate") this.#countVote(this.id, true);
    else this.#leadership?.persisted();
  }

  applied(index: LogIndex): void {
    this.#parts.log.appliedTo(index);
    if (this.members.configuration.autoLeave) this.#leadership?.leaveJointWhenDue();
  }

  applyConfigurationChange(entry: Entry): Configuration {
    const { members, log, variant } = this.#parts;
    assert(entry.kind === "configuration", () => `entry ${entry.index} of kind ${entry.kind} changes no configuration`);
    assert(entry.index <= log.commit, () => `configuration entry ${entry.index} is not committed (${log.commit})`);
    if (entry.index <= this.#configurationIndex) return members.configuration;
    this.#configurationIndex = entry.index;
    const change = decodeConfigurationChange(entry.data);
    const changed = changeConfiguration(members.configuration, members.progress, change, log.lastIndex);
    // The same entry is refused by every replica, for all have the same configuration before it.
    if (!changed.ok) return members.configuration;
    members.change(changed);
    // A candidate has nothing to apply (hazard B2), so only a leader can find itself without a vote.
    if (this.#leadership !== undefined) {
      if (members.isVoter(this.id) || !variant.stepDownOnRemoval) this.#leadership.configurationChanged();
      else this.#becomeFollower(this.#term, noReplica);
    }
    return members.configuration;
  }
}
