/** A thread of the pool: a seed comes in, its report goes out. */
import { parentPort } from "node:worker_threads";
import { runSeed, seedOptionsDefault } from "./cluster/run-seed.ts";

if (parentPort === null) throw new Error("this file is the entry of a thread");
const port = parentPort;

port.on("message", (seed: number) => {
  runSeed({ ...seedOptionsDefault, seed }).then(
    (report) => port.postMessage(report),
    (error: unknown) => {
      // No report: the pool must hear of it.
      setImmediate(() => {
        throw error;
      });
    },
  );
});
