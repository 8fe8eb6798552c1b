/** What a thread of the pool is given. */
export type Scenario =
  /** Three nodes, the real store and client. */
  | "cluster"
  /** One group of the Raft core alone, whose members may change. */
  | "group"
  /** Five nodes, whose ranges are split, moved and taken out. */
  | "elastic"
  /** The same, and neighbours are merged. */
  | "merge"
  /** An elastic one that loses most of its stores for good; what is left is recovered. */
  | "recovery"
  /** The decisions of the placement driver alone, over stores and ranges without data. */
  | "placement";

export const scenarios: readonly Scenario[] = ["cluster", "group", "elastic", "merge", "recovery", "placement"];

/** Of a cluster in the scenario "placement". */
export interface ClusterSize {
  readonly stores: number;
  readonly ranges: number;
}

export interface SeedTask {
  readonly scenario: Scenario;
  readonly seed: number;
  readonly size?: ClusterSize | undefined;
}

export function replayCommand({ scenario, seed, size }: SeedTask): string {
  const kind = scenario === "cluster" ? "" : `--${scenario} `;
  const large = size === undefined ? "" : `--stores ${size.stores} --ranges ${size.ranges} `;
  return `npm run sim -- ${kind}${large}--from ${seed} --seeds 1`;
}
