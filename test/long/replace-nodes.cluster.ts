/** Everything under a real directory outlives every node it was written to. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";
import { until } from "../cluster/harness.ts";
import { linksIn, missingIn } from "../cluster/tree-diff.ts";
import type { ImportReport } from "../cluster/tree-diff.ts";
import { PlacementOrders } from "./placement-orders.ts";

afterEach(closeAllFleets);

const tree: string = fileURLToPath(new URL("../../node_modules/.pnpm", import.meta.url));
const settings = ["--split-bytes", "8MiB"];
const rangesMin = 16;

test("a real directory is exported as it was imported after its ranges were split and every node was replaced by another one", async () => {
  const fleet = await Fleet.start(3, [], { spare: 3, settings });
  const orders = new PlacementOrders(fleet.client());
  const imported = await fleet.run(["import", "dir", tree, "--endpoints", fleet.addresses[0]!, "-o", "json"]);
  expect(imported, imported.notes).toMatchObject({ exitCode: 1 });
  const report = JSON.parse(imported.out) as ImportReport;
  await until("it is split", async () => (await orders.ranges()).length >= rangesMin, 60_000);
  const before = await orders.ranges();

  for (const node of [1, 2, 3]) {
    const next = node + 3;
    const through = ["--endpoints", fleet.addresses[next - 1]!];
    await fleet.join(next, node, settings);
    const gone = fleet.process(node);
    let replaced;
    if (node < 3) {
      replaced = await fleet.run(["node", "decommission", String(node), "--wait", "--yes", ...through]);
      gone.signal("SIGTERM");
      expect(await gone.ended).toMatchObject({ exitCode: 0 });
    } else {
      // The last one is lost with its disk.
      gone.signal("SIGKILL");
      await gone.ended;
      const dead = async (): Promise<boolean> =>
        (await orders.stores()).find(({ nodeId }) => nodeId === 3)?.state === "dead";
      await until("it is known to be dead", dead, 30_000);
      const replace = (): ReturnType<Fleet["run"]> =>
        fleet.run(["store", "replace", "3", "--wait", "--yes", ...through]);
      // Another driver may have taken office in between: a store that it never heard of is live to it for a moment.
      for (replaced = await replace(); replaced.notes.includes("store 3 is live");) replaced = await replace();
    }
    expect(replaced, replaced.notes).toMatchObject({ exitCode: 0 });
    console.log(`node ${node} replaced in ${(replaced.elapsedMs / 1000).toFixed(1)} s`);
  }
  // Every replica there was lived on one of the first three.
  expect(before.flatMap(({ replicas }) => replicas).every(({ storeId }) => storeId <= 3)).toBe(true);
  expect(await orders.lacking(3, [4, 5, 6])).toEqual([]);

  const out = join(fleet.directory, "out");
  const exported = await fleet.run(["export", "dir", out, "--endpoints", fleet.addresses[3]!, "-o", "json"]);
  expect(exported, exported.notes).toMatchObject({ exitCode: 0 });
  const links = linksIn(tree);
  expect(report).toMatchObject({ skipped: links.length, failed: report.failures.length });
  expect(missingIn(tree, out)).toEqual([...links, ...report.failures.map(({ name }) => name)].sort());
  expect(await fleet.run(["range", "check", "--endpoints", fleet.addresses[3]!])).toMatchObject({ exitCode: 0 });
}, 290_000);
