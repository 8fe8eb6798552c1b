/**
 * Frames per second and CPU per flush on the disk under the working directory. Prints; asserts nothing. After a build:
 * `node packages/raft-log/bench/flush.bench.mjs`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { NodeFiles, nodeByteOperations, nodeClock, nodeRandom, silentLogger } from "@flotilla/platform";
import { FileSharedLog } from "../dist/index.js";

const flushes = 3000;

function stage(log, groups, entriesEach, data, last) {
  for (let id = 1; id <= groups; id++) {
    const entries = [];
    for (let k = 1; k <= entriesEach; k++) entries.push({ index: last + k, term: 1, kind: "normal", data });
    log.append(id, id, entries);
    log.setHardState(id, id, { term: 1, vote: 0, commit: last });
  }
}

async function measure(groups, entriesEach, bytes) {
  const directory = mkdtempSync("flotilla-log-bench-");
  const dependencies = {
    files: new NodeFiles(directory),
    bytes: nodeByteOperations,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
  };
  const openedMs = performance.now();
  const log = await FileSharedLog.open({}, dependencies);
  const openMs = performance.now() - openedMs;
  for (let id = 1; id <= groups; id++) log.createGroup(id, id, 1, 1);
  await log.flush();
  const data = Buffer.alloc(bytes, 7);
  const latenciesMs = [];
  let last = 1;
  const cpu = process.cpuUsage();
  const startedMs = performance.now();
  for (let i = 1; i <= flushes; i++) {
    stage(log, groups, entriesEach, data, last);
    last += entriesEach;
    const flushedMs = performance.now();
    await log.flush();
    latenciesMs.push(performance.now() - flushedMs);
    if (i % 500 !== 0) continue;
    for (let id = 1; id <= groups; id++) log.checkpoint(id, last);
    await log.reclaim();
  }
  const seconds = (performance.now() - startedMs) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  latenciesMs.sort((a, b) => a - b);
  const at = (share) => latenciesMs[Math.floor(share * flushes)].toFixed(2);
  const mebibytes = log.statistics().bytesWritten / 1048576;
  console.log(
    `${groups} groups x ${entriesEach} x ${bytes} B: ${Math.round(flushes / seconds)} frames/s, ${Math.round(mebibytes / seconds)} MiB/s, ` +
      `flush p50 ${at(0.5)} p99 ${at(0.99)} ms, CPU per flush ${Math.round(user / flushes)} us user ${Math.round(system / flushes)} us system, open ${openMs.toFixed(0)} ms`,
  );
  await log.close();
  rmSync(directory, { recursive: true });
}

await measure(8, 1, 16384);
await measure(8, 8, 256);
await measure(100, 1, 256);
