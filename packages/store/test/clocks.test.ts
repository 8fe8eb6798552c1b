import { describe, expect, test } from "vitest";
import { put, testVersion } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const hourMs = 3_600_000;

/** How far ahead of the true time the version of a new write is, ms. */
async function versionAheadMs(cluster: TestCluster, store: TestStore, number: number): Promise<number> {
  const client = await cluster.connect(store);
  const [answer] = await client.write(client.batch(firstRange, [put(number, "a", "1")]));
  if (answer === undefined || !("status" in answer) || answer.status !== "applied")
    throw new Error(JSON.stringify(answer));
  return (answer.version - testVersion) / 4096 - cluster.world.nowMs;
}

describe("a store whose clock is far from the others'", () => {
  for (const aheadMs of [hourMs, -hourMs]) {
    test(`C10 ${aheadMs > 0 ? "ahead" : "behind"} leads nothing from its start on, and leads again when it agrees`, async () => {
      const cluster = await TestCluster.start({ splitAt: ["c", "f", "i"] });
      const wrong = cluster.store(1);
      await wrong.stop(1000);
      wrong.process.wallAheadMs = aheadMs;
      await wrong.start();
      await cluster.runFor(10_000);
      expect(wrong.leads).toBe(0);
      expect(wrong.logged("the clock is far")).toHaveLength(1);
      expect(Math.abs(await versionAheadMs(cluster, await cluster.leader(), 1))).toBeLessThan(1000);
      // Nor does it take over when it is told to.
      const client = await cluster.connect(await cluster.leader());
      await client.admin("transfer-leader", { rangeId: firstRange, to: 1 });
      await cluster.runFor(2000);
      expect(wrong.leads).toBe(0);
      // A client that comes to it is told who leads; were it told to come back, it would for ever.
      const stray = await cluster.connect(wrong);
      const [answer] = await stray.write(stray.batch(firstRange, [put(2, "b", "1")]));
      expect(answer).toMatchObject({ reason: "not-leader" });
      wrong.process.wallAheadMs = 0;
      await cluster.world.until("it leads again", () => wrong.leads > 0, 60_000);
      expect(wrong.logged("the clock agrees")).toHaveLength(1);
    });
  }

  test("C10 hands over what it leads when its clock jumps", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    leader.process.wallAheadMs = -hourMs;
    await cluster.world.until("it leads nothing", () => leader.leads === 0, 3000);
    const next = await cluster.leader();
    expect(Math.abs(await versionAheadMs(cluster, next, 1))).toBeLessThan(1000);
    // Who still asks here is told where to go, and not about the clock: it would come back.
    const client = await cluster.connect(leader);
    const [answer] = await client.write(client.batch(firstRange, [put(1, "a", "2")]));
    expect(answer).toMatchObject({ reason: "not-leader", ranges: [{ leader: next.number }] });
  });

  test("C10 of two stores that are left alone neither is declared wrong", async () => {
    const cluster = await TestCluster.start();
    cluster.store(3).crash();
    await cluster.runFor(3000);
    cluster.store(2).process.wallAheadMs = hourMs;
    await cluster.runFor(3000);
    const leader = await cluster.leader();
    expect(leader.logged("the clock is far")).toEqual([]);
  });
});
