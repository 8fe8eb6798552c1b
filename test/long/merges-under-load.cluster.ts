/** Ranges that are empty become few by themselves, and a load does not notice merges. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { repeat } from "./changes-under-load.ts";
import { LoadPhases, expectUnharmed, latencyText } from "./load-phases.ts";
import { PlacementOrders } from "./placement-orders.ts";

afterEach(closeAllClusters);

const valueBytes = 8 * 1024;
const records = 64_000;
const rangesMin = 30;
const rangesLeft = 4;
const mergedWithinMs = 300_000;
/** As 256 MiB, 32 MiB and ten minutes are to a cluster of some terabytes. */
const scaled: Readonly<Record<string, string>> = {
  FLOTILLA_SPLIT_BYTES: "16MiB",
  FLOTILLA_MERGE_BYTES: "6MiB",
  FLOTILLA_MERGE_COOLDOWN_MS: "10s",
};

test(
  "500 MB in 30 ranges, deleted by their prefix: within 5 minutes the ranges are 4 or fewer, and serve",
  async () => {
    const cluster = await RealCluster.start({ ranges: 1, environment: scaled });
    const client = cluster.client();
    const values = Array.from({ length: 64 }, () => randomBytes(valueBytes));
    const key = (i: number): string => `key-${String((i * 40_503) % records).padStart(5, "0")}`;
    await client.putMany(
      (function* () {
        for (let i = 0; i < records; i++) yield [key(i), values[i % values.length]!] as const;
      })(),
    );
    const orders = new PlacementOrders(client);
    await until(`${rangesMin} ranges`, async () => (await orders.ranges()).length >= rangesMin, 120_000);
    const before = await orders.ranges();
    const startedMs = performance.now();
    const elapsed = (): string => ((performance.now() - startedMs) / 1000).toFixed(1);
    const { exitCode, notes } = await cluster.run(["delete", "--prefix", "key-"]);
    expect(exitCode, notes).toBe(0);
    const progress = [`deleted after ${elapsed()} s`];
    let ranges = before.length;
    const few = async (): Promise<boolean> => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const now = (await orders.ranges()).length;
      if (now < ranges / 2) progress.push(`${now} ranges after ${elapsed()} s`);
      if (now < ranges / 2) ranges = now;
      return now <= rangesLeft;
    };
    await until(`${rangesLeft} ranges`, few, mergedWithinMs - (performance.now() - startedMs)).catch(
      async (error: unknown) => {
        const [first] = await orders.ranges();
        const { out } = await cluster.run(["range", "explain", String(first!.rangeId)]);
        throw new Error(`${progress.join(", ")}\n${out}`, { cause: error });
      },
    );
    console.log(`${before.length} ranges; ${progress.join(", ")}; ${rangesLeft} or fewer after ${elapsed()} s`);
    expect(await client.count()).toBe(0);
    await client.put("key-12345", "again");
    expect(new TextDecoder().decode((await client.get("key-12345"))!)).toBe("again");
    expect(await cluster.run(["range", "check", "--timeout", "60s"])).toMatchObject({ exitCode: 0 });
  },
  mergedWithinMs + 300_000,
);

const merges = 50;
const mergesAtOnce = 2;
const duringSeconds = 80;
/** So that the last of them ends while the load still runs. */
const mergesSeconds = 60;
const p99MsMax = 500;

test("50 merges under half of the maximum of a load: no failed call, no second without a completed operation, p99 at most 500 ms", async () => {
  const cluster = await RealCluster.start({ nodes: 3, ranges: merges + 10 });
  const load = new LoadPhases((args) => cluster.spawn(args));
  const maximum = await load.measureMaximum();
  const before = await load.undisturbed(15);
  expectUnharmed(before);
  const readsServed = async (): Promise<number> => {
    const nodes = cluster.entries().map(({ node }) => cluster.metric(node, "flotilla_reads_served_total"));
    return (await Promise.all(nodes)).reduce((a, b) => a + b, 0);
  };
  const orders = new PlacementOrders(cluster.client());
  const rangesBefore = (await orders.ranges()).length;
  const { report, over } = await load.begin(duringSeconds, readsServed);
  await repeat(merges, mergesAtOnce, mergesSeconds, async (i) => {
    const ranges = await orders.ranges();
    // All but the last one have a neighbour to the right.
    const { rangeId } = ranges[(i * 7) % (ranges.length - 1)]!;
    return orders.follow("range-merge", { rangeId });
  });
  const inTime = !over();
  const rangesAfter = (await orders.ranges()).length;
  const during = await report;
  console.log(
    `at most ${maximum}/s; before ${latencyText(before)}; during ${latencyText(during)}; ${rangesBefore} ranges, then ${rangesAfter}`,
  );
  expect(rangesAfter).toBe(rangesBefore - merges);
  expect(inTime).toBe(true);
  expectUnharmed(during);
  expect(during.seconds.length).toBeGreaterThanOrEqual(duringSeconds - 1);
  expect(during.seconds.filter(({ operations }) => operations === 0)).toEqual([]);
  expect(during.latencyMs.p99).toBeLessThanOrEqual(p99MsMax);
}, 290_000);
