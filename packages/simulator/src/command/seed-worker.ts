/** A thread of the pool: a task comes in, its report goes out. A scenario's code is loaded when it is first needed. */
import { existsSync, readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { parentPort } from "node:worker_threads";
import type { SeedReport } from "../cluster/run-seed.ts";
import type { SeedTask } from "./seed-task.ts";

if (parentPort === null) throw new Error("this file is the entry of a thread");
const port = parentPort;

/** A rejection that nobody heard of; Node tells of it when the promises of the event are followed up. */
function watchRejections(hear: (error: unknown) => void): () => void {
  process.on("unhandledRejection", hear);
  return () => process.off("unhandledRejection", hear);
}

/** What a round may take from this number of ranges on; with fewer it says nothing. */
const manyRanges = 100_000;
const roundMsMax = 200;

/** Linux tells it, in nanoseconds: a clock also shows what other programs take, and what a round needs does not. */
const ownTimeFile = "/proc/thread-self/schedstat";
const ownTime = existsSync(ownTimeFile)
  ? (): number => Number(readFileSync(ownTimeFile, "latin1").split(" ")[0]) / 1e6
  : undefined;

async function run({ scenario, seed, size }: SeedTask): Promise<SeedReport> {
  switch (scenario) {
    case "cluster": {
      const { runSeed, clusterSeedOptions } = await import("../cluster/run-seed.ts");
      return runSeed(clusterSeedOptions(seed), watchRejections);
    }
    case "elastic": {
      const { runSeed, elasticSeedOptions } = await import("../cluster/run-seed.ts");
      return runSeed(elasticSeedOptions(seed), watchRejections);
    }
    case "merge": {
      const { runSeed, mergeSeedOptions } = await import("../cluster/run-seed.ts");
      return runSeed(mergeSeedOptions(seed), watchRejections);
    }
    case "recovery": {
      const { runSeed, recoverySeedOptions } = await import("../cluster/run-seed.ts");
      return runSeed(recoverySeedOptions(seed), watchRejections);
    }
    case "group": {
      const { runGroupSeed } = await import("../group/run-group-seed.ts");
      return runGroupSeed(seed);
    }
    case "placement": {
      const { runManyRangesSeed } = await import("../many-ranges/run-many-ranges-seed.ts");
      const isTimed = size !== undefined && size.ranges >= manyRanges;
      const stopwatch = (): number => performance.now();
      // Reading the file takes a third of the time of a small round.
      const times = isTimed ? { stopwatch, ownTime, roundMsMax } : { stopwatch, roundMsMax: Infinity };
      return runManyRangesSeed({ seed, ...times, ...(size === undefined ? {} : { size }) });
    }
    default:
      return scenario satisfies never;
  }
}

port.on("message", (task: SeedTask) => {
  run(task).then(
    (report) => port.postMessage(report),
    (error: unknown) => {
      // No report: the pool must hear of it.
      setImmediate(() => {
        throw error;
      });
    },
  );
});
