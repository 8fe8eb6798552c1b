/**
 * Splits by load: a range that has had more load than it should for a while is split at the key that its leader found to halve
 * it. The leader samples for three windows of five seconds before it names one, and after a split both halves begin anew, so
 * nothing is split by one burst. Two ranges merge only when their load together is at most half of what splits a range.
 */
import { metaRangeId } from "@flotilla/base";
import type { LoadReport } from "@flotilla/transport";
import type { ClusterIndex } from "./cluster-index.ts";
import type { RangeState } from "./cluster-state.ts";
import type { OperatorGoal } from "./operator.ts";
import type { PlacementSettings } from "./placement-settings.ts";
import { decisionFor, failedLately } from "./range-verdict.ts";
import type { Verdict } from "./range-verdict.ts";
import { shownKey, splitKeyRefused } from "./split-keys.ts";

export const noLoad: LoadReport = {
  operationsPerSecond: 0,
  bytesPerSecond: 0,
  loopPercent: 0,
  splitKey: undefined,
  splitReason: "",
};

type Load = Pick<LoadReport, "operationsPerSecond" | "bytesPerSecond" | "loopPercent">;

/** What is more than `share` of the limit, in words; undefined: none of it. */
function over(load: Load, settings: PlacementSettings, share: number): string | undefined {
  const { splitOperationsPerSecond, splitBytesPerSecond, splitLoopPercent } = settings;
  const measures: [number, number, string][] = [
    [load.operationsPerSecond, splitOperationsPerSecond, "operations a second"],
    [load.bytesPerSecond, splitBytesPerSecond, "bytes a second"],
    [load.loopPercent, splitLoopPercent, "percent of its leader's loop"],
  ];
  for (const [value, limit, name] of measures)
    if (limit > 0 && value > limit * share) return `${Math.round(value)} ${name}, more than ${limit * share}`;
  return undefined;
}

export function isHotRange({ descriptor, load }: RangeState, { state }: ClusterIndex): boolean {
  const { splitOperationsPerSecond, splitBytesPerSecond, splitLoopPercent } = state.settings;
  const isOff = splitOperationsPerSecond === 0 && splitBytesPerSecond === 0 && splitLoopPercent === 0;
  return !isOff && descriptor.rangeId !== metaRangeId && over(load, state.settings, 1) !== undefined;
}

export function judgeLoadSplit(range: RangeState, index: ClusterIndex): Verdict {
  const { settings, colocatedPrefixes } = index.state;
  const { descriptor, load } = range;
  if (descriptor.rangeId === metaRangeId) return undefined;
  const hot = over(load, settings, 1);
  if (hot === undefined) return undefined;
  if (load.splitKey === undefined)
    return {
      blocked: `${hot}; ${load.splitReason === "" ? "its keys are being sampled" : `no useful key: ${load.splitReason}`}`,
    };
  const wait =
    splitKeyRefused(load.splitKey, descriptor, colocatedPrefixes) ?? failedLately(descriptor.rangeId, "split", index);
  if (wait !== undefined) return { blocked: `${hot}; ${wait}` };
  const goal: OperatorGoal = { kind: "split", count: 2, keys: [load.splitKey], prefixes: colocatedPrefixes, parts: [] };
  return decisionFor(range, goal, "split", `${hot}; ${shownKey(load.splitKey)} halves them`);
}

/** Why the two would be too hot together to merge by themselves; undefined when they would not. */
export function hotTogether(left: RangeState, right: RangeState, settings: PlacementSettings): string | undefined {
  const [a, b] = [left.load, right.load];
  const load = {
    operationsPerSecond: a.operationsPerSecond + b.operationsPerSecond,
    bytesPerSecond: a.bytesPerSecond + b.bytesPerSecond,
    loopPercent: a.loopPercent + b.loopPercent,
  };
  const hot = over(load, settings, 0.5);
  return hot === undefined ? undefined : `they have ${hot} together`;
}
