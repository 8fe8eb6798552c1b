/**
 * Run as a process of its own, to be killed: writes numbered batches without end, and says on its output
 * `written n` and, by the checkpoint rule, `settled n`.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { LevelEngine, acquireDirectoryLock } from "../../src/leveldb/index.ts";
import { appliedOf, fillBatch } from "./numbered-batches.ts";

const directory = process.argv[2]!;
const lock = await acquireDirectoryLock(directory);
const engine = await LevelEngine.open(join(directory, "data"), { lock, writeBufferBytes: 65536, cacheBytes: 65536 });

let noted: { n: number; files: readonly string[] } | undefined;
for (let n = appliedOf(engine) + 1; ; n++) {
  const batch = engine.batch();
  fillBatch(batch, n);
  await batch.write();
  if (n % 20 === 0) {
    writeSync(1, `written ${n}\n`);
    const files = await engine.unsettledFiles();
    if (noted !== undefined && !noted.files.some((name) => files.includes(name))) {
      writeSync(1, `settled ${noted.n}\n`);
      noted = undefined;
    }
    noted ??= { n, files };
  }
  if (n % 333 === 0) void engine.settle();
}
