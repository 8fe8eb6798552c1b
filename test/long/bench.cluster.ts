/** The benchmark against real processes: that it measures what it says, finds what it should, and leaves nothing behind. */
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { RealCluster, StartedProcess, closeAllClusters, isLong } from "../cluster/harness.ts";

afterEach(closeAllClusters);

interface Result {
  readonly operations: number;
  readonly opsPerSecond: number;
  readonly errors: number;
  readonly unsent: number;
  readonly durationMs: number;
  readonly recordsPerSecond: number | null;
  readonly serviceMs: { readonly p50: number } | null;
  readonly latencyMs: { readonly p50: number };
  readonly runs: readonly object[];
  readonly linearizability: {
    readonly verdict: string;
    readonly operations: number;
    readonly complete: boolean;
  } | null;
}

const quick = ["--duration", "1", "--warm-up", "0", "--keys", "500", "--in-flight", "50", "-o", "json"];

test("reads and writes of a load are recorded, and their history is linearizable", async () => {
  const cluster = await RealCluster.start();
  const loads = [
    ["mixed", "--check", "--distribution", "zipfian", "--runs", "2"],
    ["read-modify-write", "--check"],
    ["put", "--check", "--distribution", "sequential"],
  ];
  for (const load of loads) {
    const { exitCode, out, notes } = await cluster.run(["bench", ...load, ...quick]);
    expect([exitCode, notes]).toEqual([0, expect.stringContaining("kept in ")]);
    const { linearizability, operations, runs } = JSON.parse(out) as Result;
    expect(linearizability).toMatchObject({ verdict: "pass", complete: true });
    // What is written first and what is read at the end belongs to the history as well.
    expect(linearizability!.operations).toBeGreaterThan(operations + 1000);
    expect(runs.length).toBe(load.includes("--runs") ? 2 : 1);
  }
});

test("a load by the clock accounts for every operation that was due, and a scan counts its records", async () => {
  const cluster = await RealCluster.start();
  const paced = await cluster.run(["bench", "put", ...quick, "--rate", "300", "--no-save"]);
  const put = JSON.parse(paced.out) as Result;
  expect([paced.exitCode, put.errors]).toEqual([0, 0]);
  // Each operation that was due was answered, is one of the 50 under way, or was never sent; a busy machine's timers
  // may be half a second late at either end.
  const due = (300 * put.durationMs) / 1000;
  const slack = isLong ? 60 : 200;
  expect(put.operations + put.unsent).toBeGreaterThan(due - slack);
  expect(put.operations + put.unsent).toBeLessThan(due + slack);
  expect(put.serviceMs!.p50).toBeLessThanOrEqual(put.latencyMs.p50);
  const scanned = await cluster.run(["bench", "scan", ...quick, "--scan-records", "7", "--no-save"]);
  const scan = JSON.parse(scanned.out) as Result;
  expect([scanned.exitCode, scan.errors]).toEqual([0, 0]);
  expect(scan.recordsPerSecond! / scan.opsPerSecond).toBeGreaterThan(5);
});

test("a benchmark with a cluster of its own stops its nodes and removes their data", async () => {
  const directory = await mkdtemp(join(tmpdir(), "flotilla-bench-test-"));
  try {
    const run = new StartedProcess(
      ["bench", "overload", ...["--before", "2s", "--duration", "2s", "--after", "2s", "--sync-delay", "20ms"]].concat([
        "--in-flight",
        "500",
        "--usual-in-flight",
        "50",
        "--keys",
        "1000",
        "-o",
        "json",
        "--no-save",
      ]),
      directory,
    );
    const { exitCode, out, notes } = await run.ended;
    expect([exitCode, notes]).toEqual([0, expect.stringContaining("starting a cluster")]);
    const { phases } = JSON.parse(out) as { phases: { name: string; latencyMs: { p50: number } }[] };
    expect(phases.map(({ name }) => name)).toEqual(["before", "overload", "after"]);
    // The delay is in every answer of the overload.
    expect(phases[1]!.latencyMs.p50).toBeGreaterThan(20);
    expect(readdirSync(directory)).toEqual([]);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test("the benchmark measures what it says", async () => {
  const cluster = await RealCluster.start();
  for (const workload of ["put", "get"]) {
    const { exitCode, out } = await cluster.run([
      "bench",
      workload,
      "--duration",
      "1",
      "--warm-up",
      "1",
      "--keys",
      "2000",
      "--in-flight",
      "64",
      "--clients",
      "2",
      "-o",
      "json",
    ]);
    expect(exitCode).toBe(0);
    const result = JSON.parse(out) as Record<string, number> & { latencyMs: Record<string, number> };
    expect(result).toMatchObject({
      workload,
      errors: 0,
      unknown: 0,
      inFlight: 64,
      keyBytes: 16,
      valueBytes: 256,
      keys: 2000,
    });
    expect(result["operations"]).toBeGreaterThan(100);
    expect((result["opsPerSecond"]! * result["durationMs"]!) / 1000 / result["operations"]!).toBeCloseTo(1, 2);
    expect(result.latencyMs["p50"]!).toBeLessThanOrEqual(result.latencyMs["p99"]!);
    expect(result["cpuMicrosPerOperation"]).toBeGreaterThan(0);
    expect(result["peakRssBytes"]).toBeGreaterThan(10_000_000);
    if (workload === "put") expect(result["fsyncs"]).toBeGreaterThan(0);
  }
  expect((await cluster.run(["scan", "--count"])).out).toBe("2000\n");
});
