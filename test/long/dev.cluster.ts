/** What becomes of a development cluster that is stopped, killed, damaged or read by nobody. */
import { rename, rm, writeFile } from "node:fs/promises";
import { execFileSync } from "node:child_process";
import { closeSync, constants, existsSync, openSync, writeSync } from "node:fs";
import { afterEach, describe, expect, test } from "vitest";
import { RealCluster, closeAllClusters, isOurs, until } from "../cluster/harness.ts";

afterEach(closeAllClusters);

const readyLine = /^ready {2}(.+) nodes, (\d+) ranges, ([\d.]+) s$/m;

/** A pipe without room for another byte. */
function fullPipe(path: string): number {
  execFileSync("mkfifo", [path]);
  const filler = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const page = Buffer.alloc(4096);
  try {
    for (;;) writeSync(filler, page);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
  const pipe = openSync(path, constants.O_RDWR);
  closeSync(filler);
  return pipe;
}

describe("flotilla dev", () => {
  test("nodes do not outlive a dev that was killed", async () => {
    const cluster = await RealCluster.start();
    const pids = cluster.entries().map(({ pid }) => pid!);
    cluster.dev.signal("SIGKILL");
    await until("the nodes stop by themselves", () => !pids.some((pid) => isOurs(pid, cluster.directory)));
    expect((await cluster.startDev()).out).toMatch(readyLine);
  });

  test("goes on when nobody reads its output any more", async () => {
    const cluster = await RealCluster.start();
    cluster.dev.child.stdout!.destroy();
    cluster.dev.child.stderr!.destroy();
    cluster.kill(3);
    await until("the death was noticed", () => cluster.entries()[2]!.pid === null);
    expect((await cluster.run(["put", "k", "v"])).exitCode).toBe(0);
    expect((await cluster.stop()).exitCode).toBe(0);
  });

  test("a second start is ready within 6 s of the command, with everything that was written", async () => {
    const cluster = await RealCluster.start();
    const client = cluster.client();
    await client.putMany(Array.from({ length: 2000 }, (_, i) => [`key-${i}`, `value-${i}`] as const));
    await client.close();
    await cluster.stop();
    const startedMs = performance.now();
    const dev = await cluster.startDev();
    expect(performance.now() - startedMs).toBeLessThan(6000);
    expect(readyLine.exec(dev.out)?.[1]).toBe("3");
    const again = cluster.client();
    expect(await again.count()).toBe(2000);
    expect(Buffer.from((await again.get("key-1999"))!).toString()).toBe("value-1999");
  });

  test("F24 a second dev on the same directory is refused, and the first goes on", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
    for (const more of [[], ["--fresh"]]) {
      const second = cluster.spawn(["dev", "--port", String(cluster.port + 10), ...more]);
      expect(await second.ended).toMatchObject({ exitCode: 2, notes: expect.stringContaining("InUse") });
    }
    expect((await cluster.run(["put", "k", "v"])).exitCode).toBe(0);
  });

  test("--split-at gives the bounds by hand, --fresh begins anew", async () => {
    const cluster = await RealCluster.start({ nodes: 1, arguments: ["--split-at", "m,ü"] });
    const starts = async (): Promise<string[]> =>
      (JSON.parse((await cluster.run(["range", "list", "-o", "json"])).out) as { start: string }[]).map(
        ({ start }) => start,
      );
    expect(await starts()).toEqual(["", "", "m", "ü"]);
    await cluster.run(["put", "k", "v"]);
    await cluster.stop();
    await cluster.startDev(["--fresh"]);
    expect((await cluster.run(["get", "k"])).exitCode).toBe(1);
  });

  test("an emptied directory in a cluster is refused with the reason, and the cluster comes back when it is restored", async () => {
    const cluster = await RealCluster.start();
    await cluster.run(["put", "k", "v"]);
    await cluster.stop();
    await rename(cluster.path("node-2"), cluster.path("away"));
    const refused = await cluster.spawnDev().ended;
    expect(refused).toMatchObject({
      exitCode: 2,
      notes: expect.stringMatching(/node-2 is empty.*forgotten the votes/),
    });
    expect(refused.notes).toContain("--fresh");
    expect(existsSync(cluster.path("node-2", "identity"))).toBe(false);
    await rm(cluster.path("node-2"), { recursive: true, force: true });
    await rename(cluster.path("away"), cluster.path("node-2"));
    await cluster.startDev();
    expect((await cluster.run(["get", "k"])).out).toBe("v");
  });
});

describe("flotilla start", () => {
  test("a damaged identity is refused with the file, exit code 2", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
    await cluster.stop();
    await writeFile(cluster.path("node-1", "identity"), "flotilla-identity 1\n{}\n00000000\n");
    const { exitCode, notes } = await cluster.run(["start", "--config", cluster.path("node-1", "flotilla.toml")]);
    expect([exitCode, notes]).toEqual([2, expect.stringMatching(/identity at byte \d+/)]);
  });

  test("H5 a node whose log nobody reads serves, and stops when it is told to", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 1 });
    await cluster.stop();
    const pipe = fullPipe(cluster.path("full"));
    const node = cluster.spawn(["start", "--config", cluster.path("node-1", "flotilla.toml")], {}, undefined, pipe);
    closeSync(pipe);
    // Its log cannot be asked when it listens.
    const client = cluster.client({ connectTimeoutMs: 30_000 });
    await client.putMany(Array.from({ length: 5000 }, (_, i) => [`key-${i}`, "v"] as const));
    expect(await client.count()).toBe(5000);
    expect(await cluster.metric(1, "flotilla_commands_applied_total")).toBe(5000);
    node.signal("SIGTERM");
    expect(await node.ended).toMatchObject({ exitCode: 0 });
  });

  test("I10 what was acknowledged is there after SIGTERM and after SIGKILL alike", async () => {
    const cluster = await RealCluster.start({ nodes: 1, ranges: 2 });
    await cluster.stop();
    let written = 0;
    for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
      const node = await cluster.restart(1);
      const client = cluster.client();
      expect(await client.count()).toBe(written);
      for (let i = 0; i < 20; i++) await client.put(`key-${written++}`, "v");
      await client.close();
      node.signal(signal);
      const { exitCode } = await node.ended;
      expect(exitCode).toBe(signal === "SIGTERM" ? 0 : null);
    }
    await cluster.restart(1);
    expect(await cluster.client().count()).toBe(written);
  });
});
