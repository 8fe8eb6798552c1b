/**
 * A committed split, where it is applied (rule: split). One synchronous step makes two state machines of one: the data
 * stays where it is, the memtable is divided, and the next flush writes both in one batch. The right half begins as if
 * restored at index 1, term 1.
 */
import { assert, logIndex, term } from "@flotilla/base";
import type { RangeDescriptor, ReplicaId } from "@flotilla/base";
import type { Configuration } from "@flotilla/raft";
import type { SplitEntry } from "./split-entry.ts";
import { StateMachine } from "./state-machine.ts";

const firstIndex = logIndex(1);
const firstTerm = term(1);

/** Why a split cannot come into force on what is there; undefined when it can. The same on every replica at this index. */
export function splitRefusal(
  { descriptor, configuration, sealed }: Pick<StateMachine, "descriptor" | "configuration" | "sealed">,
  split: SplitEntry,
): string | undefined {
  if (sealed !== undefined) return `the range is sealed, for range ${sealed.leftRangeId}`;
  const { epoch, start, end, replicas } = descriptor;
  if (split.epoch.bounds !== epoch.bounds) return `the range has bounds ${epoch.bounds}, not ${split.epoch.bounds}`;
  if (split.epoch.members !== epoch.members)
    return `the range has members ${epoch.members}, not ${split.epoch.members}`;
  if (split.key <= start || split.key >= end) return "the key is not inside the range";
  if (configuration.votersOutgoing.length > 0) return "the range is changing its members";
  const named = split.replicas.map(({ left }) => left).toSorted((a, b) => a - b);
  const present = replicas.map(({ replicaId }) => replicaId).toSorted((a, b) => a - b);
  if (named.length !== present.length || named.some((id, i) => id !== present[i])) {
    return `the range has replicas ${present.join(", ")}, not ${named.join(", ")}`;
  }
  return undefined;
}

/** Of `split`, which is not refused: the left half stays, the right half is returned. */
export function splitMachine(left: StateMachine, split: SplitEntry): StateMachine {
  assert(
    splitRefusal(left, split) === undefined,
    () => `range ${left.descriptor.rangeId}: ${splitRefusal(left, split)}`,
  );
  const { descriptor } = left;
  const bounds = descriptor.epoch.bounds + 1;
  const counterparts = new Map(split.replicas.map(({ left: id, right }) => [id, right]));
  const counterpart = (id: ReplicaId): ReplicaId => counterparts.get(id)!;
  const rightDescriptor: RangeDescriptor = {
    rangeId: split.rangeId,
    start: split.key,
    end: descriptor.end,
    epoch: { bounds, members: 1 },
    replicas: descriptor.replicas
      .map((replica) => ({ ...replica, replicaId: counterpart(replica.replicaId) }))
      .toSorted((a, b) => a.replicaId - b.replicaId),
  };
  const right = new StateMachine(
    rightDescriptor,
    mapped(left.configuration, counterpart),
    left.engine,
    left.operations,
    {
      memtable: left.memtable.split(split.key),
      sessions: left.sessions.copy(),
    },
  );
  right.appliedIndex = firstIndex;
  right.appliedTerm = firstTerm;
  right.lastVersion = left.lastVersion;
  right.changed = true;
  right.boundsIndex = firstIndex;
  // The entry that is being applied.
  left.boundsIndex = logIndex(left.appliedIndex + 1);
  left.descriptor = { ...descriptor, end: split.key, epoch: { ...descriptor.epoch, bounds } };
  return right;
}

function mapped(configuration: Configuration, counterpart: (id: ReplicaId) => ReplicaId): Configuration {
  const each = (ids: readonly ReplicaId[]): ReplicaId[] => ids.map(counterpart).toSorted((a, b) => a - b);
  return {
    voters: each(configuration.voters),
    votersOutgoing: [],
    learners: each(configuration.learners),
    learnersNext: [],
    autoLeave: false,
  };
}
