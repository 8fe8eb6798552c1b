import { join } from "node:path";
import { nodeByteOperations } from "@flotilla/platform";
import { MemoryEngineDisk } from "../src/index.ts";
import { engineConformance } from "../src/conformance/index.ts";
import { LevelEngine, acquireDirectoryLock } from "../src/leveldb/index.ts";
import { describe, test } from "vitest";
import { temporaryDirectories } from "./directories.ts";
import { microtaskScheduler } from "./microtask-scheduler.ts";

const newDirectory = temporaryDirectories();

describe("MemoryEngine", () => {
  for (const { name, run } of engineConformance) {
    test(name, () =>
      run(() => new MemoryEngineDisk({}, { scheduler: microtaskScheduler, bytes: nodeByteOperations }).open()),
    );
  }
});

describe("LevelEngine", () => {
  for (const { name, run } of engineConformance) {
    test(name, async () => {
      const directory = newDirectory();
      const lock = await acquireDirectoryLock(directory);
      await run(() => LevelEngine.open(join(directory, "data"), { lock, cacheBytes: 1024 * 1024 }));
      await lock.release();
    });
  }
});
