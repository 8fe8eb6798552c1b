/** Two of three nodes are gone for good, with their directories: the third goes on by order, and gets company again. */
import { readFile, rm } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { Writers, contentOf } from "../cluster/writers.ts";

afterEach(closeAllClusters);

interface Report {
  readonly state: string;
  readonly ranges: readonly { readonly outcome: string; readonly storeId: number; readonly missing: string }[];
}

test("two of three killed and their directories removed: what the third had is served and written again by three", async ({
  annotate,
}) => {
  const cluster = await RealCluster.start({ ranges: 3 });
  await cluster.untilEven(4);
  const client = cluster.client({ timeoutMs: 20_000 });
  const before = new Writers(client, 8, "a");
  await until("there is load", () => before.acknowledged.length > 500);
  await before.stop();
  // The third node has all of it: it may be alone with it.
  await until("node 3 has everything", async () => {
    const own = await cluster.alone(3, async () => {
      const stale = cluster.client({ endpoints: [cluster.endpoints[2]!], timeoutMs: 8000 });
      try {
        return await contentOf(stale, "stale");
      } finally {
        await stale.close();
      }
    });
    return before.acknowledged.every((key) => own.has(key));
  });
  await cluster.untilEven(4);
  // And it goes on while they die: of this some may be lost, and nothing invented.
  const during = new Writers(cluster.client({ timeoutMs: 2000 }), 8, "b");
  await until("there is load again", () => during.acknowledged.length > 200);
  for (const node of [1, 2]) cluster.kill(node);
  await during.stop();
  for (const node of [1, 2]) await rm(cluster.path(`node-${node}`), { recursive: true, force: true });

  const [left] = cluster.endpoints.slice(2);
  const recover = ["unsafe-recover", "--endpoints", left!, "--lost-stores", "1,2", "-o", "json"];
  await until(
    "the plan has every range",
    async () => {
      const { exitCode, out } = await cluster.run(recover);
      return exitCode === 0 && (JSON.parse(out) as Report).ranges.length === 4;
    },
    60_000,
  );
  let startedMs = performance.now();
  const done = await cluster.run([...recover, "--yes", "--report", "report.json"]);
  expect(done).toMatchObject({ exitCode: 0 });
  await annotate(`recovered 4 ranges in ${Math.round(performance.now() - startedMs)} ms`);
  const report = JSON.parse(await readFile(`${cluster.directory}/report.json`, "utf8")) as Report;
  expect(report.state).toBe("ended");
  expect(report.ranges.map(({ outcome, storeId }) => [outcome, storeId])).toEqual(Array(4).fill(["recovered", 3]));
  for (const { missing } of report.ranges) expect(missing).toContain("by lost stores alone");

  const survivor = cluster.client({ endpoints: [left!], timeoutMs: 20_000 });
  const content = await contentOf(survivor);
  expect(before.acknowledged.filter((key) => content.get(key) !== key)).toEqual([]);
  const written = new Set([...before.acknowledged, ...during.acknowledged, ...during.unknown, ...before.unknown]);
  expect([...content.keys()].filter((key) => !written.has(key))).toEqual([]);
  await annotate(
    `of ${during.acknowledged.length} acknowledged while they died, ${during.acknowledged.filter((key) => !content.has(key)).length} are missing`,
  );
  await survivor.put("after", "1");
  expect(JSON.parse((await cluster.run(recover)).out)).toMatchObject({ ranges: [] });

  // Empty directories join in the places of the lost ones.
  startedMs = performance.now();
  for (const { address, httpAddress } of cluster.entries().slice(0, 2))
    cluster.spawn([
      ...["start", "--join", left!, "--data-dir", `new-${address.split(":")[1]!}`],
      ...["--address", address, "--http-address", httpAddress],
    ]);
  await until(
    "every range has three replicas",
    async () => {
      const { exitCode, out } = await cluster.run(["range", "list", "--endpoints", left!, "-o", "json"]);
      if (exitCode !== 0) return false;
      const rows = JSON.parse(out) as { replicas: { storeId: number; role: string }[] }[];
      return rows.every(({ replicas }) => replicas.filter(({ role }) => role === "voter").length === 3);
    },
    120_000,
  );
  await annotate(`three replicas of each after ${Math.round(performance.now() - startedMs)} ms`);
  expect((await contentOf(survivor)).size).toBe(content.size + 1);
}, 300_000);
