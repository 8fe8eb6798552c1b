import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { NodeFiles } from "@flotilla/platform";
import { entries, entry, hardState, index, openLog, range, replica, stateOf, term } from "./harness.ts";

const made: string[] = [];

async function directory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "flotilla-log-"));
  made.push(path);
  return path;
}

afterEach(async () => {
  for (const path of made.splice(0)) await rm(path, { recursive: true, force: true });
});

test("a log on real files says the same after it was closed and opened", async () => {
  const path = await directory();
  const log = await openLog(new NodeFiles(path), { segmentBytes: 65536, logBytesTarget: 131072, cacheBytes: 10_000 });
  for (let id = 1; id <= 8; id++) log.createGroup(range(id), replica(id + 100), index(1), term(1));
  await log.flush();
  for (let round = 0; round < 40; round++) {
    for (let id = 1; id <= 8; id++)
      log.append(range(id), replica(id + 100), [entry(round + 2, 1 + (round >> 3), 1 + round * 97)]);
    log.setHardState(range(1), replica(101), hardState(1 + (round >> 3), 101, round));
    await log.flush();
    for (let id = 1; id <= 8; id++) log.checkpoint(range(id), index(round + 1));
    if (round % 8 === 7) await log.reclaim();
  }
  const before = stateOf(log);
  await log.close();
  expect((await readdir(join(path, "log"))).filter((name) => name.startsWith("preparing"))).toEqual([]);
  const again = await openLog(new NodeFiles(path), { segmentBytes: 65536 });
  expect(stateOf(again)).toEqual(before);
  await again.close();
});

test("a new log with segments of 64 MiB opens at once, and prepares them behind", async () => {
  const path = await directory();
  const started = performance.now();
  const log = await openLog(new NodeFiles(path), {});
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 4, 1));
  await log.flush();
  const took = performance.now() - started;
  await log.close();
  expect(took).toBeLessThan(1000);
  expect((await readdir(join(path, "log"))).filter((name) => name.startsWith("preparing"))).toEqual([]);
});
