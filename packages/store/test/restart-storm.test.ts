/** Many ranges lose their leader at the same moment, or all stores begin again together. */
import { metaRangeId, rangeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { TestCluster } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const tickMs = 50;
const electionMsMin = 500;
const count = 90;
const splitAt: readonly string[] = Array.from({ length: count - 2 }, (_, i) => `k${String(i).padStart(3, "0")}`);
const ids = [metaRangeId, ...Array.from({ length: count - 1 }, (_, i) => rangeId(2 + i))];

const running = (cluster: TestCluster): TestStore[] => cluster.stores.filter(({ api }) => api !== undefined);
const sum = (cluster: TestCluster, of: (store: TestStore) => number): number =>
  running(cluster).reduce((all, store) => all + of(store), 0);
const elections = (cluster: TestCluster): number => sum(cluster, ({ store }) => store.statistics().elections);
const fsyncs = (cluster: TestCluster): number => sum(cluster, ({ log }) => log!.statistics().fsyncs);
const terms = (cluster: TestCluster): number =>
  ids.reduce((all, id) => all + Math.max(...running(cluster).map(({ log }) => log!.group(id)!.hardState.term)), 0);

async function untilLed(cluster: TestCluster): Promise<number> {
  const startedMs = cluster.world.nowMs;
  const led = (): boolean =>
    running(cluster).every(({ store }) => store.ready) && sum(cluster, ({ leads }) => leads) === count;
  await cluster.world.until("every range has one leader", led);
  return cluster.world.nowMs - startedMs;
}

describe("many ranges that elect at once", () => {
  test("E27 when a store dies its ranges spread their campaigns over the timeout, and share fsyncs", async () => {
    const cluster = await TestCluster.start({ splitAt });
    await untilLed(cluster);
    const dead = cluster.stores.toSorted((a, b) => b.leads - a.leads)[0]!;
    const lost = dead.leads;
    expect(lost).toBeGreaterThan(count / 4);
    dead.crash();
    const before = { elections: elections(cluster), fsyncs: fsyncs(cluster), terms: terms(cluster) };
    const perTick: number[] = [];
    let seen = before.elections;
    const startedMs = cluster.world.nowMs;
    while (sum(cluster, ({ leads }) => leads) < count) {
      await cluster.runFor(tickMs);
      perTick.push(elections(cluster) - seen);
      seen = elections(cluster);
      expect(cluster.world.nowMs - startedMs).toBeLessThan(3 * electionMsMin);
    }
    // Each was elected once, a few at a time, and several in one write to the logs: alone it would take four.
    expect(Math.max(...perTick)).toBeLessThanOrEqual(lost / 3);
    expect(terms(cluster) - before.terms).toBeLessThanOrEqual(1.1 * lost);
    expect(fsyncs(cluster) - before.fsyncs).toBeLessThan(2 * lost);
  });

  test("E27 stores that begin again together have a leader for each range soon, after one election each", async () => {
    const cluster = await TestCluster.start({ splitAt });
    await untilLed(cluster);
    for (const store of cluster.stores) store.crash();
    for (const store of cluster.stores) await store.start();
    const before = { fsyncs: fsyncs(cluster), terms: terms(cluster) };
    const ledMs = await untilLed(cluster);
    expect(ledMs).toBeLessThan(3 * electionMsMin);
    expect(terms(cluster) - before.terms).toBeLessThanOrEqual(1.1 * count);
    expect(fsyncs(cluster) - before.fsyncs).toBeLessThan(2 * count);
  });
});
