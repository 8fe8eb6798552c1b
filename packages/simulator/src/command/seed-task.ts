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
  | "recovery";

export const scenarios: readonly Scenario[] = ["cluster", "group", "elastic", "merge", "recovery"];

export interface SeedTask {
  readonly scenario: Scenario;
  readonly seed: number;
}

export const replayCommand = ({ scenario, seed }: SeedTask): string =>
  `npm run sim -- ${scenario === "cluster" ? "" : `--${scenario} `}--from ${seed} --seeds 1`;
