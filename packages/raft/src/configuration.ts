import type { LogIndex, ReplicaId, Term } from "@flotilla/base";

/**
 * The members of a group; in a joint configuration both majorities decide (thesis §4.3).
 * Each list is sorted and free of duplicates; `learners` is disjoint from both voter lists;
 * `learnersNext` ⊆ `votersOutgoing`: who becomes a learner when the joint configuration is left.
 */
export interface Configuration {
  readonly voters: readonly ReplicaId[];
  /** Empty unless joint. */
  readonly votersOutgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  readonly learnersNext: readonly ReplicaId[];
  /** Leave the joint configuration as soon as it is applied. */
  readonly autoLeave: boolean;
}

/** What a range snapshot stands for: everything up to and with `index` is in it. */
export interface SnapshotLabel {
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
}
