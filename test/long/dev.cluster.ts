/** What becomes of a development cluster whose `flotilla dev` is killed, or read by nobody. */
import { afterEach, describe, expect, test } from "vitest";
import { RealCluster, closeAllClusters, isOurs, until } from "../cluster/harness.ts";

afterEach(closeAllClusters);

const readyLine = /^ready {2}(.+) nodes, (\d+) ranges, ([\d.]+) s$/m;

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
});
