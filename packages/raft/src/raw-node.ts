/** The door to one replica: hands calls to the protocol, and gathers into a `Ready` what the host has to do. */
import { assert, noReplica } from "@flotilla/base";
import type { LogIndex, ReplicaId, Term } from "@flotilla/base";
import type { Configuration, SnapshotLabel } from "./configuration.ts";
import type { Entry, HardState } from "./entry.ts";
import type { Message } from "./message.ts";
import { Raft } from "./raft.ts";
import type {
  ConfigurationChange,
  ProgressStatus,
  Proposed,
  RawNodeApi,
  RawNodeDependencies,
  RawNodeInitialState,
  RawNodeOptions,
  RawNodeStatus,
} from "./raw-node-api.ts";
import type { Persistence, Ready, Role, SoftState } from "./ready.ts";
import { standardVariant } from "./variant.ts";
import type { Variant } from "./variant.ts";

const notLeader: Proposed = { ok: false, reason: "not-leader" };

export class RawNode implements RawNodeApi {
  readonly #raft: Raft;
  readonly #committedBytesMax: number;
  /** What the last Ready said, to tell what has changed since. */
  #saidTerm: Term;
  #saidVote: ReplicaId;
  #saidCommit: LogIndex;
  #saidRole: Role = "follower";
  #saidLeader: ReplicaId = noReplica;

  /** `variant` is for replaying other implementations' scripts; groups run the standard one. */
  constructor(
    options: RawNodeOptions,
    dependencies: RawNodeDependencies,
    initial: RawNodeInitialState,
    variant: Variant = standardVariant,
  ) {
    this.#raft = new Raft(options, dependencies, initial, variant);
    this.#committedBytesMax = options.committedBytesMax;
    this.#saidTerm = this.#raft.term;
    this.#saidVote = this.#raft.vote;
    this.#saidCommit = this.#raft.log.commit;
  }

  get role(): Role {
    return this.#raft.role;
  }

  get term(): Term {
    return this.#raft.term;
  }

  get leader(): ReplicaId {
    return this.#raft.leader;
  }

  get commit(): LogIndex {
    return this.#raft.log.commit;
  }

  get lastIndex(): LogIndex {
    return this.#raft.log.lastIndex;
  }

  get campaignDue(): boolean {
    return this.#raft.campaignDue;
  }

  tick(): void {
    this.#raft.tick();
  }

  step(message: Message): void {
    this.#raft.step(message);
  }

  propose(term: Term, data: Uint8Array): Proposed {
    const leadership = this.#raft.leadership;
    if (leadership === undefined || term !== this.#raft.term) return notLeader;
    return leadership.propose(data);
  }

  proposeConfigurationChange(term: Term, change: ConfigurationChange): Proposed {
    const leadership = this.#raft.leadership;
    if (leadership === undefined || term !== this.#raft.term) return notLeader;
    return leadership.proposeConfigurationChange(change);
  }

  readIndex(context: number): boolean {
    return this.#raft.leadership?.readIndex(context) ?? false;
  }

  leaseHolds(): boolean {
    return this.#raft.leadership?.leaseHolds() ?? false;
  }

  suspendLease(suspended: boolean): void {
    this.#raft.leadership?.suspendLease(suspended);
  }

  transferLeader(to: ReplicaId): boolean {
    return this.#raft.leadership?.transfer(to) ?? false;
  }

  campaign(): void {
    this.#raft.campaign(false);
  }

  learnCommitted(index: LogIndex, term: Term): boolean {
    const { log } = this.#raft;
    if (index <= log.commit) return true;
    if (!log.matches(index, term)) return false;
    log.commitTo(index);
    return true;
  }

  forgetLeader(): void {
    this.#raft.forgetLeader();
  }

  rest(isAlive: (id: ReplicaId) => boolean): boolean {
    return this.#raft.rest(isAlive);
  }

  wake(): void {
    this.#raft.wake();
  }

  hasReady(): boolean {
    const raft = this.#raft;
    const { log } = raft;
    return (
      !raft.outbox.empty ||
      log.hasTail ||
      log.commit !== this.#saidCommit ||
      log.hasEntriesToApply(this.#committedBytesMax) ||
      raft.term !== this.#saidTerm ||
      raft.vote !== this.#saidVote ||
      raft.role !== this.#saidRole ||
      raft.leader !== this.#saidLeader ||
      log.snapshot !== undefined ||
      (raft.leadership !== undefined && raft.leadership.owesMessages)
    );
  }

  ready(): Ready {
    const raft = this.#raft;
    const { log, outbox } = raft;
    raft.leadership?.flush();
    const softState = this.#takeSoftState();
    const votedOrTermMoved = raft.term !== this.#saidTerm || raft.vote !== this.#saidVote;
    const hardState = this.#takeHardState();
    const snapshot = log.takeSnapshot();
    const entries = log.takeTail();
    const mustSync = votedOrTermMoved || entries.length > 0 || snapshot !== undefined;
    const persistence = mustSync || outbox.waitsForPersistence ? this.#persistenceUpToNow(snapshot) : undefined;
    return {
      hardState,
      mustSync,
      entries,
      snapshot,
      messages: outbox.takeMessages(),
      messagesAfterPersisted: outbox.takeAfterPersisted(),
      committedEntries: log.takeEntriesToApply(this.#committedBytesMax),
      readStates: outbox.takeReadStates(),
      softState,
      persistence,
    };
  }

  #takeSoftState(): SoftState | undefined {
    const { role, leader } = this.#raft;
    if (role === this.#saidRole && leader === this.#saidLeader) return undefined;
    this.#saidRole = role;
    this.#saidLeader = leader;
    return { role, leader };
  }

  #takeHardState(): HardState | undefined {
    const { term, vote, log } = this.#raft;
    const commit = log.commit;
    if (term === this.#saidTerm && vote === this.#saidVote && commit === this.#saidCommit) return undefined;
    this.#saidTerm = term;
    this.#saidVote = vote;
    this.#saidCommit = commit;
    return { term, vote, commit };
  }

  /** Writes become durable in order, so this one's end speaks for all that was handed over before it. */
  #persistenceUpToNow(snapshot: SnapshotLabel | undefined): Persistence {
    const { term, log } = this.#raft;
    const open = log.persisted < log.lastIndex;
    return {
      term,
      lastIndex: open ? log.lastIndex : (0 as LogIndex),
      lastTerm: open ? log.lastTerm : (0 as Term),
      snapshotIndex: snapshot === undefined ? (0 as LogIndex) : snapshot.index,
    };
  }

  persisted(persistence: Persistence): void {
    this.#raft.persisted(persistence);
  }

  applied(applied: LogIndex): void {
    this.#raft.applied(applied);
  }

  applyConfigurationChange(entry: Entry): Configuration {
    return this.#raft.applyConfigurationChange(entry);
  }

  commitTail(): void {
    const { role, log } = this.#raft;
    assert(role === "follower" || role === "pre-candidate", () => `a ${role} commits what nobody has confirmed`);
    log.commitTo(log.lastIndex);
  }

  reportUnreachable(id: ReplicaId): void {
    const progress = this.#raft.members.get(id);
    if (progress !== undefined) this.#raft.leadership?.reportUnreachable(progress);
  }

  reportSnapshot(id: ReplicaId, label: SnapshotLabel, ok: boolean): void {
    const progress = this.#raft.members.get(id);
    if (progress !== undefined) this.#raft.leadership?.reportSnapshot(progress, label, ok);
  }

  status(): RawNodeStatus {
    const raft = this.#raft;
    const { log, leadership } = raft;
    return {
      id: raft.id,
      role: raft.role,
      term: raft.term,
      vote: raft.vote,
      leader: raft.leader,
      commit: log.commit,
      applied: log.applied,
      firstIndex: log.firstIndex(),
      lastIndex: log.lastIndex,
      configuration: raft.members.configuration,
      transferee: leadership?.transferee ?? noReplica,
      leaseUntilMs: leadership?.leaseUntilMs ?? 0,
      progress: leadership === undefined ? [] : this.#progressStatus(),
    };
  }

  #progressStatus(): ProgressStatus[] {
    const self = this.#raft.id;
    return this.#raft.members.all.map(
      ({ id, match, next, state, recentActive, activeBefore, learner, paused, inflights, pendingSnapshot }) => ({
        id,
        match,
        next,
        state,
        recentActive: recentActive || id === self,
        heard: recentActive || activeBefore || id === self,
        learner,
        paused,
        inflightMessages: inflights.count,
        inflightFull: inflights.full,
        pendingSnapshot,
      }),
    );
  }
}
