import { tmpdir } from "node:os";
import { describe, expect, test } from "vitest";
import type { Invocation } from "../../src/command-io.ts";
import { checkPerfMs, estimatedMs, parseComparePlan, rows } from "../../src/bench/compare/compare-plan.ts";
import { parseWorkloadPlan } from "../../src/bench/workload-plan.ts";
import { FakeCluster, run } from "../fake-cluster.ts";

async function refused(...argv: string[]): Promise<{ message: string; connections: number }> {
  const cluster = new FakeCluster();
  const { exitCode, notes } = await run(["bench", ...argv, "-o", "json"], { cluster });
  const { error } = JSON.parse(notes.split("\n")[0]!) as { error: { code: string; message: string } };
  expect([exitCode, error.code]).toEqual([2, "InvalidArgument"]);
  return { message: error.message, connections: cluster.connections };
}

describe("a workload", () => {
  test.each<[string[], string]>([
    [["put", "--in-flight", "0"], "--in-flight must be a whole number from 1"],
    [["put", "--clients", "3", "--in-flight", "2"], "each client needs an operation"],
    [["put", "--rate", "fast"], "--rate must be a whole number"],
    [["put", "--distribution", "normal"], "--distribution must be one of uniform, zipfian, sequential"],
    [["put", "--distribution", "zipfian", "--keys", "100000000"], "zipfian draws from at most"],
    [["put", "--key-bytes", "5000"], "--key-bytes must be a whole number from 1 to 4096"],
    [["put", "--duration", "soon"], "--duration must be a duration"],
    [["put", "--seed", "-1"], "--seed must be a whole number from 0"],
    [["put", "--runs", "0"], "--runs must be a whole number from 1"],
    [["get", "--keys", "6000000"], "all keys are written before they are read"],
    [["mixed", "--reads", "101"], "--reads must be a whole number from 0 to 100"],
    [["mixed", "--check", "--value-bytes", "7"], "with --check at least 8"],
    [["mixed", "--check", "--no-preload"], "exclude each other"],
    [["put", "--check", "--keys", "2000000"], "with --check at most 1000000"],
    [["mixed", "--check", "--in-flight", "1000", "--value-bytes", "100000"], "times --in-flight must be at most"],
    [["scan", "--check"], "unknown option '--check'"],
    [["scan", "--scan-records", "0"], "--scan-records must be a whole number from 1"],
    [["put", "--reads", "50"], "unknown option '--reads'"],
  ])("%j is refused before anything is connected", async (argv, message) => {
    const found = await refused(...argv);
    expect(found.message).toContain(message);
    expect(found.connections).toBe(0);
  });

  test("without options is a closed loop of 1 000 over uniform keys, batching, with a preload for reads only", () => {
    const options = {
      ...{ inFlight: "1000", clients: "1", keyBytes: "16", valueBytes: "256", keys: "100000", runs: "1" },
      ...{ distribution: "uniform", duration: "10", warmUp: "0" },
    };
    const plan = parseWorkloadPlan({ options } as unknown as Invocation, "put");
    expect(plan).toMatchObject({
      ratePerSecond: undefined,
      batching: true,
      preload: false,
      durationMs: 10_000,
      warmUpMs: 0,
    });
    expect(parseWorkloadPlan({ options } as unknown as Invocation, "get").preload).toBe(true);
  });
});

describe("the comparison", () => {
  const plan = (options: Record<string, string>): ReturnType<typeof parseComparePlan> =>
    parseComparePlan({ options: { rounds: "2", duration: "15", warmUp: "3", ...options } });

  test("takes less than 15 minutes as it is, check perf's minute included", () => {
    const whole = plan({});
    expect(whole.rows).toEqual(rows);
    expect(estimatedMs(whole)).toBeLessThan(15 * 60_000);
    expect(estimatedMs(plan({ rows: "1", rounds: "1" }))).toBeGreaterThan(checkPerfMs);
  });

  test("that would take longer is refused, and so are rows that do not exist", async () => {
    expect(() => plan({ rounds: "4" })).toThrow("at most 15 are allowed");
    expect(() => plan({ rows: "2,5" })).toThrow("there are 1, 2, 3, 4");
    expect(plan({ rows: "4, 2" }).rows.map(({ row }) => row)).toEqual([2, 4]);
  });

  test("without etcd names the command that installs it", async () => {
    const { exitCode, notes } = await run(["bench", "compare", "--etcd", "/nowhere/etcd", "-o", "json"]);
    expect(exitCode).toBe(2);
    expect(JSON.parse(notes)).toMatchObject({
      error: { code: "InvalidArgument", hint: expect.stringContaining("apt-get install etcd-server etcd-client") },
    });
  });
});

describe("the long ones", () => {
  test.each<[string[], string]>([
    [["sustained", "--duration", "20m"], "at most 13 minutes"],
    [["idle", "--ranges", "5000"], "--ranges must be a whole number from 1 to 4096"],
    [["idle", "--ranges", "20"], "--base-ranges 30 must be fewer than --ranges 20"],
    [["idle", "--nodes", "2"], "--nodes must be a whole number from 3 to 9"],
    [["idle", "--kill", "2"], "--kill must be a whole number from 0 to 1"],
    [["idle", "--kill", "1", "--dead-for", "8m"], "--window and --dead-for: together at most 8 minutes"],
    [["sustained", "--duration", "10s", "--period", "11s"], "--period must be from 1s to --duration"],
    [["overload", "--duration", "12m", "--after", "2m"], "at most 13 minutes"],
    [["overload", "--sync-delay", "11s"], "at most 10s"],
    [["overload", "--in-flight", "many"], "--in-flight must be a whole number"],
    [["sustained", "--dir", "/nowhere/at/all"], "--dir /nowhere/at/all"],
  ])("%j is refused before a node starts", async (argv, message) => {
    expect((await refused(...argv)).message).toContain(message);
  });

  test.each([["sustained"], ["overload"]])("without room on the disk nothing starts: %s", async (verb) => {
    const directory = tmpdir();
    const argv = ["bench", verb, "--keys", "20000000", "--value-bytes", "1000000", "--dir", directory, "-o", "json"];
    const { exitCode, notes } = await run(argv);
    const { error } = JSON.parse(notes) as { error: { code: string; message: string } };
    // A directory in memory is refused first.
    expect([
      [1, "DiskFull"],
      [2, "InvalidArgument"],
    ]).toContainEqual([exitCode, error.code]);
    expect(error.message).toContain(directory);
  });
});
