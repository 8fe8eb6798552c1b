/** What many seeds have shown together. */
import type { SeedReport } from "../cluster/run-seed.ts";
import { printableNote, Trace } from "../time/trace.ts";
import type { RoundFigures } from "../many-ranges/round-times.ts";
import { changesMissed, coverageOf } from "../placement/elastic-coverage.ts";
import { replayCommand } from "./seed-task.ts";
import type { Scenario, SeedTask } from "./seed-task.ts";

export interface SeedOutcome {
  readonly task: SeedTask;
  readonly report: SeedReport;
}

export interface RoundSummary {
  readonly rounds: number;
  readonly meanMs: number;
  readonly worstMs: number;
  /** Until a driver that takes over has its index. */
  readonly officeWorstMs: number;
  /** From the last event until nothing was under way any more, in virtual seconds. */
  readonly settledMedianSeconds: number;
  readonly settledWorstSeconds: number;
  /** Of all seeds together. */
  readonly moves: number;
  readonly transfers: number;
  /** At rest, of the mean: by how much the store differs from it that differs most in any seed. */
  readonly replicasApartPercent: number;
  readonly leadersApartPercent: number;
}

export interface SimSummary {
  readonly seeds: number;
  readonly failedSeeds: readonly number[];
  readonly simulatedSeconds: number;
  readonly operations: number;
  /** How often each kind was done. */
  readonly faults: Readonly<Record<string, number>>;
  /** Different sets of kinds that befell one seed each. */
  readonly faultCombinations: number;
  /** Of elastic, merging and recovering seeds: what became of ranges. */
  readonly changes: Readonly<Record<string, number>>;
  /** Different sets of kinds of change in one seed each. */
  readonly changeCombinations: number;
  /** The same, summed up in what such seeds are for. */
  readonly coverage: Readonly<Record<string, number>>;
  /** Of both, what so many seeds should have reached, and did not. */
  readonly changesMissed: readonly string[];
  /** Of the placement driver, where seeds look at these; times are of a real clock, but for the settling. */
  readonly rounds: RoundSummary | undefined;
  readonly traceHash: string;
  readonly violations: readonly object[];
}

/** In the order of seeds, whichever thread was first. */
export function summarize(outcomes: readonly SeedOutcome[]): SimSummary {
  const ordered = [...outcomes].sort((a, b) => a.task.seed - b.task.seed);
  const faults: Record<string, number> = {};
  const combinations = new Set<string>();
  const changes: Record<string, number> = {};
  const changeCombinations = new Set<string>();
  const trace = new Trace();
  let simulatedSeconds = 0;
  let operations = 0;
  for (const { task, report } of ordered) {
    simulatedSeconds += report.simulatedSeconds;
    operations += report.operations;
    trace.foldText(report.traceHash);
    for (const [kind, count] of Object.entries(report.faults)) faults[kind] = (faults[kind] ?? 0) + count;
    combinations.add(Object.keys(report.faults).sort().join());
    for (const [kind, count] of Object.entries(report.changes)) changes[kind] = (changes[kind] ?? 0) + count;
    if (task.scenario !== "cluster" && task.scenario !== "group")
      changeCombinations.add(Object.keys(report.changes).sort().join());
  }
  const seedsOf = (scenario: Scenario): number => ordered.filter(({ task }) => task.scenario === scenario).length;
  const merging = seedsOf("merge");
  const elasticSeeds = { elastic: seedsOf("elastic") + merging, merging, recovering: seedsOf("recovery") };
  const failed = ordered.filter(({ report }) => report.violation !== undefined);
  return {
    seeds: ordered.length,
    failedSeeds: failed.map(({ task }) => task.seed),
    simulatedSeconds: Math.round(simulatedSeconds * 1000) / 1000,
    operations,
    faults: inOrder(faults),
    faultCombinations: combinations.size,
    changes: inOrder(changes),
    changeCombinations: changeCombinations.size,
    coverage: coverageOf(changes, elasticSeeds),
    changesMissed: changesMissed(changes, elasticSeeds),
    rounds: roundSummary(ordered),
    traceHash: ordered.length === 1 ? ordered[0]!.report.traceHash : trace.digest(),
    violations: failed.map(({ task, report }) => ({
      seed: task.seed,
      ...report.violation,
      replay: replayCommand(task),
    })),
  };
}

function roundSummary(outcomes: readonly SeedOutcome[]): RoundSummary | undefined {
  const figures = outcomes.flatMap(({ report: { rounds } }) => (rounds === undefined ? [] : [rounds]));
  if (figures.length === 0) return undefined;
  const sum = (of: (each: RoundFigures) => number): number => figures.reduce((total, each) => total + of(each), 0);
  const worst = (of: (each: RoundFigures) => number): number => Math.max(...figures.map(of));
  const rounds = sum((each) => each.rounds);
  const settled = figures.map(({ settledMs }) => Math.round(settledMs / 1000)).sort((a, b) => a - b);
  const rounded = (ms: number): number => Math.round(ms * 1000) / 1000;
  return {
    rounds,
    meanMs: rounded(sum(({ totalMs }) => totalMs) / rounds),
    worstMs: rounded(worst(({ worstMs }) => worstMs)),
    officeWorstMs: rounded(worst(({ officeWorstMs }) => officeWorstMs)),
    settledMedianSeconds: settled[Math.floor(settled.length / 2)]!,
    settledWorstSeconds: settled.at(-1)!,
    moves: sum(({ moves }) => moves),
    transfers: sum(({ transfers }) => transfers),
    replicasApartPercent: rounded(worst(({ apartPercent }) => apartPercent.replicas)),
    leadersApartPercent: rounded(worst(({ apartPercent }) => apartPercent.leaders)),
  };
}

function roundsText({ rounds }: SimSummary): string[] {
  if (rounds === undefined) return [];
  const { meanMs, worstMs, officeWorstMs, settledMedianSeconds, settledWorstSeconds } = rounds;
  const { moves, transfers, replicasApartPercent, leadersApartPercent } = rounds;
  return [
    `${rounds.rounds} rounds of the driver, ${meanMs} ms each, the longest one ${worstMs} ms; ${officeWorstMs} ms to take over`,
    `at rest ${settledMedianSeconds} s after the last event in half of the seeds, ${settledWorstSeconds} s in the slowest one`,
    `${moves} replicas moved or made anew, ${transfers} leaderships handed over; at rest no store is farther from the mean than ${replicasApartPercent} % in replicas and ${leadersApartPercent} % in leaders`,
  ];
}

const inOrder = (counts: Readonly<Record<string, number>>): Record<string, number> =>
  Object.fromEntries(Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1)));

const countLines = (counts: Readonly<Record<string, number>>, width: number): string[] =>
  Object.entries(counts).map(([kind, count]) => `  ${kind.padEnd(width)} ${String(count).padStart(7)}`);

function changesText({ changes, changeCombinations, coverage, changesMissed: missed }: SimSummary): string[] {
  if (changeCombinations === 0) return [];
  return [
    `changes of ranges by kind, ${changeCombinations} different sets of kinds in one seed:`,
    ...countLines(changes, 52),
    "of these in all:",
    ...countLines(coverage, 52),
    ...missed.map((kind) => `not reached, though so many seeds should: ${kind}`),
  ];
}

export function summaryText(summary: SimSummary): string {
  const { seeds, failedSeeds, simulatedSeconds, operations, faults, faultCombinations, traceHash } = summary;
  const hours = (simulatedSeconds / 3600).toFixed(2);
  const outcome = failedSeeds.length === 0 ? "all passed" : `${failedSeeds.length} failed: ${failedSeeds.join(", ")}`;
  return [
    `faults by kind, ${faultCombinations} different sets of kinds in one seed:`,
    ...countLines(faults, 18),
    ...changesText(summary),
    ...roundsText(summary),
    `${seeds} seeds, ${outcome}; ${hours} simulated hours, ${operations} operations checked; trace hash ${traceHash}`,
    "",
  ].join("\n");
}

export function failureText({ task, report: { violation, notes } }: SeedOutcome): string {
  if (violation === undefined) return "";
  const lines = [
    `seed ${task.seed} violates: ${violation.claim}`,
    ...(violation.rangeId === 0 ? [] : [`  range ${violation.rangeId}`]),
    ...violation.facts.map((fact) => `  ${fact}`),
    `  the latest events${violation.rangeId === 0 ? "" : " of this range"}:`,
    ...notes.map((note) => `  ${printableNote(note)}`),
    `  repeat it: ${replayCommand(task)}`,
    "",
  ];
  return lines.join("\n") + "\n";
}
