/**
 * Where this implementation has chosen, and others chose differently. Groups run `standardVariant`, always: it is what
 * the safety rules are written for. The others exist so that scripts recorded from other implementations of the same
 * protocol can be replayed against the very code that groups run.
 */
export interface Variant {
  /** A campaign begins with a round that changes no term (thesis §9.6). */
  readonly preVote: boolean;
  /** A leader that hears no majority for an election timeout steps down, and followers that hear a leader ignore votes. */
  readonly checkQuorum: boolean;
  /** A leader steps down when its own removal, or its demotion, is applied. */
  readonly stepDownOnRemoval: boolean;
  /**
   * Appends, heartbeats and reads leave in `ready()`, so that one message carries all proposals and the newest commit of
   * a turn, and what promises nothing that is not durable does not wait. False: every step sends what it causes, commit indexes
   * travel in empty appends, and every answer to an append or a vote waits for a write.
   */
  readonly batched: boolean;
  /** Vote requests wait until the candidate's own term, vote and log are durable. */
  readonly durableVoteRequests: boolean;
  /**
   * When a leader takes a change of configuration: `after-own-commit`, when an entry of its own term is committed and no other
   * change is unapplied, and only a valid one; `one-at-a-time`, without the first condition; `unchecked`.
   */
  readonly configurationChanges: "after-own-commit" | "one-at-a-time" | "unchecked";
}

export const standardVariant: Variant = {
  preVote: true,
  checkQuorum: true,
  stepDownOnRemoval: true,
  batched: true,
  durableVoteRequests: true,
  configurationChanges: "after-own-commit",
};
