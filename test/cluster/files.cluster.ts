/** Files into a cluster and out again, by the command. */
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "./harness.ts";

afterEach(closeAllClusters);

const makeTree: string = fileURLToPath(new URL("../../tools/make-tree.mjs", import.meta.url));

test("a directory comes out of the cluster as it went in", async () => {
  const cluster = await RealCluster.start();
  execFileSync(process.execPath, [makeTree, join(cluster.directory, "tree"), "--files", "600", "--seed", "5"]);
  const imported = await cluster.run(["import", "dir", "tree", "--prefix", "backup/", "-o", "json"]);
  expect(imported.exitCode).toBe(0);
  expect(JSON.parse(imported.out)).toMatchObject({ records: 600, skipped: 0, failed: 0, failures: [] });
  const exported = await cluster.run(["export", "dir", "out", "--prefix", "backup/", "-o", "json"]);
  expect(exported.exitCode).toBe(0);
  expect(JSON.parse(exported.out)).toMatchObject({ records: 600, failed: 0 });
  execFileSync("diff", ["-r", join(cluster.directory, "tree"), join(cluster.directory, "out")]);
});

test("lines of JSON come out in the order of keys, with the values that went in", async () => {
  const cluster = await RealCluster.start();
  const keys = Array.from({ length: 20_000 }, (_, i) => `${String.fromCharCode(0x21 + (i % 90))}${i}`);
  await writeFile(
    join(cluster.directory, "in.jsonl"),
    keys.map((key) => JSON.stringify({ key, value: `value of ${key}` }) + "\n").join(""),
  );
  const imported = await cluster.run(["import", "jsonl", "in.jsonl", "-o", "json"]);
  expect(imported).toMatchObject({ exitCode: 0 });
  expect(JSON.parse(imported.out)).toMatchObject({ records: 20_000, failed: 0 });
  expect((await cluster.run(["export", "jsonl", "out.jsonl"])).exitCode).toBe(0);
  const lines = (await readFile(join(cluster.directory, "out.jsonl"), "utf8"))
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as { key: string; value: string });
  expect(lines.map(({ key }) => key)).toEqual([...keys].sort());
  expect(lines.every(({ key, value }) => value === `value of ${key}`)).toBe(true);
  expect((await cluster.run(["delete", "--prefix", "A"])).out).toBe("deleted 222\n");
  expect((await cluster.run(["scan", "--count"])).out).toBe("19778\n");
});

test("values at the limit go in, values over it are refused with size and limit", async () => {
  const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
  const mebibyte = 1024 * 1024;
  expect((await cluster.run(["put", "at", "--value-file", "-"], Buffer.alloc(mebibyte, 1))).exitCode).toBe(0);
  const over = await cluster.run(["put", "over", "--value-file", "-", "-o", "json"], Buffer.alloc(mebibyte + 1, 1));
  expect(over.exitCode).toBe(2);
  expect(JSON.parse(over.notes)).toMatchObject({ error: { code: "ValueTooLarge", details: { limitBytes: mebibyte } } });
  // The cluster checks for itself as well.
  const sent = await cluster.run(
    ["put", "over", "--value-file", "-", "--value-limit", "8MiB", "-o", "json"],
    Buffer.alloc(mebibyte + 1, 1),
  );
  expect([sent.exitCode, JSON.parse(sent.notes).error.code]).toEqual([2, "ValueTooLarge"]);
  expect((await cluster.run(["put", "k".repeat(4097), "v"])).exitCode).toBe(2);
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
