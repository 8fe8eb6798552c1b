/**
 * Membership changes as pure functions from one configuration to the next (thesis §4.1 for one voter at a time,
 * §4.3 for joint consensus). A change that would break an invariant is refused as a whole.
 */
import type { LogIndex, ReplicaId } from "@flotilla/base";
import type { Configuration } from "./configuration.ts";
import type { ConfigurationChange } from "./raw-node-api.ts";

export type MemberChange = ConfigurationChange["changes"][number];

/** Why a change is refused. */
export type ChangeRefused =
  /** No incoming voter would be left. */
  | "no-voters"
  /** A joint configuration must be left before the next change. */
  | "already-joint"
  | "not-joint"
  /** Two voters or more change, which only a joint configuration can do safely. */
  | "needs-joint"
  /** The configuration or progress that the change begins with breaks an invariant. */
  | "inconsistent";

/** What a change decides about a member's progress. */
export interface MemberProgress {
  readonly match: LogIndex;
  readonly next: LogIndex;
  /** In no voter list. */
  readonly learner: boolean;
}

export type Changed =
  | {
      readonly ok: true;
      readonly configuration: Configuration;
      readonly progress: ReadonlyMap<ReplicaId, MemberProgress>;
    }
  | { readonly ok: false; readonly reason: ChangeRefused };

export interface Changer {
  /** At most one voter joins, leaves or changes its role. */
  simple(changes: readonly MemberChange[]): Changed;
  enterJoint(options: { readonly autoLeave: boolean }, changes: readonly MemberChange[]): Changed;
  leaveJoint(): Changed;
}

/**
 * `progress` has one element for each member; a member that joins gets one with next = max(lastIndex, 1).
 * Neither argument is changed.
 */
export function changer(
  configuration: Configuration,
  progress: ReadonlyMap<ReplicaId, MemberProgress>,
  lastIndex: LogIndex = 0 as LogIndex,
): Changer {
  return {
    simple(changes) {
      if (isJoint(configuration)) return { ok: false, reason: "already-joint" };
      const draft = new Draft(configuration, progress, lastIndex);
      for (const change of changes) draft.apply(change);
      if (draft.voters.size === 0) return { ok: false, reason: "no-voters" };
      if (differences(draft.voters, configuration.voters) > 1) return { ok: false, reason: "needs-joint" };
      return draft.finish();
    },
    enterJoint({ autoLeave }, changes) {
      if (isJoint(configuration)) return { ok: false, reason: "already-joint" };
      if (configuration.voters.length === 0) return { ok: false, reason: "no-voters" };
      const draft = new Draft(configuration, progress, lastIndex);
      for (const id of configuration.voters) draft.outgoing.add(id);
      draft.autoLeave = autoLeave;
      for (const change of changes) draft.apply(change);
      if (draft.voters.size === 0) return { ok: false, reason: "no-voters" };
      return draft.finish();
    },
    leaveJoint() {
      if (!isJoint(configuration)) return { ok: false, reason: "not-joint" };
      const draft = new Draft(configuration, progress, lastIndex);
      draft.leave();
      return draft.finish();
    },
  };
}

export const isJoint = (configuration: Configuration): boolean => configuration.votersOutgoing.length > 0;

/**
 * Which of the three a change asks for, carried out: empty changes leave; `auto` is simple while one voter changes
 * at most, else joint with automatic leave; the other two transitions are always joint.
 */
export function changeConfiguration(
  configuration: Configuration,
  progress: ReadonlyMap<ReplicaId, MemberProgress>,
  change: ConfigurationChange,
  lastIndex: LogIndex,
): Changed {
  const next = changer(configuration, progress, lastIndex);
  if (change.changes.length === 0) return next.leaveJoint();
  if (change.transition !== "auto") {
    return next.enterJoint({ autoLeave: change.transition === "joint-implicit" }, change.changes);
  }
  if (change.changes.length > 1) return next.enterJoint({ autoLeave: true }, change.changes);
  return next.simple(change.changes);
}

/** Lists sorted and without duplicates, as `Configuration` demands. */
export function sortedConfiguration(configuration: Configuration): Configuration {
  return {
    voters: sortedIds(configuration.voters),
    votersOutgoing: sortedIds(configuration.votersOutgoing),
    learners: sortedIds(configuration.learners),
    learnersNext: sortedIds(configuration.learnersNext),
    autoLeave: configuration.autoLeave,
  };
}

const sortedIds = (ids: Iterable<ReplicaId>): ReplicaId[] => [...new Set(ids)].sort((a, b) => a - b);

/** Members in one of the two and not in the other. */
function differences(a: ReadonlySet<ReplicaId>, b: readonly ReplicaId[]): number {
  let shared = 0;
  for (const id of b) if (a.has(id)) shared++;
  return a.size - shared + (b.length - shared);
}

/** A configuration in the making. */
class Draft {
  readonly voters: Set<ReplicaId>;
  readonly outgoing: Set<ReplicaId>;
  readonly #learners: Set<ReplicaId>;
  readonly #learnersNext: Set<ReplicaId>;
  readonly #progress: Map<ReplicaId, MemberProgress>;
  readonly #lastIndex: LogIndex;
  autoLeave: boolean;

  constructor(configuration: Configuration, progress: ReadonlyMap<ReplicaId, MemberProgress>, lastIndex: LogIndex) {
    this.voters = new Set(configuration.voters);
    this.outgoing = new Set(configuration.votersOutgoing);
    this.#learners = new Set(configuration.learners);
    this.#learnersNext = new Set(configuration.learnersNext);
    this.#progress = new Map(progress);
    this.#lastIndex = lastIndex;
    this.autoLeave = configuration.autoLeave;
  }

  apply(change: MemberChange): void {
    switch (change.type) {
      case "add-voter":
        return this.#makeVoter(change.id);
      case "add-learner":
        return this.#makeLearner(change.id);
      case "remove":
        return this.#remove(change.id);
      default:
        change.type satisfies never;
    }
  }

  #makeVoter(id: ReplicaId): void {
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    this.voters.add(id);
    this.#track(id, false);
  }

  /** Who still votes in the outgoing majority becomes a learner only when the joint configuration is left. */
  #makeLearner(id: ReplicaId): void {
    this.voters.delete(id);
    if (this.outgoing.has(id)) {
      this.#learnersNext.add(id);
      this.#track(id, false);
    } else {
      this.#learners.add(id);
      this.#track(id, true);
    }
  }

  #remove(id: ReplicaId): void {
    this.voters.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    if (!this.outgoing.has(id)) this.#progress.delete(id);
  }

  #track(id: ReplicaId, learner: boolean): void {
    const known = this.#progress.get(id);
    const next = Math.max(this.#lastIndex, 1) as LogIndex;
    if (known === undefined) this.#progress.set(id, { match: 0 as LogIndex, next, learner });
    else if (known.learner !== learner) this.#progress.set(id, { match: known.match, next: known.next, learner });
  }

  leave(): void {
    for (const id of this.#learnersNext) {
      this.#learners.add(id);
      this.#track(id, true);
    }
    this.#learnersNext.clear();
    for (const id of this.outgoing) {
      if (!this.voters.has(id) && !this.#learners.has(id)) this.#progress.delete(id);
    }
    this.outgoing.clear();
    this.autoLeave = false;
  }

  finish(): Changed {
    if (!this.#consistent()) return { ok: false, reason: "inconsistent" };
    const configuration: Configuration = {
      voters: sortedIds(this.voters),
      votersOutgoing: sortedIds(this.outgoing),
      learners: sortedIds(this.#learners),
      learnersNext: sortedIds(this.#learnersNext),
      autoLeave: this.autoLeave,
    };
    return { ok: true, configuration, progress: this.#progress };
  }

  /** The invariants of `Configuration`, and one progress for each member with the right role. */
  #consistent(): boolean {
    for (const id of this.voters) if (this.#progress.get(id)?.learner !== false) return false;
    for (const id of this.outgoing) if (this.#progress.get(id)?.learner !== false) return false;
    for (const id of this.#learners) {
      if (this.voters.has(id) || this.outgoing.has(id) || this.#progress.get(id)?.learner !== true) return false;
    }
    for (const id of this.#learnersNext) if (!this.outgoing.has(id) || this.voters.has(id)) return false;
    if (this.outgoing.size === 0 && (this.#learnersNext.size > 0 || this.autoLeave)) return false;
    for (const id of this.#progress.keys()) {
      if (!this.voters.has(id) && !this.outgoing.has(id) && !this.#learners.has(id)) return false;
    }
    return true;
  }
}
