/**
 * What has to happen before the oldest segment can go: groups whose entries in it are all in the state machine are
 * truncated, a group that has others there gets its whole tail appended again (rule: never re-append part of a tail).
 */
import type { LogIndex, RangeId } from "@flotilla/base";
import type { GroupLog } from "./group-log.ts";

/** Counted for each entry beside its data, so that a tail of a million empty entries is not taken for nothing. */
const entryOverheadBytes = 64;

export interface ReclaimLimits {
  /** A longer tail is not appended again: its group's checkpoint has to move. */
  readonly tailBytesMax: number;
  /** All tails together; beyond it, freeing the segment would write about as much as it frees. */
  readonly totalBytesMax: number;
}

export interface ReclaimStep {
  readonly group: GroupLog;
  /** Truncate to here. */
  readonly through: LogIndex;
  /** Size of what remains and has to be appended again; 0 = nothing lies in the segment then. */
  readonly tailBytes: number;
}

export interface ReclaimPlan {
  readonly steps: readonly ReclaimStep[];
  /** Groups that hold the segment back, and how far their checkpoint has to move. */
  readonly heldBackBy: { readonly rangeId: RangeId; readonly index: LogIndex }[];
}

export function planReclaim(groups: Iterable<GroupLog>, segment: number, limits: ReclaimLimits): ReclaimPlan {
  const steps: ReclaimStep[] = [];
  const heldBackBy: { rangeId: RangeId; index: LogIndex }[] = [];
  let total = 0;
  for (const group of groups) {
    const lastWithin = group.columns.lastWithin(segment);
    if (lastWithin < group.columns.first) continue;
    if (group.checkpoint >= lastWithin) {
      steps.push({ group, through: lastWithin as LogIndex, tailBytes: 0 });
      continue;
    }
    const tailBytes = tailBytesOf(group, limits.tailBytesMax);
    if (tailBytes > limits.tailBytesMax || total + tailBytes > limits.totalBytesMax) {
      heldBackBy.push({ rangeId: group.rangeId, index: lastWithin as LogIndex });
      continue;
    }
    total += tailBytes;
    steps.push({ group, through: group.checkpoint, tailBytes });
  }
  return { steps, heldBackBy };
}

/** Of the entries above the checkpoint; counting ends when it is past `bytesMax`. */
function tailBytesOf(group: GroupLog, bytesMax: number): number {
  const { columns } = group;
  let bytes = 0;
  for (let index = columns.last; index > group.checkpoint && bytes <= bytesMax; index--) {
    bytes += columns.length(index) + entryOverheadBytes;
  }
  return bytes;
}
