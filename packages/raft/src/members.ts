/** The configuration in force and one `Progress` for each member: who counts, and how far everyone is. */
import { assert } from "@flotilla/base";
import type { LogIndex, ReplicaId } from "@flotilla/base";
import type { Changed } from "./changer.ts";
import type { Configuration } from "./configuration.ts";
import { Progress } from "./progress.ts";
import { majority, majorityValue, voteResult } from "./quorum.ts";
import type { VoteResult } from "./quorum.ts";

/** What a majority can be asked about. */
export type Measure = "match" | "ackedRound" | "ackedLeaseRound";

export class Members {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  #configuration: Configuration;
  /** Exactly the voters of both lists and the learners. */
  readonly #progress: Map<ReplicaId, Progress> = new Map();
  /** The values of #progress by id, and those of the two voter lists; made anew with each configuration. */
  #all: readonly Progress[] = [];
  #incoming: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];
  /** Scratch of `reached`, so that counting a majority allocates nothing. */
  readonly #values: number[] = [];

  constructor(configuration: Configuration, messagesMax: number, bytesMax: number, lastIndex: LogIndex) {
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
    this.#configuration = configuration;
    this.replace(configuration, lastIndex);
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** Sorted by id. */
  get all(): readonly Progress[] {
    return this.#all;
  }

  get progress(): ReadonlyMap<ReplicaId, Progress> {
    return this.#progress;
  }

  get(id: ReplicaId): Progress | undefined {
    return this.#progress.get(id);
  }

  isMember(id: ReplicaId): boolean {
    return this.#progress.has(id);
  }

  isVoter(id: ReplicaId): boolean {
    return this.#progress.get(id)?.learner === false;
  }

  /** The only voter there is, so that it alone decides. */
  isOnlyVoter(id: ReplicaId): boolean {
    const outgoing = this.#outgoing;
    return (
      this.#incoming.length === 1 &&
      this.#incoming[0]!.id === id &&
      (outgoing.length === 0 || (outgoing.length === 1 && outgoing[0]!.id === id))
    );
  }

  /** Takes a configuration from a snapshot or a start, as if nothing was known of anybody. */
  replace(configuration: Configuration, lastIndex: LogIndex): void {
    this.#progress.clear();
    const next = (lastIndex + 1) as LogIndex;
    for (const id of configuration.voters) this.#add(id, next, false);
    for (const id of configuration.votersOutgoing) this.#add(id, next, false);
    for (const id of configuration.learners) this.#add(id, next, true);
    this.#adopt(configuration);
  }

  /** Takes the outcome of a change; who stays keeps its progress. */
  change(changed: Changed & { ok: true }): void {
    for (const id of this.#progress.keys()) if (!changed.progress.has(id)) this.#progress.delete(id);
    for (const [id, wanted] of changed.progress) {
      const known = this.#progress.get(id);
      if (known !== undefined) {
        known.learner = wanted.learner;
      } else {
        this.#add(id, wanted.next, wanted.learner);
        // Else a quorum check could come before the new member had any chance to be heard.
        this.#progress.get(id)!.recentActive = true;
      }
    }
    this.#adopt(changed.configuration);
  }

  #add(id: ReplicaId, next: LogIndex, learner: boolean): void {
    if (this.#progress.has(id)) return;
    this.#progress.set(id, new Progress(id, next, learner, this.#messagesMax, this.#bytesMax));
  }

  #adopt(configuration: Configuration): void {
    const of = (id: ReplicaId): Progress => {
      const progress = this.#progress.get(id);
      assert(progress !== undefined, () => `member ${id} without progress`);
      return progress;
    };
    this.#configuration = configuration;
    this.#all = [...this.#progress.values()].sort((a, b) => a.id - b.id);
    this.#incoming = configuration.voters.map(of);
    this.#outgoing = configuration.votersOutgoing.map(of);
  }

  /** The highest value that both majorities have reached. */
  reached(measure: Measure): number {
    const incoming = this.#reachedBy(this.#incoming, measure);
    if (this.#outgoing.length === 0) return incoming;
    return Math.min(incoming, this.#reachedBy(this.#outgoing, measure));
  }

  #reachedBy(voters: readonly Progress[], measure: Measure): number {
    const values = this.#values;
    for (let i = 0; i < voters.length; i++) values[i] = voters[i]![measure];
    return majorityValue(values, voters.length);
  }

  voteResult(votes: ReadonlyMap<ReplicaId, boolean>): VoteResult {
    return voteResult(this.#configuration, votes);
  }

  /** Both majorities were heard from since the last call; `self` always counts as heard. */
  takeQuorumActive(self: ReplicaId): boolean {
    const active = isActive(this.#incoming, self) && isActive(this.#outgoing, self);
    for (const progress of this.#all) {
      progress.activeBefore = progress.recentActive;
      progress.recentActive = false;
    }
    return active;
  }
}

function isActive(voters: readonly Progress[], self: ReplicaId): boolean {
  if (voters.length === 0) return true;
  let active = 0;
  for (const progress of voters) if (progress.recentActive || progress.id === self) active++;
  return active >= majority(voters.length);
}
