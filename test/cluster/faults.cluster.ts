/** What a cluster of real processes keeps while its nodes are killed, stopped and woken. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "./harness.ts";
import { Writers, contentOf, expectExactly } from "./writers.ts";

afterEach(closeAllClusters);

test("one node after the other killed and started again: writes go on, and nothing is lost", async () => {
  const cluster = await RealCluster.start();
  const client = cluster.client({ timeoutMs: 15_000 });
  const writers = new Writers(client, 20);
  for (const node of [1, 2, 3]) {
    const before = writers.acknowledged.length;
    await until("there is load", () => writers.acknowledged.length > before + 200);
    cluster.kill(node);
    await until("cluster.json says so", () => cluster.entries()[node - 1]!.pid === null);
    const without = writers.acknowledged.length;
    await until(`writes go on without node ${node}`, () => writers.acknowledged.length > without + 200);
    await cluster.restart(node);
    await until("the cluster is whole", async () => (await cluster.run(["cluster", "health"])).exitCode === 0);
  }
  await writers.stop();
  expectExactly(await contentOf(cluster.client()), writers);
  expect(writers.refused).toEqual([]);
});

test("H12 a node that is stopped for a while loses its leaderships, and comes back without doing harm", async () => {
  const cluster = await RealCluster.start();
  const client = cluster.client({ timeoutMs: 15_000 });
  const writers = new Writers(client, 20);
  await until("there is load", () => writers.acknowledged.length > 500);
  cluster.pause(1);
  const without = writers.acknowledged.length;
  await until("all ranges are led elsewhere", () => writers.acknowledged.length > without + 1000);
  cluster.resume(1);
  const after = writers.acknowledged.length;
  await until("writes go on", () => writers.acknowledged.length > after + 500);
  await writers.stop();
  expectExactly(await contentOf(cluster.client()), writers);
});

test("one endpoint is enough, whichever node it is", async () => {
  const cluster = await RealCluster.start();
  // Whatever range a key is in, each node leads to it.
  for (const [i, endpoint] of cluster.endpoints.entries()) {
    const client = cluster.client({ endpoints: [endpoint] });
    const keys = Array.from({ length: 40 }, (_, k) => `${String.fromCharCode(0x30 + k * 2)}-${i}`);
    await client.putMany(keys.map((key) => [key, endpoint] as const));
    expect(await client.count()).toBe(40 * (i + 1));
  }
  for (const endpoint of cluster.endpoints)
    expect((await cluster.run(["scan", "--count", "--endpoints", endpoint])).out).toBe("120\n");
});
