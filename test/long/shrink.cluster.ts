/** A node that is killed for good, and nodes that are taken out: where there is a place for what they held, and where not. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";
import { until } from "../cluster/harness.ts";
import { PlacementOrders } from "./placement-orders.ts";

afterEach(closeAllFleets);

const records = 12_500;
const settings = ["--split-bytes", "8MiB", "--store-down-ms", "12s"];

test("a node killed for good is made up for; one that is decommissioned ends empty and says so; one that cannot end says what blocks it", async () => {
  const fleet = await Fleet.start(4, ["--replicas", "3"], { spare: 1, settings });
  // However busy the machine is: how long a call takes is not what is tested here.
  const client = fleet.client({ timeoutMs: 60_000 });
  const value = randomBytes(8000);
  await client.putMany(
    Array.from({ length: records }, (_, i) => [`${String.fromCharCode(0x22 + ((i * 31) % 90))}-${i}`, value] as const),
  );
  const orders = new PlacementOrders(client);
  const at = ["--endpoints", fleet.addresses[0]!];

  // Killed for good.
  fleet.process(4).signal("SIGKILL");
  const killedMs = performance.now();
  await until(
    "every range has three replicas again",
    async () => (await orders.lacking(3, [1, 2, 3])).length === 0,
    120_000,
  );
  console.log(`three replicas again ${((performance.now() - killedMs) / 1000).toFixed(1)} s after the kill`);
  expect(await client.count()).toBe(records);

  // Nowhere to go: three replicas on three nodes. Nothing changes by asking for the plan.
  const plan = await fleet.run(["node", "decommission", "3", "--plan", ...at, "-o", "json"]);
  expect(plan, plan.notes).toMatchObject({ exitCode: 1 });
  const ranges = await orders.ranges();
  const { blocked } = JSON.parse(plan.out) as { blocked: { rangeId: number; reason: string }[] };
  expect(new Set(blocked.map(({ rangeId }) => rangeId))).toEqual(new Set([1, ...ranges.map(({ rangeId }) => rangeId)]));
  for (const { reason } of blocked) expect(reason).toContain("no store can take it");
  const stuck = await fleet.run(["node", "decommission", "3", "--wait", "--yes", ...at, "-o", "json"]);
  expect(stuck, stuck.notes).toMatchObject({ exitCode: 1 });
  expect(JSON.parse(stuck.out)).toMatchObject({ outcome: "blocked" });
  expect((JSON.parse(stuck.out) as { blocked: unknown[] }).blocked.length).toBe(blocked.length);

  // With a new node there is a place, and what was blocked goes on.
  await fleet.join(5, 1, settings);
  const startedMs = performance.now();
  const emptied = await fleet.run(["node", "decommission", "3", "--wait", "--yes", ...at]);
  expect(emptied, emptied.notes).toMatchObject({ exitCode: 0, out: "done: decommission node 3\n" });
  console.log(`decommissioned in ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  expect((await orders.stores()).find(({ nodeId }) => nodeId === 3)).toMatchObject({ state: "decommissioned" });
  expect(await orders.lacking(3, [1, 2, 5])).toEqual([]);
  fleet.process(3).signal("SIGTERM");
  await fleet.process(3).ended;
  expect(await client.count()).toBe(records);
  expect(await fleet.run(["range", "check", ...at])).toMatchObject({ exitCode: 0 });
}, 290_000);
