/** Ranges that grow are split by the cluster itself, while they are written to. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";

afterEach(closeAllClusters);

const valueBytes = 8 * 1024;
const records = 65_536;
const rangesMin = 30;
const withinMs = 180_000;

test(
  "512 MiB written into one range with --split-bytes 16MiB are in at least 30 ranges within 3 minutes, and no call fails",
  async () => {
    const cluster = await RealCluster.start({ ranges: 1, arguments: ["--split-bytes", "16MiB"] });
    const client = cluster.client();
    const values = Array.from({ length: 64 }, () => randomBytes(valueBytes));
    // Neighbours are not written together, as by people whose keys are names.
    const key = (i: number): string => `key-${String((i * 40_503) % records).padStart(5, "0")}`;
    const startedMs = performance.now();
    const failures: unknown[] = [];
    await client.putMany(
      (function* () {
        for (let i = 0; i < records; i++) yield [key(i), values[i % values.length]!] as const;
      })(),
      { onFailure: (failure: unknown) => failures.push(failure) },
    );
    const writtenMs = performance.now() - startedMs;
    expect(failures).toEqual([]);
    const userRanges = async (): Promise<number> => (await cluster.ranges()).length - 1;
    const atEnd = await userRanges();
    await until(`${rangesMin} ranges`, async () => (await userRanges()) >= rangesMin, withinMs - writtenMs);
    const tookMs = performance.now() - startedMs;
    console.log(
      `512 MiB in ${(writtenMs / 1000).toFixed(1)} s, then ${atEnd} ranges; ${rangesMin} after ${(tookMs / 1000).toFixed(1)} s`,
    );
    expect(tookMs).toBeLessThan(withinMs);
    expect(await client.count()).toBe(records);
    // A range that is split or moved meanwhile has nothing to compare at one index, and is asked again.
    await until("all replicas are equal", async () => {
      const { exitCode, out, notes } = await cluster.run(["range", "check", "--timeout", "60s"]);
      expect(notes, out).not.toContain("replicas differ");
      return exitCode === 0;
    });
  },
  withinMs + 120_000,
);
