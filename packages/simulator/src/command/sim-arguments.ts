/** The command line of `npm run sim`. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { scenarios } from "./seed-task.ts";
import type { ClusterSize, Scenario } from "./seed-task.ts";

export const simHelp = `Usage: npm run sim -- [--seeds N] [--from SEED] [--group | --elastic | --merge | --recovery | --placement | --kept | --suite]
                      [-o table|json] [--keep-going] [--jobs N] [--stores N --ranges N]

Runs a three-node cluster, the real code on a virtual clock, network and disk, once for each seed: clients put, delete,
get, scan, count and add while the seed's faults hurt the cluster (lost, late and doubled messages, partitions, paused and
suspended nodes, crashes that lose what was not synced, slow, stuck and failing disks, wrong clocks). Then everything is
healed, read back and compared. One seed gives one run, always.

  --seeds N      how many (default 10)
  --from SEED    the first one (default 1); the others follow it
  --group        one group of the Raft core alone, whose members change, instead of the cluster
  --elastic      five nodes, whose ranges are split, moved, drained and taken out meanwhile, by hand and by themselves
  --merge        the same, and neighbours are merged
  --recovery     an elastic cluster that loses two of its stores for good; what is left of each range is recovered
  --placement    only the decisions of the placement driver, over some ten stores and a thousand ranges without data: stores
                 die, join, leave and come back, ranges grow, while the driver balances and repairs
  --stores N, --ranges N   of a cluster of --placement; from 100000 ranges on a round of the driver that takes more
                 than 200 ms is a failure
  --kept         the seeds that have found something before, from packages/simulator/kept-seeds.txt
  --suite        the seeds that npm test runs: some of each scenario, and the kept ones
  --keep-going   goes on with further seeds after one that fails
  --jobs N       threads (default: one for each core)
  -o json        one JSON document: seeds, failedSeeds, simulatedSeconds, operations, faults, faultCombinations, changes,
                 changeCombinations, coverage, changesMissed, rounds, traceHash, violations

Exit code 0: nothing was violated. 1: a seed failed; its claim, the facts that contradict each other, the latest events
and the command that repeats it are printed; or 40 and more elastic or merging seeds did not reach a line of what they are
for, or 200 and more not every kind of change. 2: the arguments are wrong.
`;

export interface SimArguments {
  readonly seeds: number;
  readonly from: number;
  readonly jobs: number;
  readonly scenario: Scenario;
  readonly size: ClusterSize | undefined;
  readonly kept: boolean;
  readonly suite: boolean;
  readonly keepGoing: boolean;
  readonly json: boolean;
}

export class UsageError extends Error {}

function wholeNumber(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < min)
    throw new UsageError(`${name} must be a whole number from ${min}, not ${text}`);
  return value;
}

/** Smaller ones could not do without a store. */
const storesMin = 6;

function clusterSize(
  { stores, ranges }: { readonly stores?: string; readonly ranges?: string },
  scenario: Scenario | undefined,
): ClusterSize | undefined {
  if (stores === undefined && ranges === undefined) return undefined;
  if (scenario !== "placement") throw new UsageError("--stores and --ranges are for --placement");
  if (stores === undefined || ranges === undefined) throw new UsageError("--stores and --ranges belong together");
  return { stores: wholeNumber("--stores", stores, storesMin), ranges: wholeNumber("--ranges", ranges, 1) };
}

export function parseSimArguments(given: string[]): SimArguments | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args: given,
      options: {
        seeds: { type: "string", default: "10" },
        from: { type: "string", default: "1" },
        jobs: { type: "string", default: String(availableParallelism()) },
        output: { type: "string", short: "o", default: "table" },
        group: { type: "boolean", default: false },
        elastic: { type: "boolean", default: false },
        merge: { type: "boolean", default: false },
        recovery: { type: "boolean", default: false },
        placement: { type: "boolean", default: false },
        stores: { type: "string" },
        ranges: { type: "string" },
        kept: { type: "boolean", default: false },
        suite: { type: "boolean", default: false },
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
  const named = scenarios.filter((scenario) => scenario !== "cluster" && values[scenario]);
  if (named.length > 1)
    throw new UsageError("--group, --elastic, --merge, --recovery and --placement are scenarios: one at a time");
  const lists = (["kept", "suite"] as const).filter((list) => values[list]);
  if (lists.length > 0 && named.length + lists.length > 1)
    throw new UsageError(`--${lists[0]!} says for each seed what it is a seed of: no --${lists[1] ?? named[0]!}`);
  return {
    seeds: wholeNumber("--seeds", values.seeds, 1),
    from: wholeNumber("--from", values.from, 0),
    jobs: wholeNumber("--jobs", values.jobs, 1),
    scenario: named[0] ?? "cluster",
    size: clusterSize(values, named[0]),
    kept: values.kept,
    suite: values.suite,
    keepGoing: values["keep-going"],
    json: values.output === "json",
  };
}
