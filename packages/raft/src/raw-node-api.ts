/**
 * The shape of `RawNode`: one member of one group as a pure state machine. Nothing in it waits, reads a clock or
 * draws a random number of its own. Every method runs to its end in one synchronous step.
 */
import type { Clock, LogIndex, RandomSource, ReplicaId, Term } from "@flotilla/base";
import type { Configuration, SnapshotLabel } from "./configuration.ts";
import type { Entry, HardState } from "./entry.ts";
import type { LogReader } from "./log-reader.ts";
import type { Message } from "./message.ts";
import type { Persistence, Ready, Role } from "./ready.ts";

export interface RawNodeOptions {
  readonly id: ReplicaId;
  /** The election timeout is drawn from [electionTicksMin, 2 × electionTicksMin), anew at each reset. */
  readonly electionTicksMin: number;
  readonly heartbeatTicks: number;
  /** Data bytes in one append; one larger entry is sent alone. */
  readonly appendBytesMax: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Data bytes of proposals not yet committed; an empty tail takes any one entry. */
  readonly uncommittedBytesMax: number;
  /** Data bytes of committed entries in one Ready; at least one entry. */
  readonly committedBytesMax: number;
  /** Leader lease granted by heartbeats, milliseconds; 0 = no leases (all reads use ReadIndex). */
  readonly leaseMs: number;
}

export interface RawNodeDependencies {
  readonly log: LogReader;
  readonly random: RandomSource;
  /** Only for the lease (design §5: ticks never measure a lease). */
  readonly clock: Clock;
}

/** What a restart begins from. */
export interface RawNodeInitialState {
  readonly hardState: HardState;
  readonly configuration: Configuration;
  /** Everything up to here is in the state machine already. */
  readonly applied: LogIndex;
  /**
   * True only when the replica is made in this very moment (bootstrap, split, an empty learner), so that nothing before it can
   * have promised a lease: then the wait after a start is left out. A restart is never brand-new. Default false.
   */
  readonly brandNew?: boolean;
}

export type Proposed =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  /**
   * `busy`: the uncommitted tail is full. `transferring`: a leadership transfer is under way. `configuration-pending`: another
   * change is not applied yet, a joint configuration not left, or this leader has not committed in its own term yet.
   * `invalid`: the change would break the configuration (no voter left, nothing to leave); trying again is of no use.
   */
  | {
      readonly ok: false;
      readonly reason: "not-leader" | "busy" | "transferring" | "configuration-pending" | "invalid";
    };

/** One step of a membership change; the core encodes it into a `configuration` entry. */
export interface ConfigurationChange {
  readonly changes: readonly { readonly type: "add-voter" | "add-learner" | "remove"; readonly id: ReplicaId }[];
  /** `auto`: simple when one voter changes, else joint with automatic leave. Empty `changes` leaves a joint configuration. */
  readonly transition: "auto" | "joint-implicit" | "joint-explicit";
  /** Opaque bytes for the host, given back with the entry when it is applied. */
  readonly context: Uint8Array;
}

export type ProgressState = "probe" | "replicate" | "snapshot";

export interface ProgressStatus {
  readonly id: ReplicaId;
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: ProgressState;
  readonly recentActive: boolean;
  /** By the leader within the last election timeout at least, two at most: does not flicker at the quorum check. */
  readonly heard: boolean;
  readonly learner: boolean;
  readonly paused: boolean;
  /** Appends sent and not acknowledged, and whether they fill the window. */
  readonly inflightMessages: number;
  readonly inflightFull: boolean;
  /** Index of the snapshot under way; 0 unless state is `snapshot`. */
  readonly pendingSnapshot: LogIndex;
}

export interface RawNodeStatus {
  readonly id: ReplicaId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: ReplicaId;
  readonly leader: ReplicaId;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly configuration: Configuration;
  readonly transferee: ReplicaId;
  readonly leaseUntilMs: number;
  /** Empty unless leader. */
  readonly progress: readonly ProgressStatus[];
}

export interface RawNodeApi {
  // Cheap getters for the hot path (no allocation).
  readonly role: Role;
  readonly term: Term;
  readonly leader: ReplicaId;
  readonly commit: LogIndex;
  readonly lastIndex: LogIndex;
  /** The next tick begins a campaign, unless a promise forbids it. */
  readonly campaignDue: boolean;

  tick(): void;
  step(message: Message): void;
  /** Takes the entry only as leader of `term`, the term it was evaluated in; never forwards. */
  propose(term: Term, data: Uint8Array): Proposed;
  proposeConfigurationChange(term: Term, change: ConfigurationChange): Proposed;
  /**
   * Confirms leadership for all reads that arrived before this call. The answer comes as a ReadState with the same
   * context in a later Ready. False: not leader, or no entry of the own term is committed yet. Contexts are numbers
   * ≥ 1 that the caller never uses twice.
   */
  readIndex(context: number): boolean;
  /** True while the leader lease holds, by both clocks (design §5): reads at `commit` need no round. */
  leaseHolds(): boolean;
  /** While suspended a leader neither renews nor uses its lease (a split, seal or merge is in flight). Ends with the term. */
  suspendLease(suspended: boolean): void;
  transferLeader(to: ReplicaId): boolean;
  /** Campaigns now, with PreVote, unless leader or not allowed to. */
  campaign(): void;
  /**
   * Somebody proved that the entry of that index and term is committed (a merge that another group has committed names
   * it). False when this log does not hold it: then nothing is believed.
   */
  learnCommitted(index: LogIndex, term: Term): boolean;
  /** The leader's store is known to be dead: votes are no longer held back on its account. What a lease promised stays. */
  forgetLeader(): void;
  /**
   * Asks whether ticks may stop until `wake` (rule: sleep). A leader whose log is committed and applied to the end, and held to
   * the end by every member that `isAlive` and by a majority, tells the others in the next Ready, and has no lease any more. A
   * follower may rest when the last that it has heard of the leader is that it rests at this very log. Everybody else may not.
   * A replica that rests is asked nothing and told everything as before; it must be woken after anything it was told.
   */
  rest(isAlive: (id: ReplicaId) => boolean): boolean;
  /**
   * Ticks begin again: election timeout and quorum check start afresh, a leader is without a lease and starts a round; a
   * follower lets the leader it knows know, which may rest, too.
   */
  wake(): void;

  hasReady(): boolean;
  ready(): Ready;
  persisted(persistence: Persistence): void;
  /** `applied` is the last index whose effects are in the state machine. Never goes back. */
  applied(applied: LogIndex): void;
  /**
   * The host applied a configuration entry: call with the entry. Returns the configuration now in force, to be kept with
   * the applied index. An entry that is not beyond the configuration in force changes nothing (hazard B9).
   */
  applyConfigurationChange(entry: Entry): Configuration;

  /**
   * Unsafe: everything in this log counts as committed, whoever has confirmed it. For what is left of a group that has lost its
   * majority for good; the host steps and ticks the node no more, applies the rest, and gives the replica up for a new one.
   */
  commitTail(): void;

  /** The peer's store cannot be reached: an optimistic pipeline falls back to probing. */
  reportUnreachable(id: ReplicaId): void;
  reportSnapshot(id: ReplicaId, label: SnapshotLabel, ok: boolean): void;
  status(): RawNodeStatus;
}
