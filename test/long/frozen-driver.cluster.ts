/** The node that drives placement stands still, as under SIGSTOP or on a host without memory: nothing tells that it is gone. */
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters, until } from "../cluster/harness.ts";
import { PauseMeter, rangesNotLedBy } from "../cluster/pause-meter.ts";
import { contentOf } from "../cluster/writers.ts";

afterEach(closeAllClusters);

const operationsPerSecond = 200;
const paceMs = 20;
const frozenMs = 15_000;

test("E28 while the node of the placement driver stands still no call fails, and all that was acknowledged is there", async () => {
  const cluster = await RealCluster.start({ ranges: 8 });
  await cluster.untilEven(9);
  const client = cluster.client({ timeoutMs: 20_000 });
  const driver = async (): Promise<number | null> => {
    const { out } = await cluster.run(["cluster", "status", "-o", "json"]);
    return (JSON.parse(out) as { placementDriver: { nodeId: number | null } }).placementDriver.nodeId;
  };
  const first = (await driver())!;
  const written = new Map<string, string>();
  const failures: string[] = [];
  let calls = 0;
  let completed = 0;
  let slowestMs = 0;
  let lastMs = performance.now();
  let longestGapMs = 0;
  const call = async (number: number): Promise<void> => {
    // Keys of all ranges, each written once.
    const key = `${String.fromCharCode(0x22 + ((number * 31) % 90))}-${number}`;
    const startMs = performance.now();
    try {
      await client.put(key, String(number));
      written.set(key, String(number));
    } catch (error) {
      failures.push(String(error));
    }
    const nowMs = performance.now();
    completed++;
    slowestMs = Math.max(slowestMs, nowMs - startMs);
    longestGapMs = Math.max(longestGapMs, nowMs - lastMs);
    lastMs = nowMs;
  };
  const beganMs = performance.now();
  const timer = setInterval(() => {
    while (calls < ((performance.now() - beganMs) * operationsPerSecond) / 1000) void call(calls++);
  }, paceMs);
  await until("there is load", () => completed > operationsPerSecond);
  cluster.pause(first);
  const frozenAtMs = performance.now();
  await until("another node drives placement", async () => {
    const next = await driver().catch(() => null);
    return next !== null && next !== first;
  });
  const movedMs = performance.now() - frozenAtMs;
  await until("it has stood still for long", () => performance.now() - frozenAtMs > frozenMs);
  cluster.resume(first);
  await until("the load goes on", () => performance.now() - frozenAtMs > frozenMs + 3_000);
  clearInterval(timer);
  await until("every call has its answer", () => completed === calls);
  console.log(
    `${calls} calls, ${failures.length} failed; driver moved after ${Math.round(movedMs)} ms, longest gap ` +
      `${Math.round(longestGapMs)} ms, slowest ${Math.round(slowestMs)} ms`,
  );
  expect(failures.slice(0, 5)).toEqual([]);
  const keys = [...written.keys()];
  const values = await client.getMany(keys);
  expect(keys.filter((key, index) => Buffer.from(values[index] ?? []).toString() !== written.get(key))).toEqual([]);
});

/** Ranges that the dead node did not lead notice nothing but the load on the machine. */
const otherPauseMsMax = 2500;
const pauseMsMax = 8000;
const operationMsMax = 30_000;

test("H12 a placement driver that stands still holds nobody up but the ranges it leads, and these for seconds", async () => {
  const cluster = await RealCluster.start();
  await cluster.untilEven(9);
  const client = cluster.client({ timeoutMs: operationMsMax });
  const ranges = await cluster.ranges();
  const driver = ranges.find(({ rangeId }) => rangeId === 1)!.leaderStoreId!;
  const others = rangesNotLedBy(ranges, driver);
  const written: string[] = [];
  const writes = new PauseMeter(ranges, async (key) => {
    await client.put(key, key);
    written.push(key);
  });
  const reads = new PauseMeter(ranges, (key) => client.get(key));
  await until("there is load", () => writes.allAnswered && reads.allAnswered);
  writes.reset();
  reads.reset();
  cluster.pause(driver);
  await until("every range takes writes and answers reads", () => writes.allAnswered && reads.allAnswered);
  for (const meter of [writes, reads]) {
    expect(meter.longestMs(others)).toBeLessThan(otherPauseMsMax);
    expect(meter.longestMs()).toBeLessThan(pauseMsMax);
  }
  cluster.resume(driver);
  await cluster.untilEven(9);
  await writes.stop();
  await reads.stop();
  expect([...writes.errors, ...reads.errors]).toEqual([]);
  const content = await contentOf(client);
  expect(written.filter((key) => content.get(key) !== key)).toEqual([]);
});
