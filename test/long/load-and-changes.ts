/** The test of one distribution of keys: what a load notices while its ranges are split, moved and led elsewhere. */
import { expect } from "vitest";
import { RealCluster } from "../cluster/harness.ts";
import { changeEverything, movesWanted, splitsWanted } from "./changes-under-load.ts";
import { LoadPhases, expectUnharmed, latencyText } from "./load-phases.ts";
import { PlacementOrders } from "./placement-orders.ts";

const beforeSeconds = 15;
const duringSeconds = 100;
/** So that the last of them ends while the load still runs. */
const changesSeconds = 85;

export async function expectChangesUnnoticed(distribution: "uniform" | "zipfian"): Promise<void> {
  // A fourth node, so that there is always one to move to.
  const cluster = await RealCluster.start({ nodes: 4, ranges: 8 });
  const load = new LoadPhases((args) => cluster.spawn(args), ["--distribution", distribution]);
  const maximum = await load.measureMaximum();
  const before = await load.undisturbed(beforeSeconds);
  expectUnharmed(before);
  const readsServed = async (): Promise<number> => {
    const nodes = cluster.entries().map(({ node }) => cluster.metric(node, "flotilla_reads_served_total"));
    return (await Promise.all(nodes)).reduce((a, b) => a + b, 0);
  };
  const { report, over } = await load.begin(duringSeconds, readsServed);
  const changes = await changeEverything(new PlacementOrders(cluster.client()), changesSeconds);
  const inTime = !over();
  const during = await report;
  console.log(
    `${distribution}: at most ${maximum}/s; before ${latencyText(before)}; during ${latencyText(during)}; ` +
      `${changes.splits} splits, ${changes.moves} moves, ${changes.transfers} transfers (${changes.transfersMissed} missed), ${changes.ranges} ranges`,
  );
  expect(changes).toMatchObject({ splits: splitsWanted, moves: movesWanted });
  expect(inTime).toBe(true);
  expectUnharmed(during);
  expect(during.latencyMs.p99).toBeLessThanOrEqual(Math.max(5 * before.latencyMs.p99, 50));
}
