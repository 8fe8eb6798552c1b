/** Run as a process or a thread of its own: tries to lock a directory and says what came of it. */
import { parentPort, workerData } from "node:worker_threads";
import { Failure } from "@flotilla/base";
import { acquireDirectoryLock } from "../../src/leveldb/index.ts";

const directory = parentPort === null ? process.argv[2]! : (workerData as string);
const result = await acquireDirectoryLock(directory).then(
  async (lock) => {
    await lock.release();
    return "acquired";
  },
  (error: unknown) => (error instanceof Failure ? error.code : String(error)),
);
if (parentPort === null) console.log(result);
else parentPort.postMessage(result);
