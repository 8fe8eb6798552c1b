/** What users notice of a node that dies: a pause, and nothing else. */
import { afterEach, expect, test } from "vitest";
import { EndlessImport } from "./endless-import.ts";
import { RealCluster, closeAllClusters, isLong, until } from "./harness.ts";
import type { RangeRow } from "./harness.ts";
import { PauseMeter, rangesNotLedBy } from "./pause-meter.ts";
import { Writers, contentOf, expectExactly } from "./writers.ts";

afterEach(closeAllClusters);

const kills = isLong ? 10 : 1;
const roundsOfAll = isLong ? 20 : 2;
const pauseMsMax = 8000;
const medianPauseMsMax = 5000;
/** Ranges that the dead node did not lead notice nothing but the load on the machine. */
const otherPauseMsMax = 2500;
const operationMsMax = 30_000;

const rangesLedBy = (ranges: readonly RangeRow[], node: number): Set<number> =>
  new Set(ranges.filter(({ leaderStoreId }) => leaderStoreId === node).map(({ rangeId }) => rangeId));

const rounded = (values: readonly number[]): string => values.map((value) => Math.round(value)).join(", ");

test(
  "a node killed during an import, the placement driver first, makes it pause for seconds; it finishes, and nothing acknowledged is missing",
  { timeout: 60_000 + kills * 60_000 },
  async ({ annotate }) => {
    const cluster = await RealCluster.start();
    const evenMs = [await cluster.untilEven(9)];
    const client = cluster.client({ timeoutMs: operationMsMax });
    const before = await cluster.ranges();
    const written: string[] = [];
    const writes = new PauseMeter(before, async (key) => {
      await client.put(key, key);
      written.push(key);
    });
    const reads = new PauseMeter(before, (key) => client.get(key));
    const load = new EndlessImport(cluster);
    const pauses: number[] = [];
    const importPauses: number[] = [];
    for (let kill = 0; kill < kills; kill++) {
      await until("the import is under way", () => load.lines > 2000 * (kill + 1));
      const ranges = await cluster.ranges();
      const driver = ranges.find(({ rangeId }) => rangeId === 1)!.leaderStoreId!;
      const node = kill === 0 ? driver : (kill % 3) + 1;
      expect(rangesLedBy(ranges, node).size).toBeGreaterThan(1);
      writes.reset();
      reads.reset();
      load.longestPauseMs = 0;
      cluster.kill(node);
      await until("every range takes writes and answers reads", () => writes.allAnswered && reads.allAnswered);
      const others = rangesNotLedBy(ranges, node);
      expect(writes.longestMs(others)).toBeLessThan(otherPauseMsMax);
      expect(reads.longestMs(others)).toBeLessThan(otherPauseMsMax);
      const lines = load.lines;
      await until("the import goes on", () => load.lines > lines + 2000);
      pauses.push(Math.max(writes.longestMs(), reads.longestMs()));
      importPauses.push(load.longestPauseMs);
      await cluster.restart(node);
      evenMs.push(await cluster.untilEven(9));
    }
    await writes.stop();
    await reads.stop();
    const recordsPerSecond = await load.end();
    await annotate(
      `pauses ${rounded(pauses)} ms; of the import ${rounded(importPauses)} ms; leaders even after ${rounded(evenMs)} ms; ${load.lines} lines, ${recordsPerSecond}/s`,
    );
    expect(writes.errors).toEqual([]);
    expect(reads.errors).toEqual([]);
    const fresh = cluster.client({ timeoutMs: operationMsMax });
    await load.expectAll(fresh);
    const content = await contentOf(fresh);
    expect(written.filter((key) => content.get(key) !== key)).toEqual([]);
    for (const pause of [...pauses, ...importPauses]) expect(pause).toBeLessThan(pauseMsMax);
    const sorted = pauses.toSorted((a, b) => a - b);
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(isLong ? medianPauseMsMax : pauseMsMax);
  },
);

test(
  "every node killed at once under load loses nothing that was acknowledged, and invents nothing",
  { timeout: 30_000 + roundsOfAll * 30_000 },
  async ({ annotate }) => {
    const cluster = await RealCluster.start();
    const all: Writers[] = [];
    const readyMs: number[] = [];
    for (let round = 0; round < roundsOfAll; round++) {
      const client = cluster.client({ timeoutMs: 1000 });
      const writers = new Writers(client, 50, `${round}-`);
      all.push(writers);
      // Not always in the same state of flushes and segments.
      await until("there is load", () => writers.acknowledged.length > 1000 + ((round * 379) % 2000));
      for (const { pid } of cluster.entries()) process.kill(pid!, "SIGKILL");
      await until("writers notice", () => writers.unknown.size > 0);
      await writers.stop();
      await client.close();
      await until("all have ended", () => cluster.entries().every(({ pid }) => pid === null));
      const startedMs = performance.now();
      await Promise.all([1, 2, 3].map((node) => cluster.restart(node)));
      const reader = cluster.client({ timeoutMs: operationMsMax });
      expectExactly(await contentOf(reader), ...all);
      readyMs.push(performance.now() - startedMs);
      await reader.close();
      await until("cluster.json says so", () => cluster.entries().every(({ pid }) => pid !== null));
    }
    await annotate(
      `${all.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)} acknowledged; all read back ${rounded(readyMs)} ms after the start`,
    );
  },
);
