import { describe, expect, test } from "vitest";
import { JobGate, poolThreads } from "../src/leveldb/job-gate.ts";

async function mostAtOnce(gate: JobGate, jobs: number): Promise<number> {
  let running = 0;
  let most = 0;
  const job = async (): Promise<void> => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    await Promise.resolve();
    running--;
  };
  await Promise.all(Array.from({ length: jobs }, () => gate.run(job)));
  return most;
}

describe("reads in the pool", () => {
  test("I5 leave threads for the log, a batch, a settle and a reader", async () => {
    expect(await mostAtOnce(new JobGate(8, 1), 50)).toBe(3);
    expect(await mostAtOnce(new JobGate(4, 1), 50)).toBe(1);
    expect(await mostAtOnce(new JobGate(16, 2), 50)).toBe(4);
  });

  test("a job that fails makes room for the next", async () => {
    const gate = new JobGate(4, 1);
    await expect(gate.run(() => Promise.reject(new Error("broken")))).rejects.toThrow("broken");
    expect(await gate.run(() => Promise.resolve(7))).toBe(7);
  });

  test("the size of the pool is what libuv makes of the environment", () => {
    expect(poolThreads({})).toBe(4);
    expect(poolThreads({ UV_THREADPOOL_SIZE: "8" })).toBe(8);
    expect(poolThreads({ UV_THREADPOOL_SIZE: "none" })).toBe(4);
  });
});
