/** The fsyncs that nodes and benchmark count, against the calls that the kernel sees. Needs strace. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";

afterEach(closeAllClusters);

/** Frames go to segments, and the header of a segment to the reserve it is made of; filling the reserve is not counted. */
const counted = /\bfdatasync\(\d+<[^>]*\/log\/(?:segment|reserve)-\d+>/;

async function fsyncs(cluster: RealCluster): Promise<number> {
  const counts = await Promise.all(
    cluster.entries().map(({ node }) => cluster.metric(node, "flotilla_log_fsyncs_total")),
  );
  return counts.reduce((a, b) => a + b, 0);
}

/** The count when nothing is written any more. */
async function restingFsyncs(cluster: RealCluster): Promise<number> {
  let last = -1;
  await until("nothing is written", async () => {
    const now = await fsyncs(cluster);
    const rests = now === last;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 300));
    return rests;
  });
  return last;
}

interface Tracer {
  readonly process: ChildProcess;
  readonly ended: Promise<unknown>;
  /** What the nodes had counted when it was attached. */
  readonly before: number;
}

/** Attached at a moment at which nothing is written, so that it has missed nothing and seen nothing yet. */
async function attachStrace(cluster: RealCluster, traceFile: string): Promise<Tracer> {
  const pids = cluster.entries().flatMap(({ pid }) => ["-p", String(pid)]);
  for (let attempt = 0; attempt < 5; attempt++) {
    const before = await restingFsyncs(cluster);
    const strace = spawn("strace", ["-f", "-y", "-e", "trace=fdatasync", "-o", traceFile, ...pids], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    strace.stderr.setEncoding("utf8").on("data", (text: string) => (said += text));
    const ended = new Promise((resolve) => strace.once("close", resolve));
    await until("strace is attached", () => {
      if (strace.exitCode !== null) throw new Error(`strace: ${said}`);
      return cluster.entries().every(({ pid }) => said.includes(`Process ${pid} attached`));
    });
    if ((await restingFsyncs(cluster)) === before) return { process: strace, ended, before };
    // A leadership moved meanwhile, and its first entry was written.
    strace.kill("SIGINT");
    await ended;
  }
  throw new Error("the nodes write without end");
}

test("bench put counts the fdatasync calls that strace sees", { timeout: 120_000 }, async ({ annotate }) => {
  if (spawnSync("strace", ["--version"]).status !== 0) {
    throw new Error("this test needs strace: apt-get install strace");
  }
  const cluster = await RealCluster.start();
  await cluster.untilEven(9);
  const traceFile = join(cluster.directory, "trace");
  const strace = await attachStrace(cluster, traceFile);
  try {
    const bench = ["bench", "put", "--warm-up", "0", "--duration", "4", "--in-flight", "200", "-o", "json"];
    const { exitCode, out, notes } = await cluster.run(bench);
    expect(exitCode, notes).toBe(0);
    const written = (await restingFsyncs(cluster)) - strace.before;
    strace.process.kill("SIGINT");
    await strace.ended;
    const calls = (await readFile(traceFile, "utf8")).split("\n").filter((line) => counted.test(line)).length;
    const result = JSON.parse(out) as { fsyncs: number; operations: number };
    await annotate(`strace ${calls}, nodes ${written}, bench ${result.fsyncs}, ${result.operations} puts`);
    expect(calls).toBe(written);
    // The benchmark looks at the counters a moment after its first put, and before its last is answered.
    expect(result.fsyncs).toBeLessThanOrEqual(calls);
    expect(result.fsyncs).toBeGreaterThan(calls * 0.8);
  } finally {
    strace.process.kill("SIGKILL");
  }
});
