/**
 * Ranges that never merge by themselves with their left neighbour, because somebody wanted them to begin where they do: those
 * that the cluster was founded with, and what administrators split off. Who does so does it before there is data, and would
 * find the empty ranges gone. Kept in the meta range as one list of range ids; a merge that is asked for takes its range out.
 */
import type { RangeId } from "@flotilla/base";
import { isEnded } from "@flotilla/placement";
import type { ClusterPlan, Operator } from "@flotilla/placement";
import type { MetaDraft } from "./meta-draft.ts";

/** Its value: a list of range ids. */
export const keptSetting = "keptRanges";

/** The list is one record; with more, further ranges are not kept. */
export const keptRangesMax = 65_536;

/** Nonsense in the record is no range. */
export function keptRanges(value: unknown): RangeId[] {
  return Array.isArray(value) ? value.filter((id): id is RangeId => Number.isSafeInteger(id) && id > 0) : [];
}

/** Of a cluster that begins: all but the meta range and the first one of the users', which begins where there is no choice. */
export const foundedRanges = ({ ranges }: Pick<ClusterPlan, "ranges">): RangeId[] =>
  ranges.slice(2).map(({ rangeId }) => rangeId);

/** An operator is written down: what it changes of the list goes with it. */
export function noteKept(draft: MetaDraft, operator: Operator): void {
  const { goal, source, state } = operator;
  if (!isEnded(operator)) return;
  const kept = keptRanges(draft.setting(keptSetting));
  if (goal.kind === "merge" && state === "done" && kept.includes(goal.rightRangeId))
    draft.set(
      keptSetting,
      kept.filter((id) => id !== goal.rightRangeId),
    );
  if (goal.kind !== "split" || source !== "admin") return;
  // It may have ended before all its parts were made.
  const parts = goal.parts.map(({ rangeId }) => rangeId).filter((id) => draft.meta.map.get(id) !== undefined);
  if (parts.length === 0) return;
  draft.set(keptSetting, [...kept, ...parts].slice(0, keptRangesMax));
}
