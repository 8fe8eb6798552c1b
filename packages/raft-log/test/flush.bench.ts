/**
 * Frames per second and CPU per flush on the disk under the working directory. Prints; asserts nothing:
 * `vitest bench --run packages/raft-log`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { cpuUsage } from "node:process";
import { bench } from "vitest";
import { NodeFiles, nodeByteOperations, nodeClock, nodeRandom, silentLogger } from "@flotilla/platform";
import { FileSharedLog } from "@flotilla/raft-log";
import { hardState, index, range, replica, term } from "./harness.ts";

for (const [groups, entriesEach, bytes] of [[8, 1, 16384], [8, 8, 256], [100, 1, 256]] as const) {
  const name = `${groups} groups × ${entriesEach} × ${bytes} B`;
  let directory: string;
  let log: FileSharedLog;
  let last = 1;
  let flushes = 0;
  let cpu: NodeJS.CpuUsage;
  const data = new Uint8Array(bytes).fill(7);

  bench(
    name,
    async () => {
      for (let id = 1; id <= groups; id++) {
        const entries = [];
        for (let k = 1; k <= entriesEach; k++) entries.push({ index: index(last + k), term: term(1), kind: "normal" as const, data });
        log.append(range(id), replica(id), entries);
        log.setHardState(range(id), replica(id), hardState(1, 0, last));
      }
      last += entriesEach;
      await log.flush();
      if (++flushes % 500 !== 0) return;
      for (let id = 1; id <= groups; id++) log.checkpoint(range(id), index(last));
      await log.reclaim();
    },
    {
      time: 3000,
      setup: async () => {
        directory = mkdtempSync("flotilla-log-bench-");
        log = await FileSharedLog.open({}, { files: new NodeFiles(directory), bytes: nodeByteOperations, clock: nodeClock, random: nodeRandom, logger: silentLogger });
        for (let id = 1; id <= groups; id++) log.createGroup(range(id), replica(id), index(1), term(1));
        await log.flush();
        last = 1;
        flushes = 0;
        cpu = cpuUsage();
      },
      teardown: async () => {
        const { user, system } = cpuUsage(cpu);
        console.log(`${name}: CPU per flush ${Math.round(user / flushes)} us user, ${Math.round(system / flushes)} us system`);
        await log.close();
        rmSync(directory, { recursive: true });
      },
    },
  );
}
