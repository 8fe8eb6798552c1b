/** Whom a user has to know of a cluster. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "../cluster/harness.ts";

afterEach(closeAllClusters);

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
