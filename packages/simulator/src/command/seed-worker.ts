/** A thread of the pool: a seed comes in, its report goes out. */
import { parentPort } from "node:worker_threads";
import { runSeed, seedOptionsDefault } from "../cluster/run-seed.ts";

if (parentPort === null) throw new Error("this file is the entry of a thread");
const port = parentPort;

/** A rejection that nobody heard of; Node tells of it when the promises of the event are followed up. */
function watchRejections(hear: (error: unknown) => void): () => void {
  process.on("unhandledRejection", hear);
  return () => process.off("unhandledRejection", hear);
}

port.on("message", (seed: number) => {
  runSeed({ ...seedOptionsDefault, seed }, watchRejections).then(
    (report) => port.postMessage(report),
    (error: unknown) => {
      // No report: the pool must hear of it.
      setImmediate(() => {
        throw error;
      });
    },
  );
});
