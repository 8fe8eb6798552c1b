import { rangeId } from "@flotilla/base";
import { expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import { TestCluster } from "./support/test-cluster.ts";

test("the driver names the ranges with the most of what is asked for, the most first, and no more of them", async () => {
  const cluster = await TestCluster.start({ splitAt: ["f", "m"] });
  await cluster.runFor(3000);
  const hot = rangeId(4);
  const writer = await cluster.connect(await cluster.leader(hot));
  const client = await cluster.connect(await cluster.leader(rangeId(1)));
  const hottest = async (argument: object) => client.admin("range-hottest", argument);
  const rows = async (argument: object) =>
    (await hottest(argument)).result as { rangeId: number; writesPerSecond: number }[];
  // Rates are of the last half second, and known to the driver as much later.
  const untilMs = cluster.world.nowMs + 2500;
  for (let number = 1; cluster.world.nowMs < untilMs; number++) {
    const [answer] = await writer.write(writer.batch(hot, [put(number, `x${number}`, "v")], { floor: number }));
    expect(answer).toMatchObject({ status: "applied" });
    await cluster.runFor(50);
  }
  for (const order of ["writes", "operations", "bytes"]) {
    const [first, second, ...more] = await rows({ order, count: 2 });
    expect(first!.rangeId).toBe(hot);
    expect(first!.writesPerSecond).toBeGreaterThan(second!.writesPerSecond);
    expect(more).toEqual([]);
  }
  expect(new Set((await rows({ order: "size", count: 100 })).map((row) => row.rangeId))).toEqual(new Set([1, 2, 3, 4]));
  for (const argument of [{ order: "heat", count: 1 }, { order: "writes", count: 101 }, { order: "writes" }])
    expect((await hottest(argument)).error).toMatchObject({ code: "InvalidArgument" });
  // The time that each frame of the log took is counted, too.
  const { frames, frameMs } = cluster.store(1).log!.statistics();
  expect(frames).toBeGreaterThan(20);
  expect(frameMs).toBeGreaterThan(0);
});
