/** `npm run sim -- --seeds N --from SEED`: runs seeds of the simulation on all cores. */
import { readKeptSeeds } from "./command/kept-seeds.ts";
import { SeedPool } from "./command/seed-pool.ts";
import type { SeedTask } from "./command/seed-task.ts";
import { parseSimArguments, simHelp, UsageError } from "./command/sim-arguments.ts";
import type { SimArguments } from "./command/sim-arguments.ts";
import { suite } from "./command/suite.ts";
import { failureText, summarize, summaryText } from "./command/sim-summary.ts";
import type { SeedOutcome } from "./command/sim-summary.ts";

const progressEveryMs = 10_000;

function tasksOf({ seeds, from, scenario, size, kept, suite: all }: SimArguments): SeedTask[] {
  if (all) return suite();
  if (kept) return readKeptSeeds();
  return Array.from({ length: seeds }, (_, i) => ({ scenario, size, seed: from + i }));
}

function showProgress(outcomes: readonly SeedOutcome[], asked: number): void {
  const { seeds, failedSeeds, simulatedSeconds, operations } = summarize(outcomes);
  const hours = (simulatedSeconds / 3600).toFixed(2);
  const counts = `${seeds} of ${asked} seeds, ${failedSeeds.length} failed`;
  process.stderr.write(`${counts}; ${hours} simulated hours, ${operations} operations\n`);
}

async function main(given: string[]): Promise<number> {
  const parsed = parseSimArguments(given);
  if (parsed === "help") {
    process.stdout.write(simHelp);
    return 0;
  }
  const tasks = tasksOf(parsed);
  const outcomes: SeedOutcome[] = [];
  const progress = setInterval(() => showProgress(outcomes, tasks.length), progressEveryMs);
  try {
    await new SeedPool(Math.min(tasks.length, parsed.jobs)).run(tasks, (task, report) => {
      const outcome = { task, report };
      outcomes.push(outcome);
      if (report.violation === undefined) return true;
      process.stderr.write(failureText(outcome));
      return parsed.keepGoing;
    });
  } finally {
    clearInterval(progress);
  }
  const summary = summarize(outcomes);
  process.stdout.write(parsed.json ? JSON.stringify(summary) + "\n" : summaryText(summary));
  return summary.failedSeeds.length + summary.changesMissed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`sim: ${error.message}\nTry --help.\n`);
  process.exitCode = 2;
}
