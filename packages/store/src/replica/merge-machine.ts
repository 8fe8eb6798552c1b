/**
 * What the entries of a merge do where they are applied (rule: merge). Whether one comes into force follows from what
 * every replica of the range has there, and from nothing else.
 */
import { assert, logIndex, version } from "@flotilla/base";
import type { ReplicaDescriptor, ReplicaId } from "@flotilla/base";
import type { Entry } from "@flotilla/raft";
import type { SealedFor } from "@flotilla/transport";
import { decodeCancel, decodeSeal, decodeUnseal } from "./merge-entry.ts";
import type { CancelEntry, MergeEntry, SealEntry, UnsealEntry } from "./merge-entry.ts";
import type { StateMachine } from "./state-machine.ts";

type Shape = Pick<StateMachine, "descriptor" | "configuration" | "sealed">;

export function sealOf({ sealed }: Pick<StateMachine, "sealed">): SealedFor | undefined {
  return sealed === undefined ? undefined : { rangeId: sealed.leftRangeId, bounds: sealed.leftBounds };
}

/** Why it cannot come into force on what is there; undefined when it can. */
export function sealRefusal({ descriptor, configuration, sealed }: Shape, seal: SealEntry): string | undefined {
  if (sealed !== undefined) return `the range is sealed already, for range ${sealed.leftRangeId}`;
  const { bounds, members } = descriptor.epoch;
  if (seal.epoch.bounds !== bounds) return `the range has bounds ${bounds}, not ${seal.epoch.bounds}`;
  if (seal.epoch.members !== members) return `the range has members ${members}, not ${seal.epoch.members}`;
  if (configuration.votersOutgoing.length > 0) return "the range is changing its members";
  return membersRefusal(
    descriptor.replicas,
    seal.replicas.map(({ right }) => right),
  );
}

/** A range that is not sealed may be unsealed: its bounds rise, so that a seal proposed before falls. */
export function unsealRefusal({ descriptor, sealed }: Shape, unseal: UnsealEntry): string | undefined {
  const { bounds } = descriptor.epoch;
  if (unseal.bounds !== bounds) return `the range has bounds ${bounds}, not ${unseal.bounds}`;
  if (sealed === undefined) return undefined;
  if (sealed.leftRangeId !== unseal.leftRangeId) return `the range is sealed for range ${sealed.leftRangeId}`;
  if (sealed.leftBounds < unseal.provenBounds) return undefined;
  return `the seal rests on bounds ${sealed.leftBounds} of range ${sealed.leftRangeId}, proven are ${unseal.provenBounds}`;
}

export function mergeRefusal({ descriptor, configuration, sealed }: Shape, merge: MergeEntry): string | undefined {
  if (sealed !== undefined) return `the range is sealed itself, for range ${sealed.leftRangeId}`;
  const { bounds, members } = descriptor.epoch;
  if (merge.epoch.bounds !== bounds) return `the range has bounds ${bounds}, not ${merge.epoch.bounds}`;
  if (merge.epoch.members !== members) return `the range has members ${members}, not ${merge.epoch.members}`;
  if (configuration.votersOutgoing.length > 0) return "the range is changing its members";
  if (merge.end <= descriptor.end) return "the right range does not lie to the right";
  return membersRefusal(
    descriptor.replicas,
    merge.replicas.map(({ left }) => left),
  );
}

export function cancelRefusal({ descriptor, sealed }: Shape, cancel: CancelEntry): string | undefined {
  if (sealed !== undefined) return `the range is sealed itself, for range ${sealed.leftRangeId}`;
  const { bounds } = descriptor.epoch;
  return cancel.bounds === bounds ? undefined : `the range has bounds ${bounds}, not ${cancel.bounds}`;
}

/** Whether the entry came into force. Throws `MalformedError`. */
export function applyMergeStep(machine: StateMachine, kind: "seal" | "unseal" | "cancel", entry: Entry): boolean {
  switch (kind) {
    case "seal": {
      const seal = decodeSeal(entry.data);
      if (sealRefusal(machine, seal) !== undefined) return false;
      const { leftRangeId, leftBounds, replicas } = seal;
      machine.sealed = { leftRangeId, leftBounds, index: entry.index, term: entry.term, replicas };
      return true;
    }
    case "unseal":
      if (unsealRefusal(machine, decodeUnseal(entry.data)) !== undefined) return false;
      machine.sealed = undefined;
      raiseBounds(machine);
      return true;
    case "cancel":
      if (cancelRefusal(machine, decodeCancel(entry.data)) !== undefined) return false;
      raiseBounds(machine);
      return true;
    default:
      return kind satisfies never;
  }
}

function raiseBounds(machine: StateMachine): void {
  const { descriptor } = machine;
  const { bounds, members } = descriptor.epoch;
  machine.descriptor = { ...descriptor, epoch: { bounds: bounds + 1, members } };
}

/**
 * `merge`, which is not refused, is being applied to `left`; `right` has applied its seal. From here on the left machine
 * has what both had: its next flush writes it in one batch, and with it that the right one is no more. Returns false, and
 * does nothing, when together they remember more of a client than a range can: the same on every replica.
 */
export function mergeMachines(left: StateMachine, right: StateMachine, merge: MergeEntry): boolean {
  const { descriptor } = left;
  const taken = right.descriptor;
  assert(
    taken.start === descriptor.end && taken.end === merge.end && taken.epoch.bounds === merge.rightBounds,
    () => `range ${descriptor.rangeId} takes in ${JSON.stringify(taken)} by ${JSON.stringify(merge)}`,
  );
  const { sealed } = right;
  assert(
    sealed?.leftRangeId === descriptor.rangeId &&
      sealed.leftBounds === merge.epoch.bounds &&
      sealed.index === merge.sealIndex &&
      sealed.term === merge.sealTerm,
    () => `range ${taken.rangeId} is not sealed at ${merge.sealIndex}: ${JSON.stringify(sealed)}`,
  );
  // The right range's terms end here: whatever was under way in one of them stands behind its seal and has no effect.
  right.memtable.pending.clear();
  right.sessions.dropPending();
  if (!left.sessions.mayAbsorb(right.sessions)) return false;
  left.memtable.absorb(right.memtable);
  left.sessions.absorb(right.sessions);
  left.lastVersion = version(Math.max(left.lastVersion, right.lastVersion));
  const { bounds } = descriptor.epoch;
  right.heir = left;
  left.merged = { rangeId: taken.rangeId, bounds };
  left.takenIn.push({ rangeId: taken.rangeId, start: taken.start, end: taken.start }, ...right.takenIn);
  const epoch = { bounds: Math.max(bounds, taken.epoch.bounds) + 1, members: descriptor.epoch.members };
  left.descriptor = { ...descriptor, end: taken.end, epoch };
  // The entry that is being applied.
  left.boundsIndex = logIndex(left.appliedIndex + 1);
  return true;
}

/** All of them, and all voters: a learner may be anywhere in the log. */
function membersRefusal(replicas: readonly ReplicaDescriptor[], named: readonly ReplicaId[]): string | undefined {
  const learner = replicas.find(({ role }) => role !== "voter");
  if (learner !== undefined) return `replica ${learner.replicaId} is ${learner.role}, not voter`;
  const present = replicas.map(({ replicaId }) => replicaId).toSorted((a, b) => a - b);
  const sorted = named.toSorted((a, b) => a - b);
  if (sorted.length === present.length && sorted.every((id, i) => id === present[i])) return undefined;
  return `the range has replicas ${present.join(", ")}, not ${sorted.join(", ")}`;
}
