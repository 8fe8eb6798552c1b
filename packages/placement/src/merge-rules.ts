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
import { senderBusy, targetBusy, targetRefused } from "./spread.ts";

/** The range that begins where this one ends. */
export function neighbour({ descriptor }: RangeState, index: ClusterIndex): RangeState | undefined {
  return index.startingAt(descriptor.end);
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

/** Both small, and so small together that they are not split again soon: without that `judgeMerge` decides nothing. */
export function isSmallBesideSmall(left: RangeState, index: ClusterIndex): boolean {
  const { mergeBytes, splitBytes } = index.state.settings;
  const isSmall = ({ sizeKnown, sizeBytes }: RangeState): boolean => sizeKnown && sizeBytes < mergeBytes;
  if (mergeBytes === 0 || left.descriptor.rangeId === metaRangeId || !isSmall(left)) return false;
  const right = neighbour(left, index);
  return right !== undefined && isSmall(right) && left.sizeBytes + right.sizeBytes <= splitBytes / 2;
}

export function judgeMerge(left: RangeState, index: ClusterIndex): Verdict {
  const { mergeBytes, splitBytes } = index.state.settings;
  const { rangeId } = left.descriptor;
  if (mergeBytes === 0 || rangeId === metaRangeId || (left.sizeKnown && left.sizeBytes >= mergeBytes)) return undefined;
  const right = neighbour(left, index);
  if (right === undefined) return undefined;
  if (!left.sizeKnown) return { blocked: sizeUnknown(left) };
  const name = `range ${right.descriptor.rangeId}, its right neighbour`;
  const together = left.sizeBytes + right.sizeBytes;
  const small = `${left.sizeBytes} bytes, less than ${mergeBytes}`;
  if (!right.sizeKnown) return { blocked: `${small}; ${sizeUnknown(right)}` };
  if (right.sizeBytes >= mergeBytes) return { blocked: `${small}; ${name}, has ${right.sizeBytes}` };
  if (together > splitBytes / 2)
    return { blocked: `${small}; with ${name}, ${together}, more than half of what splits a range` };
  const reason = `${together} bytes together with its right neighbour, each less than ${mergeBytes}`;
  const refused = keptApart(left, right, index) ?? mergeRefused(left, right, index);
  if (refused !== undefined) return { blocked: `${reason}; ${refused}` };
  const goal = mergeGoal(left, right);
  const wait = notNow(left, right, goal, index);
  if (wait !== undefined) return { blocked: `${reason}; ${wait}` };
  return decisionFor(left, goal, "merge", reason, goal.moves.length * right.sizeBytes);
}

/** For `range explain`, which is asked about the right one of two as well. */
export function judgeMerges(range: RangeState, index: ClusterIndex): Verdict {
  const toTheRight = judgeMerge(range, index);
  const toTheLeft = judgeTakenIn(range, index);
  if (toTheRight === undefined || toTheLeft === undefined) return toTheRight ?? toTheLeft;
  if ("decision" in toTheRight) return toTheRight;
  return "decision" in toTheLeft ? toTheLeft : { blocked: `${toTheRight.blocked}. ${toTheLeft.blocked}` };
}

function judgeTakenIn(right: RangeState, index: ClusterIndex): Verdict {
  const { mergeBytes } = index.state.settings;
  if (right.sizeKnown && right.sizeBytes >= mergeBytes) return undefined;
  const left = index.endingAt(right.descriptor.start);
  if (mergeBytes === 0 || left === undefined || left.descriptor.rangeId === metaRangeId) return undefined;
  const { rangeId } = left.descriptor;
  const verdict = judgeMerge(left, index);
  if (verdict === undefined)
    return { blocked: `${right.sizeBytes} bytes; range ${rangeId}, its left neighbour, has ${left.sizeBytes}` };
  return "decision" in verdict ? verdict : { blocked: `Range ${rangeId}, to the left: ${verdict.blocked}` };
}

/** By a leader that is new, or of a range that has had these bounds for a moment only. */
const sizeUnknown = ({ descriptor }: RangeState): string => `the size of range ${descriptor.rangeId} is not known yet`;

/** Who splits by hand, or founds a cluster with many ranges, does so before there is data. */
function keptApart(
  { descriptor: left }: RangeState,
  { descriptor: right }: RangeState,
  index: ClusterIndex,
): string | undefined {
  if (!index.state.keptRanges.has(right.rangeId)) return undefined;
  return `range ${right.rangeId} begins where it was asked for: only flotilla range merge ${left.rangeId} ${right.rangeId} joins them`;
}

/** What will be otherwise in a while. */
function notNow(left: RangeState, right: RangeState, goal: MergeGoal, index: ClusterIndex): string | undefined {
  return (
    hotTogether(left, right, index.state.settings) ??
    othersWork(right, index) ??
    failedLately(left.descriptor.rangeId, "merge", index) ??
    coolingDown(left, right, index) ??
    gatherRefused(goal, right, index)
  );
}

function othersWork({ descriptor }: RangeState, index: ClusterIndex): string | undefined {
  return index.isBusy(descriptor.rangeId) ? `an operator works on range ${descriptor.rangeId}` : undefined;
}

/**
 * Hysteresis: what was split a moment ago is left as it is. What was merged goes on sooner, for nothing splits it again but
 * growth or load, and a row of small ranges takes many merges.
 */
function coolingDown(left: RangeState, right: RangeState, index: ClusterIndex): string | undefined {
  const { nowMs, settings } = index.state;
  for (const { descriptor } of [left, right]) {
    const splitMs = index.history.splitMs.get(descriptor.rangeId) ?? -Infinity;
    if (nowMs < splitMs + settings.mergeCooldownMs)
      return `range ${descriptor.rangeId} was split ${Math.round((nowMs - splitMs) / 1000)} s ago`;
    const mergedMs = index.history.mergedMs.get(descriptor.rangeId) ?? -Infinity;
    if (nowMs < mergedMs + settings.mergePauseMs)
      return `range ${descriptor.rangeId} was merged ${Math.round((nowMs - mergedMs) / 1000)} s ago`;
  }
  return undefined;
}

/** The right range's replicas move first, by range snapshots as others do. */
function gatherRefused({ moves }: MergeGoal, right: RangeState, index: ClusterIndex): string | undefined {
  const { settings } = index.state;
  for (const { to } of moves) {
    const load = index.stores.get(to);
    if (load === undefined) return `store ${to} is not known`;
    const why = targetRefused(load, right.sizeBytes, settings) ?? targetBusy(load, settings);
    if (why !== undefined) return why;
  }
  return moves.length === 0 ? undefined : senderBusy(right, index);
}
