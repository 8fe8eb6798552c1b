import { expect, test } from "vitest";
import { OrderedWrites } from "../src/ordered-writes.ts";

test("a write begins when the one before has ended", async () => {
  const writes = new OrderedWrites();
  const told: string[] = [];
  let finish = (): void => {};
  const first = writes.run(async () => {
    told.push("first begins");
    await new Promise<void>((resolve) => (finish = resolve));
    told.push("first ends");
  });
  const second = writes.run(async () => void told.push("second"));
  const idle = writes.idle().then(() => told.push("idle"));
  for (let i = 0; i < 20; i++) await Promise.resolve();
  expect(told).toEqual(["first begins"]);
  finish();
  await Promise.all([first, second, idle]);
  expect(told).toEqual(["first begins", "first ends", "second", "idle"]);
});

test("F17 F20 behind a failed write none is tried, and all are told the first error", async () => {
  const writes = new OrderedWrites();
  let tried = 0;
  const succeed = async (): Promise<void> => void tried++;
  const fail = (): Promise<void> => Promise.reject(new Error("once"));
  const results = await Promise.allSettled([
    writes.run(succeed),
    writes.run(fail),
    writes.run(succeed),
    writes.run(succeed),
  ]);
  expect(results.map((result) => (result.status === "rejected" ? String(result.reason) : "written"))).toEqual([
    "written",
    "Error: once",
    "Error: once",
    "Error: once",
  ]);
  await expect(writes.run(succeed)).rejects.toThrow("once");
  await writes.idle();
  expect(tried).toBe(1);
});
