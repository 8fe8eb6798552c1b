/** What elastic seeds must reach together: without it they would pass and show nothing. */

export interface CoverageLine {
  readonly name: string;
  /** Kinds as `ElasticRun` counts them; one that ends in a colon stands for all that begin with it. */
  readonly kinds: readonly string[];
}

/** What every run of some seeds reaches, and the summary shows. What each line stands for is said in docs/testing.md. */
export const coverageLines: readonly CoverageLine[] = [
  { name: "split", kinds: ["split"] },
  { name: "split by load", kinds: ["split: by load"] },
  { name: "move done", kinds: ["move:"] },
  { name: "transfer done", kinds: ["transfer-leader:"] },
  { name: "repair done", kinds: ["repair:"] },
  { name: "node taken out", kinds: ["node taken out"] },
  { name: "node away for long", kinds: ["away:"] },
  { name: "driver changed", kinds: ["driver changed"] },
  { name: "node stopped behind a step", kinds: ["stopped behind:"] },
  { name: "order for a sleeping range", kinds: ["ordered asleep:"] },
];

/** Of seeds that lose stores, too. */
export const sleepCoverageLines: readonly CoverageLine[] = [
  { name: "range asleep", kinds: ["asleep"] },
  { name: "replica woken by what came", kinds: ["woken: work"] },
  { name: "replica woken by a dead store", kinds: ["woken: dead"] },
  { name: "replica woken by a store's new start", kinds: ["woken: started"] },
  { name: "node stopped with sleepers", kinds: ["stopped asleep"] },
];

/** Of merging seeds, beside the others. */
export const mergeCoverageLines: readonly CoverageLine[] = [
  { name: "merge done", kinds: ["merged"] },
  { name: "merge given up", kinds: ["merge given up"] },
  { name: "merge of a sleeping range", kinds: ["ordered asleep: range-merge"] },
  { name: "merge called off on its way", kinds: ["crossed: merge"] },
];

/** Of seeds that lose stores, and of no others: the second one says that something could have been missed. */
export const recoveryCoverageLines: readonly CoverageLine[] = [
  { name: "range recovered", kinds: ["range recovered"] },
  { name: "acknowledged write given up", kinds: ["acknowledged write given up"] },
];

/** So many seeds reach every line. */
export const coverageSeedsMin = 40;

/** Single kinds that many seeds reach. */
export const changesWanted = [
  "split: ordered",
  "split: decided",
  "move: ordered",
  "move: of a node that leaves",
  "repair: decided",
  "transfer-leader: ordered",
  "transfer-leader: decided",
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
  "stopped behind: asleep",
  "ordered asleep: range-split",
  "ordered asleep: range-move",
  "ordered asleep: range-transfer-leader",
  "woken: alive again",
] as const;

/** Of merging seeds, beside the others. */
export const mergesWanted = ["sealed", "stopped behind: sealed", "stalled with: merge"] as const;

/** So many seeds reach each of them. */
export const changesSeedsMin = 200;

type Counts = Readonly<Record<string, number>>;

/** Seeds of one run. */
export interface ElasticSeeds {
  readonly elastic: number;
  /** Of which so many merge as well. */
  readonly merging: number;
  readonly recovering: number;
}

/** By the name of the line, in the order of the lines. */
export function coverageOf(changes: Counts, { elastic, merging, recovering }: ElasticSeeds): Record<string, number> {
  const lines: CoverageLine[] = [];
  if (elastic > 0) lines.push(...coverageLines);
  if (elastic + recovering > 0) lines.push(...sleepCoverageLines);
  if (merging > 0) lines.push(...mergeCoverageLines);
  if (recovering > 0) lines.push(...recoveryCoverageLines);
  return Object.fromEntries(lines.map(({ name, kinds }) => [name, sumOf(changes, kinds)]));
}

function sumOf(changes: Counts, kinds: readonly string[]): number {
  let sum = 0;
  for (const [kind, count] of Object.entries(changes))
    if (kinds.some((each) => (each.endsWith(":") ? kind.startsWith(each) : kind === each))) sum += count;
  return sum;
}

/** What so many seeds should have reached, and did not. */
export function changesMissed(changes: Counts, seeds: ElasticSeeds): string[] {
  const { elastic, merging, recovering } = seeds;
  const missed = (enough: boolean, counts: Counts, wanted: readonly string[]): string[] =>
    enough ? wanted.filter((kind) => (counts[kind] ?? 0) === 0) : [];
  const names = (lines: readonly CoverageLine[]): string[] => lines.map(({ name }) => name);
  const coverage = coverageOf(changes, seeds);
  return [
    ...missed(elastic >= coverageSeedsMin, coverage, names(coverageLines)),
    ...missed(elastic + recovering >= coverageSeedsMin, coverage, names(sleepCoverageLines)),
    ...missed(merging >= coverageSeedsMin, coverage, names(mergeCoverageLines)),
    ...missed(recovering >= coverageSeedsMin, coverage, names(recoveryCoverageLines)),
    ...missed(elastic >= changesSeedsMin, changes, changesWanted),
    ...missed(merging >= changesSeedsMin, changes, mergesWanted),
  ];
}
