/** `npm run sim:defects`: sources with one defect each, and after how many seeds the simulator finds it. */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { buildDefects } from "./build.ts";
import type { BrokenBuild } from "./build.ts";
import { readDefects } from "./defect.ts";
import type { Defect } from "./defect.ts";
import { hunt } from "./hunt.ts";
import type { Found } from "./hunt.ts";
import { testingPage, withTable } from "./table.ts";

const help = `Usage: npm run sim:defects -- [--recorded [--long] | --record] [-o table|json] [ID...]

Puts each defect of test/defects into a copy of the sources, builds it, and runs seeds of the simulator, from 1 on, until
one finds it: at most 300 of a cluster, elastic or merging or not, 3000 of a group. The exit code is 1 when one is not
found, or its patch does not apply or build any more.

  --recorded  the seed that is written down in each patch, and the first 30 where that one passes by now; patches with
              "Run: long" are built and not run
  --long      with --recorded: those are run, too, and sought in all seeds where the recorded one passes by now
  --record    writes down the seeds that were needed, in the patches and in docs/testing.md
  -o json     one JSON document: passed, failed, failures
`;

const seedsMax = { cluster: 300, group: 3000, elastic: 300, merge: 300, recovery: 300 } as const;
/** Tried where the recorded seed does not find the defect any more. */
const elsewhereSeeds = 30;
const root = fileURLToPath(new URL("../../..", import.meta.url));

interface Outcome {
  readonly defect: Defect;
  readonly found: Found | undefined;
  readonly seconds: number;
  /** Why it counts as failed. */
  readonly failure: string | undefined;
}

async function huntOne(build: BrokenBuild, recordedOnly: boolean, long: boolean): Promise<Outcome> {
  const { defect } = build;
  const start = performance.now();
  if (recordedOnly && defect.long && !long) return { defect, found: undefined, seconds: 0, failure: undefined };
  const all = { from: 1, seeds: seedsMax[defect.scenario] };
  // The sources have changed since, and lead the seed elsewhere: the defect must be found all the same, soon.
  const elsewhere = defect.long ? all : { from: 1, seeds: elsewhereSeeds };
  let found: Found | undefined;
  let failure: string | undefined;
  try {
    found = await hunt(root, build, recordedOnly ? { from: defect.seed, seeds: 1 } : all);
    if (found === undefined && recordedOnly) found = await hunt(root, build, elsewhere);
    if (found === undefined)
      failure = recordedOnly
        ? `seed ${defect.seed} passes, and so do 1 to ${elsewhere.seeds}`
        : `${all.seeds} seeds pass`;
  } catch (error) {
    failure = error instanceof Error ? error.message : String(error);
  }
  return { defect, found, seconds: (performance.now() - start) / 1000, failure };
}

function show({ defect, found, seconds, failure }: Outcome): void {
  const moved = found === undefined || found.seed === defect.seed ? "" : ` (recorded: ${defect.seed})`;
  const seen = found === undefined ? "builds" : `seed ${found.seed}${moved}: ${found.claim}`;
  const what = failure ?? seen;
  process.stderr.write(`${defect.id.padEnd(24)} ${seconds.toFixed(1).padStart(6)} s  ${what}\n`);
}

function record(outcomes: readonly Outcome[]): void {
  for (const { defect, found } of outcomes) {
    if (found === undefined) continue;
    const path = join(root, defect.path);
    writeFileSync(path, readFileSync(path, "utf8").replace(/^Seed: .*$/m, `Seed: ${found.seed}`));
  }
  const page = join(root, testingPage);
  writeFileSync(page, withTable(readFileSync(page, "utf8"), readDefects(root)));
}

async function main(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      recorded: { type: "boolean", default: false },
      long: { type: "boolean", default: false },
      record: { type: "boolean", default: false },
      output: { type: "string", short: "o", default: "table" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  const all = readDefects(root);
  const unknown = positionals.filter((id) => !all.some((defect) => defect.id === id));
  if (unknown.length > 0) throw new Error(`no defect is called ${unknown.join(", ")}`);
  const defects = positionals.length === 0 ? all : all.filter(({ id }) => positionals.includes(id));
  const { built, failed } = buildDefects(root, defects);
  const outcomes: Outcome[] = failed.map(({ defect, why }) => ({ defect, found: undefined, seconds: 0, failure: why }));
  for (const outcome of outcomes) show(outcome);
  // Those that take longest first.
  const waiting = [...built].sort((a, b) => a.defect.scenario.localeCompare(b.defect.scenario));
  const worker = async (): Promise<void> => {
    for (let build = waiting.shift(); build !== undefined; build = waiting.shift()) {
      const outcome = await huntOne(build, values.recorded, values.long);
      outcomes.push(outcome);
      show(outcome);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (values.record) record(outcomes);
  report(outcomes, values.output === "json");
  return outcomes.every(({ failure }) => failure === undefined) ? 0 : 1;
}

function report(outcomes: readonly Outcome[], json: boolean): void {
  const failures = outcomes.flatMap(({ defect, failure }) =>
    failure === undefined ? [] : [`${defect.id}: ${failure}`],
  );
  if (json) {
    process.stdout.write(
      JSON.stringify({ passed: outcomes.length - failures.length, failed: failures.length, failures }) + "\n",
    );
    return;
  }
  for (const { defect, found } of [...outcomes].sort((a, b) => a.defect.id.localeCompare(b.defect.id)))
    process.stdout.write(
      `${defect.id.padEnd(24)} ${defect.scenario.padEnd(8)} ${String(found?.seed ?? (defect.long ? "not run" : "not found")).padStart(9)}  ${defect.title}\n`,
    );
  process.stdout.write(`${outcomes.length} defects, ${failures.length} failed\n`);
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`sim:defects: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
