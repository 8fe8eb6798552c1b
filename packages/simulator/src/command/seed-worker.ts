/** A thread of the pool: a task comes in, its report goes out. A scenario's code is loaded when it is first needed. */
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

async function run({ scenario, seed }: SeedTask): Promise<SeedReport> {
  switch (scenario) {
    case "cluster": {
      const { runSeed, seedOptionsDefault } = await import("../cluster/run-seed.ts");
      return runSeed({ ...seedOptionsDefault, seed }, watchRejections);
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
