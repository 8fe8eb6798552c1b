/** What elastic seeds must reach together: without it they would pass and show nothing. */

/** Kinds of changes, as `ElasticRun` counts them. */
export const changesWanted = [
  "split: ordered",
  "split: decided",
  "move: ordered",
  "move: of a node that leaves",
  "repair: decided",
  "transfer-leader: ordered",
  "transfer-leader: decided",
  "node taken out",
  "driver changed",
  "away: down",
  "away: isolated",
  "stalled with: split",
  "stopped behind: order",
  "stopped behind: split",
  "stopped behind: learner added",
  "stopped behind: joint members",
  "stopped behind: members changed",
  "stopped behind: leader changed",
  "stopped behind: driver changed",
  "stopped behind: replica made from a range snapshot",
  "stopped behind: range snapshot being loaded",
  "stopped behind: replica removed",
] as const;

/** Of merging seeds, beside the others. */
export const mergesWanted = [
  "sealed",
  "merged",
  "merge given up",
  "stopped behind: sealed",
  "stalled with: merge",
] as const;

/** So many seeds reach each of them. */
export const coverageSeedsMin = 200;

export function changesMissed(
  wanted: readonly string[],
  seeds: number,
  changes: Readonly<Record<string, number>>,
): string[] {
  return seeds < coverageSeedsMin ? [] : wanted.filter((kind) => (changes[kind] ?? 0) === 0);
}
