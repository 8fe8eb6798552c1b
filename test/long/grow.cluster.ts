/** A cluster of three that two more nodes join. */
import { randomBytes } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";
import { until } from "../cluster/harness.ts";
import { PlacementOrders } from "./placement-orders.ts";

afterEach(closeAllFleets);

const valueBytes = 8000;
const records = 62_500;
const evenWithinMs = 300_000;
const shareMax = 0.1;
const rateMiB = 4;
const settings = ["--split-bytes", "16MiB", "--snapshot-bytes-per-second", `${rateMiB}MiB`];

const isEven = (counts: readonly number[]): boolean => {
  const mean = counts.reduce((a, b) => a + b, 0) / counts.length;
  return counts.every((count) => Math.abs(count - mean) <= shareMax * mean);
};

test("two nodes join three that hold 500 MB: replicas and leaders are within 10 % of even within 5 minutes, no faster than the flag allows", async () => {
  const fleet = await Fleet.start(3, [], { spare: 2, settings });
  // However busy the machine is: how long a call takes is not what is tested here.
  const client = fleet.client({ endpoints: fleet.addresses.slice(0, 3), timeoutMs: 60_000 });
  const values = Array.from({ length: 64 }, () => randomBytes(valueBytes));
  // Over all the ranges that there are from the beginning.
  const key = (i: number): string => `${String.fromCharCode(0x22 + ((i * 31) % 90))}-${i}`;
  const failures: unknown[] = [];
  await client.putMany(
    (function* () {
      for (let i = 0; i < records; i++) yield [key(i), values[i % values.length]!] as const;
    })(),
    { onFailure: (failure: unknown) => failures.push(failure) },
  );
  expect(failures).toEqual([]);
  const orders = new PlacementOrders(client);
  await until("it is split", async () => (await orders.ranges()).length >= 32, 60_000);

  const startedMs = performance.now();
  await Promise.all([4, 5].map((node) => fleet.join(node, 1, settings)));
  let counts: { replicas: number[]; leaders: number[] } = { replicas: [], leaders: [] };
  const even = async (): Promise<boolean> => {
    const stores = await orders.stores();
    counts = { replicas: stores.map(({ replicas }) => replicas), leaders: stores.map(({ leaders }) => leaders) };
    return stores.length === 5 && isEven(counts.replicas) && isEven(counts.leaders);
  };
  await until("all are even", even, evenWithinMs).catch((error: unknown) => {
    throw new Error(`replicas ${counts.replicas.join(", ")}, leaders ${counts.leaders.join(", ")}`, { cause: error });
  });
  const tookMs = performance.now() - startedMs;
  // What lies on the new stores came through range snapshots: three stores sent them, each no faster than it may.
  const joined = (await orders.stores()).filter(({ nodeId }) => nodeId > 3);
  const movedBytes = joined.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const bytesPerSecond = (movedBytes * 1000) / tookMs;
  console.log(
    `${Math.round(movedBytes / 1e6)} MB moved in ${(tookMs / 1000).toFixed(1)} s; replicas ${counts.replicas.join(", ")}, leaders ${counts.leaders.join(", ")}`,
  );
  expect(bytesPerSecond).toBeLessThan(3 * rateMiB * 1024 * 1024);
  expect(await client.count()).toBe(records);
  expect(await fleet.run(["range", "check", "--endpoints", fleet.addresses[4]!])).toMatchObject({ exitCode: 0 });
}, 590_000);
