/** Every node drained, and every node restarted, one after the other, under an open load at half of the maximum. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { LoadPhases, expectUnharmed, latencyText } from "./load-phases.ts";
import type { LoadReport } from "./load-phases.ts";

afterEach(closeAllClusters);

const nodes = [1, 2, 3];
const seconds = 70;
const p99MsMax = 500;

/** Beside the load; throws when it takes longer than the load. */
async function underLoad(cluster: RealCluster, load: LoadPhases, maintain: () => Promise<void>): Promise<LoadReport> {
  const readsServed = async (): Promise<number> => {
    const all = await Promise.all(nodes.map((node) => cluster.metric(node, "flotilla_reads_served_total")));
    return all.reduce((a, b) => a + b, 0);
  };
  const { report, over } = await load.begin(seconds, readsServed);
  await maintain();
  expect(over()).toBe(false);
  return report;
}

function expectBarelyNoticed(report: LoadReport): void {
  expectUnharmed(report);
  expect(Math.min(...report.seconds.map(({ operations }) => operations))).toBeGreaterThan(0);
  expect(report.latencyMs.p99).toBeLessThanOrEqual(p99MsMax);
}

async function start(): Promise<{ cluster: RealCluster; load: LoadPhases }> {
  const cluster = await RealCluster.start({ nodes: nodes.length, ranges: 8 });
  const load = new LoadPhases((args) => cluster.spawn(args));
  await load.measureMaximum();
  return { cluster, load };
}

test("a drain of each node under load: it leads nothing then, no call fails, no second is without a completed one, p99 is within 500 ms", async () => {
  const { cluster, load } = await start();
  const report = await underLoad(cluster, load, async () => {
    for (const node of nodes) {
      const drained = await cluster.run(["node", "drain", String(node), "--wait"]);
      expect(drained, drained.notes).toMatchObject({ exitCode: 0 });
      expect(await cluster.metric(node, "flotilla_leaders")).toBe(0);
      expect(await cluster.run(["node", "recommission", String(node)])).toMatchObject({ exitCode: 0 });
      await until("it leads again", async () => (await cluster.metric(node, "flotilla_leaders")) > 0, 20_000);
    }
  });
  console.log(`drained: ${latencyText(report)}`);
  expectBarelyNoticed(report);
}, 200_000);

test("a rolling restart under load: no call fails, no second is without a completed one, p99 is within 500 ms", async () => {
  const { cluster, load } = await start();
  const report = await underLoad(cluster, load, async () => {
    for (const node of nodes) {
      const pid = cluster.pid(node);
      cluster.kill(node, "SIGTERM");
      await until("it has stopped", () => cluster.entries()[node - 1]!.pid !== pid, 20_000);
      await cluster.restart(node);
      await until(
        "it leads again",
        async () => (await cluster.metric(node, "flotilla_leaders").catch(() => 0)) > 0,
        20_000,
      );
    }
  });
  console.log(`restarted: ${latencyText(report)}`);
  expectBarelyNoticed(report);
}, 200_000);
