/** What a cluster without a majority says, and what a leader says that stood still while the others went on. */
import { afterEach, describe, expect, test } from "vitest";
import { isFlotillaError } from "@flotilla/client";
import { RealCluster, closeAllClusters, isLong, until } from "./harness.ts";
import type { RangeRow } from "./harness.ts";

afterEach(closeAllClusters);

const timeoutMs = 2500;
/** The client's own timer, and the load of the machine. */
const lateMsMax = 1500;
/** As long as a leader may believe that it leads. */
const leaseMsMax = 2500;

const keysOf = (ranges: readonly RangeRow[]): { readonly rangeId: number; readonly key: string }[] =>
  ranges.filter(({ rangeId }) => rangeId !== 1).map(({ rangeId, start }) => ({ rangeId, key: `${start}!k` }));

interface Failed {
  readonly code: string;
  readonly outcome: string | undefined;
  readonly message: string;
  readonly missingStores: readonly number[];
  readonly rangeId: unknown;
  readonly elapsedMs: number;
}

/**
 * Resolves with an error of the client; every other one is thrown. An answer is allowed only as long as a leader's lease
 * from before may last.
 */
async function failureOf(operation: () => Promise<unknown>, answersUntilMs = 0): Promise<Failed> {
  for (;;) {
    const startedMs = performance.now();
    try {
      const value = await operation();
      if (startedMs < answersUntilMs) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        continue;
      }
      throw new Error(`it was answered: ${JSON.stringify(value)}`);
    } catch (error) {
      if (!isFlotillaError(error)) throw error;
      const { code, outcome, message, details } = error;
      const missingStores = (details["missingStores"] as number[]).toSorted((a, b) => a - b);
      return {
        code,
        outcome,
        message,
        missingStores,
        rangeId: details["rangeId"],
        elapsedMs: performance.now() - startedMs,
      };
    }
  }
}

/** Both in the long run. A node that stands still is the harder case: nothing tells that it is gone. */
const losses = [
  ["standing still", "SIGSTOP"],
  ["killed", "SIGKILL"],
] as const;

describe.each(isLong ? losses : losses.slice(0, 1))("with two of three nodes %s", (_word, signal) => {
  // The node that is left leads a third of the ranges and follows in the others.
  test("writes and reads fail in time, and name the range and the stores that are missing", async () => {
    const cluster = await RealCluster.start();
    await cluster.untilEven(9);
    const ranges = await cluster.ranges();
    const keys = keysOf(ranges);
    const client = cluster.client({ timeoutMs });
    for (const { key } of keys) await client.put(key, "before");
    const left = ranges.find(({ rangeId }) => rangeId === 1)!.leaderStoreId!;
    const missing = [1, 2, 3].filter((node) => node !== left);
    for (const node of missing) cluster.kill(node, signal);
    const answersUntilMs = performance.now() + leaseMsMax;
    const failures = await Promise.all(
      keys.flatMap(({ rangeId, key }) => [
        failureOf(() => client.put(key, "without")).then((failure) => ({ failure, rangeId, write: true })),
        failureOf(() => client.get(key), answersUntilMs).then((failure) => ({ failure, rangeId, write: false })),
      ]),
    );
    const scans = [() => client.scan().toArray(), () => client.count({ timeoutMs })];
    for (const failure of await Promise.all(scans.map((scan) => failureOf(scan)))) {
      expect(failure).toMatchObject({ code: "NoQuorum", rangeId: 2, missingStores: missing });
      expect(failure.message).toContain(`range 2; no answer from stores ${missing.join(", ")}`);
      expect(failure.elapsedMs).toBeLessThan(timeoutMs + lateMsMax);
    }
    for (const { failure, rangeId, write } of failures) {
      const leader = ranges.find((range) => range.rangeId === rangeId)!.leaderStoreId!;
      const what = `${write ? "write" : "read"} in range ${rangeId}, which ${leader} led, with ${left} left: ${JSON.stringify(failure)}`;
      expect(write ? ["NoQuorum", "OutcomeUnknown"] : ["NoQuorum"], what).toContain(failure.code);
      expect(failure.outcome, what).toBe(write ? (failure.code === "NoQuorum" ? "not-applied" : "unknown") : undefined);
      expect(failure, what).toMatchObject({ rangeId, missingStores: missing });
      expect(failure.message, what).toContain(`range ${rangeId}`);
      expect(failure.message, what).toContain(`stores ${missing.join(", ")}`);
      expect(failure.elapsedMs, what).toBeLessThan(timeoutMs + lateMsMax);
    }
    if (signal === "SIGSTOP") cluster.resume(missing[0]!);
    else await cluster.restart(missing[0]!);
    await until(
      "writes work again",
      async () => (await cluster.run(["put", keys[0]!.key, "after", "--timeout", "5s"])).exitCode === 0,
    );
    const found = await Promise.all(keys.map(({ key }) => client.get(key, { timeoutMs: 15_000 })));
    expect(
      found
        .map((value) => Buffer.from(value!).toString())
        .slice(1)
        .filter((value) => value !== "before" && value !== "without"),
    ).toEqual([]);
    expect(Buffer.from(found[0]!).toString()).toBe("after");
  });
});

test(
  "C6 a leader that stood still while others wrote answers no old value when it wakes",
  { timeout: 60_000 + (isLong ? 300_000 : 0) },
  async () => {
    const cluster = await RealCluster.start();
    for (let round = 0; round < (isLong ? 12 : 1); round++) {
      await cluster.untilEven(9);
      const ranges = await cluster.ranges();
      const node = (round % 3) + 1;
      const led = new Set(ranges.filter(({ leaderStoreId }) => leaderStoreId === node).map(({ rangeId }) => rangeId));
      const keys = keysOf(ranges).filter(({ rangeId }) => led.has(rangeId));
      expect(keys.length).toBeGreaterThan(1);
      const [writer, reader] = [cluster.client({ timeoutMs: 20_000 }), cluster.client({ timeoutMs: 20_000 })];
      await Promise.all(keys.map(({ key }) => writer.put(key, `old ${round}`)));
      // The reader knows the leader that is about to stand still, and nothing of what follows.
      for (const { key } of keys) expect(Buffer.from((await reader.get(key))!).toString()).toBe(`old ${round}`);
      cluster.pause(node);
      await Promise.all(keys.map(({ key }) => writer.put(key, `new ${round}`)));
      // Some reads wait in the sockets of the old leader, others come right when it wakes.
      const early = keys.flatMap(({ key }) => [reader.get(key), reader.get(key)]);
      await new Promise((resolve) => setTimeout(resolve, 50));
      cluster.resume(node);
      const late = keys.flatMap(({ key }) => [reader.get(key), reader.get(key)]);
      const found = new Set((await Promise.all([...early, ...late])).map((value) => Buffer.from(value!).toString()));
      expect([...found]).toEqual([`new ${round}`]);
      await writer.close();
      await reader.close();
    }
  },
);
