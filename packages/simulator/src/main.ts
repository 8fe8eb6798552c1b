/** `npm run sim -- --seeds N --from SEED`: runs seeds of the simulated cluster on all cores. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import type { SeedReport } from "./cluster/run-seed.ts";
import { printableNote, Trace } from "./time/trace.ts";
import { SeedPool } from "./command/seed-pool.ts";

const help = `Usage: npm run sim -- [--seeds N] [--from SEED] [-o table|json] [--keep-going] [--jobs N]

Runs a three-node cluster, the real code on a virtual clock, network and disk, once for each seed: clients put, delete
and get while the seed's faults hurt the cluster (lost, late and doubled messages, partitions, paused and suspended
nodes, crashes that lose what was not synced, slow, stuck and failing disks, wrong clocks). Then everything is healed,
read back and compared. One seed gives one run, always.

  --seeds N      how many (default 10)
  --from SEED    the first one (default 1); the others follow it
  --keep-going   goes on with further seeds after one that fails
  --jobs N       threads (default: one for each core)
  -o json        one JSON document: seeds, failedSeeds, simulatedSeconds, operations, faults, traceHash, violations

Exit code 0: nothing was violated. 1: a seed failed; its claim, the facts that contradict each other, the latest events
and the command that repeats it are printed. 2: the arguments are wrong.
`;

interface Arguments {
  readonly seeds: number;
  readonly from: number;
  readonly jobs: number;
  readonly keepGoing: boolean;
  readonly json: boolean;
}

class UsageError extends Error {}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new UsageError(`${name} must be a whole number from ${min}, not ${text}`);
  return value;
}

function parseArguments(given: string[]): Arguments | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args: given,
      options: {
        seeds: { type: "string", default: "10" },
        from: { type: "string", default: "1" },
        jobs: { type: "string", default: String(availableParallelism()) },
        output: { type: "string", short: "o", default: "table" },
        "keep-going": { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  }
  if (values.help) return "help";
  if (values.output !== "table" && values.output !== "json")
    throw new UsageError(`-o is table or json, not ${values.output}`);
  const seeds = wholeNumber("--seeds", values.seeds, 1);
  return {
    seeds,
    from: wholeNumber("--from", values.from, 0),
    jobs: Math.min(seeds, wholeNumber("--jobs", values.jobs, 1)),
    keepGoing: values["keep-going"],
    json: values.output === "json",
  };
}

const replayCommand = (seed: number): string => `npm run sim -- --from ${seed} --seeds 1`;

function failureText(report: SeedReport): string {
  const { seed, violation, notes } = report;
  if (violation === undefined) return "";
  const lines = [
    `seed ${seed} violates: ${violation.claim}`,
    ...(violation.rangeId === 0 ? [] : [`  range ${violation.rangeId}`]),
    ...violation.facts.map((fact) => `  ${fact}`),
    `  the latest events${violation.rangeId === 0 ? "" : " of this range"}:`,
    ...notes.map((note) => `  ${printableNote(note)}`),
    `  repeat it: ${replayCommand(seed)}`,
    "",
  ];
  return lines.join("\n") + "\n";
}

/** In the order of seeds, whichever thread was first. */
function summary(reports: readonly SeedReport[]): Record<string, unknown> {
  const ordered = [...reports].sort((a, b) => a.seed - b.seed);
  const faults: Record<string, number> = {};
  const trace = new Trace();
  let simulatedSeconds = 0;
  let operations = 0;
  for (const report of ordered) {
    simulatedSeconds += report.simulatedSeconds;
    operations += report.operations;
    trace.foldText(report.traceHash);
    for (const [kind, count] of Object.entries(report.faults)) faults[kind] = (faults[kind] ?? 0) + count;
  }
  const failed = ordered.filter(({ violation }) => violation !== undefined);
  return {
    seeds: ordered.length,
    failedSeeds: failed.map(({ seed }) => seed),
    simulatedSeconds: Math.round(simulatedSeconds * 1000) / 1000,
    operations,
    faults: Object.fromEntries(Object.entries(faults).sort(([a], [b]) => (a < b ? -1 : 1))),
    traceHash: ordered.length === 1 ? ordered[0]!.traceHash : trace.digest(),
    violations: failed.map(({ seed, violation }) => ({ seed, ...violation, replay: replayCommand(seed) })),
  };
}

async function main(given: string[]): Promise<number> {
  const parsed = parseArguments(given);
  if (parsed === "help") {
    process.stdout.write(help);
    return 0;
  }
  const { seeds, from, jobs, keepGoing, json } = parsed;
  const reports: SeedReport[] = [];
  const pool = new SeedPool(jobs);
  const seedList = Array.from({ length: seeds }, (_, i) => from + i);
  await pool.run(seedList, (report) => {
    reports.push(report);
    if (report.violation === undefined) return true;
    process.stderr.write(failureText(report));
    return keepGoing;
  });
  const result = summary(reports);
  const failedSeeds = result["failedSeeds"] as number[];
  if (json) process.stdout.write(JSON.stringify(result) + "\n");
  else {
    const outcome = failedSeeds.length === 0 ? "all passed" : `${failedSeeds.length} failed: ${failedSeeds.join(", ")}`;
    const size = `${String(result["simulatedSeconds"])} simulated seconds, ${String(result["operations"])} operations`;
    process.stdout.write(`${reports.length} seeds, ${outcome}; ${size}; trace hash ${String(result["traceHash"])}\n`);
  }
  return failedSeeds.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`sim: ${error.message}\nTry --help.\n`);
  process.exitCode = 2;
}
