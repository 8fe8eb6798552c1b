/** A restart of every node, one after the other, under load: nobody who calls notices more than a pause. */
import { afterEach, expect, test } from "vitest";
import type { Client } from "@flotilla/client";
import { Fleet, closeAllFleets } from "./fleet.ts";
import { isLong, until } from "./harness.ts";

afterEach(closeAllFleets);

const operationsPerSecond = 2000;
const paceMs = 10;

/** Calls at a fixed rate, whatever became of the ones before; every fourth one reads. */
class SteadyLoad {
  calls = 0;
  completed = 0;
  longestGapMs = 0;
  slowestMs = 0;
  readonly failures: string[] = [];
  readonly #client: Client;
  #timer: NodeJS.Timeout | undefined;
  #lastMs = performance.now();
  #due = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  start(): void {
    this.#lastMs = performance.now();
    const startMs = this.#lastMs;
    this.#timer = setInterval(() => {
      this.#due = ((performance.now() - startMs) * operationsPerSecond) / 1000;
      while (this.calls < this.#due) void this.#call(this.calls++);
    }, paceMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await until("every call has its answer", () => this.completed + this.failures.length === this.calls);
  }

  async #call(number: number): Promise<void> {
    // Keys of all ranges in turn.
    const key = `${String.fromCharCode(0x22 + ((number * 31) % 90))}-${number % 5000}`;
    const startMs = performance.now();
    try {
      if (number % 4 === 3) await this.#client.get(key);
      else await this.#client.put(key, key);
    } catch (error) {
      this.failures.push(String(error));
      return;
    }
    const nowMs = performance.now();
    this.completed++;
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - this.#lastMs);
    this.slowestMs = Math.max(this.slowestMs, nowMs - startMs);
    this.#lastMs = nowMs;
  }
}

test("a rolling restart under 2 000 operations a second fails no call, and no second is without a completed one", async () => {
  const fleet = await Fleet.start(3);
  const load = new SteadyLoad(fleet.client());
  load.start();
  await until("there is load", () => load.completed > operationsPerSecond / 2);
  for (const node of [1, 2, 3]) {
    const stopped = fleet.process(node);
    stopped.signal("SIGTERM");
    expect(await stopped.ended).toMatchObject({ exitCode: 0 });
    await fleet.untilAllSay([fleet.startNode(node)], '"msg":"ready');
    const more = load.completed + operationsPerSecond / 4;
    await until("the load goes on", () => load.completed > more);
  }
  await load.stop();
  const { calls, failures, longestGapMs, slowestMs } = load;
  console.log(
    `${calls} calls, ${failures.length} failed, longest gap ${Math.round(longestGapMs)} ms, slowest ${Math.round(slowestMs)} ms`,
  );
  expect(failures.slice(0, 5)).toEqual([]);
  // Other tests run beside this one, except in the long run.
  if (isLong) expect(longestGapMs).toBeLessThan(1000);
});
