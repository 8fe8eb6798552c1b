/** Which neighbours may become one range, and which do so by themselves. */
import { metaRangeId, noIndex, noReplica, noTerm, prefixEnd } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import { hotTogether } from "./load-rules.ts";
import { notUp } from "./merge-operator.ts";
import type { MergeGoal } from "./merge-operator.ts";
import { isPending, memberOn, quorumMissing } from "./quorum.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import { shownKey } from "./split-keys.ts";

/** The range that begins where this one ends. */
export function neighbour({ descriptor }: RangeState, index: ClusterIndex): RangeState | undefined {
  return index.byStart().get(descriptor.end);
}

/** Why the two may not be one range; undefined when they may. */
export function mergeRefused(left: RangeState, right: RangeState, index: ClusterIndex): string | undefined {
  if (left.descriptor.rangeId === metaRangeId) return "the meta range never merges";
  const prefix = boundaryOf(left.descriptor, index.state.colocatedPrefixes);
  if (prefix !== undefined) return `the co-located prefix ${shownKey(prefix)} begins or ends between them`;
  for (const range of [left, right]) {
    const { rangeId } = range.descriptor;
    if (isPending(range)) return `a change of members of range ${rangeId} is under way`;
    const missing = quorumMissing(range, index);
    if (missing !== undefined) return `range ${rangeId}: ${missing}`;
    const other = range.descriptor.replicas.find(({ role }) => role !== "voter");
    if (other !== undefined) return `the replica of range ${rangeId} on store ${other.storeId} is no voter`;
  }
  const [more, fewer] = [left.descriptor.replicas.length, right.descriptor.replicas.length];
  if (more !== fewer) return `one has ${more} replicas, the other ${fewer}`;
  return notUp(left, right, index);
}

/** The end of the range is where all keys with the prefix begin or end. */
function boundaryOf({ end }: RangeDescriptor, prefixes: readonly Key[]): Key | undefined {
  return prefixes.find((prefix) => end === prefix || end === prefixEnd(prefix));
}

/** Replicas of the right range go where the left one's are, in the order of their stores. */
export function mergeGoal(left: RangeState, right: RangeState): MergeGoal {
  const missing = (from: RangeState, of: RangeState): RangeDescriptor["replicas"] =>
    from.descriptor.replicas
      .filter(({ storeId }) => memberOn(of.descriptor, storeId) === undefined)
      .toSorted((a, b) => a.storeId - b.storeId);
  const to = missing(left, right);
  const moves = missing(right, left).map(({ storeId: from }, i) => ({
    from,
    to: to[i]!.storeId,
    replicaId: noReplica,
  }));
  const { rangeId: rightRangeId, epoch } = right.descriptor;
  const seal = { index: noIndex, term: noTerm };
  return { kind: "merge", rightRangeId, rightBounds: epoch.bounds, moves, phase: "gather", seal, provenBounds: 0 };
}

/** Both small, and so small together that they are not split again soon. */
export function judgeMerge(left: RangeState, index: ClusterIndex): Verdict {
  const { settings } = index.state;
  const { mergeBytes, splitBytes } = settings;
  if (mergeBytes === 0 || left.descriptor.rangeId === metaRangeId || left.sizeBytes >= mergeBytes) return undefined;
  const right = neighbour(left, index);
  if (right === undefined || right.sizeBytes >= mergeBytes) return undefined;
  const together = left.sizeBytes + right.sizeBytes;
  if (together > splitBytes / 2) return undefined;
  const reason = `${together} bytes together with its right neighbour, each less than ${mergeBytes}`;
  const why =
    mergeRefused(left, right, index) ??
    hotTogether(left, right, settings) ??
    othersWork(right, index) ??
    failedLately(left.descriptor.rangeId, "merge", index) ??
    coolingDown(left, right, index);
  if (why !== undefined) return { blocked: `${reason}; ${why}` };
  const goal = mergeGoal(left, right);
  return decisionFor(left, goal, "merge", reason, goal.moves.length * right.sizeBytes);
}

function othersWork({ descriptor }: RangeState, index: ClusterIndex): string | undefined {
  const running = index.operators.get(descriptor.rangeId);
  return running === undefined ? undefined : `an operator works on range ${descriptor.rangeId}`;
}

/** Hysteresis: what was split or merged a moment ago is left as it is. */
function coolingDown(left: RangeState, right: RangeState, index: ClusterIndex): string | undefined {
  const { nowMs, settings } = index.state;
  for (const { descriptor } of [left, right]) {
    const reshaped = index.reshapedMs.get(descriptor.rangeId);
    if (reshaped !== undefined && nowMs < reshaped + settings.mergeCooldownMs)
      return `range ${descriptor.rangeId} was split or merged ${Math.round((nowMs - reshaped) / 1000)} s ago`;
  }
  return undefined;
}
