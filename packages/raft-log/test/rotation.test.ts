import { expect, test } from "vitest";
import { CrashingFiles } from "./crashing-files.ts";
import { segmentsOf } from "./damage.ts";
import type { FileSharedLog } from "@flotilla/raft-log";
import {
  entries,
  hardState,
  index,
  openLog,
  range,
  replica,
  seededRandom,
  settle,
  smallLog,
  stateOf,
  term,
} from "./harness.ts";
import type { Model } from "./log-model.ts";
import { difference, modelOf } from "./log-model.ts";

const options = {
  ...smallLog,
  segmentBytes: 4096,
  shortSegmentBytes: 4096,
  logBytesTarget: 8192,
  rewriteBytesMax: 1500,
};

interface Run {
  /** Before each flush, with the checkpoints of that moment; acknowledged up to and with `acknowledged`. */
  readonly states: Model[];
  acknowledged: number;
  log: FileSharedLog | undefined;
}

/** Three groups, one of them idle after its start, rotation every few flushes, reclaim in between. */
async function scenario(disk: CrashingFiles, run: Run): Promise<void> {
  const log = await openLog(disk, options);
  run.log = log;
  const checkpoints = new Map<number, number>();
  const note = (): number => {
    const model = modelOf(log);
    for (const [id, group] of model) group.checkpoint = Math.max(group.truncatedIndex, checkpoints.get(id) ?? 0);
    return run.states.push(model) - 1;
  };
  for (let id = 1; id <= 3; id++) log.createGroup(range(id), replica(id), index(1), term(1));
  log.append(range(3), replica(3), entries(2, 4, 1, 100));
  for (let i = 2; i <= 14; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 600));
    log.append(range(2), replica(2), entries(i, i, i, 300));
    log.setHardState(range(2), replica(2), hardState(i, 2, i - 1));
    const taken = note();
    await log.flush();
    run.acknowledged = taken;
    for (const id of [1, 2]) {
      log.checkpoint(range(id), index(i - 1));
      checkpoints.set(id, i - 1);
    }
    note();
    if (i % 3 === 0) await log.reclaim();
    if (i % 4 === 0) log.noteIdle();
  }
  note();
  await log.close();
  run.acknowledged = run.states.length - 1;
}

function expectOneOf(run: Run, log: FileSharedLog, what: string): void {
  const found = modelOf(log);
  if (run.states.length === 0) return expect(found.size, what).toBe(0);
  let text: string | undefined = found.size === 0 && run.acknowledged < 0 ? undefined : "empty";
  for (let i = Math.max(0, run.acknowledged); text !== undefined && i < run.states.length; i++)
    text = difference(found, run.states[i]!);
  expect(text, what).toBeUndefined();
}

test("F5 F6 E22 a crash before any file operation of opening, rotation, reclaim and closing loses nothing acknowledged", async () => {
  const whole = new CrashingFiles();
  const wholeRun: Run = { states: [], acknowledged: -1, log: undefined };
  await scenario(whole, wholeRun);
  expect(segmentsOf(whole)[0]!.header.number).toBeGreaterThan(2);
  for (let at = 0; at < whole.operations; at++) {
    for (let seed = 0; seed < 2; seed++) {
      const disk = new CrashingFiles();
      disk.crashAt = at;
      const run: Run = { states: [], acknowledged: -1, log: undefined };
      await expect(scenario(disk, run)).rejects.toThrow("ECRASHED");
      await run.log?.close().catch(() => {});
      if (seed === 0) disk.kill();
      else disk.crash(seededRandom(at * 7 + seed));
      const log = await openLog(disk, options, seed);
      expectOneOf(run, log, `crash before operation ${at}, seed ${seed}`);
      // And what was believed stays, when the power goes right after.
      const believed = stateOf(log);
      disk.crash(seededRandom(at));
      expect(stateOf(await openLog(disk, options, seed + 10))).toEqual(believed);
    }
  }
});

test("F6 a segment gets its name when its header is synced, and its first frame when the name is", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, preparedSegments: 1 });
  await settle();
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 2, 1, 5000));
  await log.flush();
  const order: string[] = [];
  disk.fault = (name, path) => void order.push(`${name} ${path}`);
  log.append(range(1), replica(1), entries(3, 3, 1, 5000));
  await log.flush();
  const reserve = order[0]!.slice("write ".length);
  expect(reserve).toMatch(/^log\/reserve-/);
  expect(order.filter((step) => !step.includes("preparing")).slice(0, 6)).toEqual([
    `write ${reserve}`,
    `sync ${reserve}`,
    `rename ${reserve}`,
    "syncDirectory log",
    "write log/segment-000000000002",
    "sync log/segment-000000000002",
  ]);
  await log.close();
});

test("F6 an old segment goes only after what replaces it is durable, and one at a time", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...options, preparedSegments: 0 });
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.createGroup(range(2), replica(2), index(1), term(1));
  log.append(range(2), replica(2), entries(2, 3, 1, 50));
  for (let i = 2; i <= 20; i++) {
    log.append(range(1), replica(1), entries(i, i, 1, 600));
    await log.flush();
  }
  log.checkpoint(range(1), index(19));
  const order: string[] = [];
  disk.fault = (name, path) => void order.push(`${name} ${path.replace(/\d+$/, "")}`);
  await log.reclaim(true);
  const removals = order.flatMap((step, i) => (step.startsWith("remove") ? [i] : []));
  expect(removals.length).toBeGreaterThan(2);
  for (const at of removals) {
    expect(order[at - 1]).toMatch(/^(sync log\/segment-|syncDirectory log)/);
    expect(order[at + 1]).toBe("syncDirectory log");
  }
  await log.close();
});

test("the table of a segment is the state at the end of the one before, without what its own first frame says", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, { ...smallLog, preparedSegments: 0 });
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 2, 1, 5000));
  log.tombstone(range(7), replica(70));
  await log.flush();
  log.append(range(1), replica(1), entries(3, 3, 2, 5000));
  log.setHardState(range(1), replica(1), hardState(2, 1, 2));
  await log.flush();
  const [, second] = segmentsOf(disk);
  expect(second!.header.table).toEqual([
    {
      rangeId: 1,
      replicaId: 1,
      term: 1,
      vote: 0,
      commit: 1,
      truncatedIndex: 1,
      truncatedTerm: 1,
      lastIndex: 2,
      tombstone: 0,
    },
    {
      rangeId: 7,
      replicaId: 0,
      term: 0,
      vote: 0,
      commit: 0,
      truncatedIndex: 0,
      truncatedTerm: 0,
      lastIndex: 0,
      tombstone: 70,
    },
  ]);
  await log.close();
});

test("a frame larger than a segment gets a segment of its own size", async () => {
  const disk = new CrashingFiles();
  const log = await openLog(disk, smallLog);
  log.createGroup(range(1), replica(1), index(1), term(1));
  log.append(range(1), replica(1), entries(2, 40, 1, 2000));
  await log.flush();
  const before = stateOf(log);
  await log.close();
  expect(stateOf(await openLog(disk))).toEqual(before);
});
