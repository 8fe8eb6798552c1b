/** An AbortSignal ends every call: one that has not begun sends nothing, one under way ends in that turn. */
import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import type { CallOptions, FlotillaError } from "../src/index.ts";
import { harness } from "./support/harness.ts";
import type { Harness } from "./support/harness.ts";

type AnyCall = (client: Harness["client"], options: CallOptions) => Promise<unknown>;

async function iterate(source: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of source);
}

const calls: Readonly<Record<string, AnyCall>> = {
  get: (client, options) => client.get("a", options),
  "a stale get": (client, options) => client.get("a", { ...options, consistency: "stale" }),
  getEntry: (client, options) => client.getEntry("a", options),
  getMany: (client, options) => client.getMany(["a", "b"], options),
  put: (client, options) => client.put("a", "1", options),
  "a conditional put": (client, options) => client.put("a", "1", { ...options, ifAbsent: true }),
  delete: (client, options) => client.delete("a", options),
  "putMany of a list": (client, options) => client.putMany([["a", "1"]], options),
  "putMany that is told of failures": (client, options) =>
    client.putMany([["a", "1"]], { ...options, onFailure: () => {} }),
  deleteRange: (client, options) => client.deleteRange({ ...options, prefix: "a" }),
  count: (client, options) => client.count(options),
  scan: (client, options) => iterate(client.scan(options)),
  "pages of a scan": (client, options) => iterate(client.scan(options).pages()),
  "a scan as an array": (client, options) => client.scan(options).toArray(),
  "a call of a namespace": (client, options) => client.namespace("n/").get("a", options),
  admin: (client, options) => client.admin("store-list", null, options),
  "admin that reads": (client, options) => client.admin("store-list", null, { ...options, readOnly: true }),
  routes: (client, options) => client.routes(options),
};

/** The error of a call that the test itself lets time pass for. */
const errorOf = (call: Promise<unknown>): Promise<FlotillaError> =>
  call.then(
    () => Promise.reject(new Error("the call succeeded")),
    (error: unknown) => error as FlotillaError,
  );

const writes = new Set(["put", "a conditional put", "delete", "putMany of a list", "deleteRange"]);

describe.each(Object.entries(calls))("%s", (name, call) => {
  it("sends nothing when it is cancelled before it begins", async () => {
    const { client, cluster, run, failure } = harness();
    await run(client.put("before", "1"));
    cluster.payloads.clear();
    const error = await failure(call(client, { signal: AbortSignal.abort(new Error("why")) }));
    expect(error).toMatchObject({ name: "FlotillaError", code: "Cancelled", cause: { message: "why" } });
    expect([...cluster.payloads.values()].flat(2)).toEqual([]);
    expect(client.internals.load).toEqual({ inFlight: 0, inFlightBytes: 0, queued: 0 });
  });

  it("ends at once when it is cancelled under way, says what became of it, and leaves nothing behind", async () => {
    const { client, cluster, run, world } = harness();
    await run(Promise.all([client.put("a", "0"), client.put("ab", "0")]));
    for (const store of cluster.stores.values()) store.silent = true;
    const controller = new AbortController();
    const settled = errorOf(call(client, { signal: controller.signal, timeoutMs: 60_000 }));
    await world.pass(100);
    const abortedMs = world.nowMs;
    controller.abort();
    const error = await run(settled);
    expect(world.nowMs - abortedMs).toBeLessThan(50);
    const isUnknown = error.code === "OutcomeUnknown";
    expect([isUnknown || error.code === "Cancelled", isUnknown]).toEqual([true, isUnknown && isWrite(name)]);
    expect(isUnknown ? error.outcome : "unknown").toBe("unknown");
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
    for (const store of cluster.stores.values()) store.silent = false;
    await world.pass(5_000);
    expect(cluster.cursors.size).toBe(0);
  });
});

const isWrite = (name: string): boolean => writes.has(name) || name === "admin";

it("a put and a delete under way are unknown", async () => {
  const { client, cluster, run, world } = harness();
  await run(client.put("a", "0"));
  cluster.dropAnswer = () => true;
  const controller = new AbortController();
  const options = { signal: controller.signal };
  const errors = [client.put("a", "1", options), client.delete("a", options)].map(errorOf);
  await world.pass(100);
  controller.abort();
  for (const error of await Promise.all(errors))
    expect([error.code, error.outcome, error.details["reason"]]).toEqual(["OutcomeUnknown", "unknown", "Cancelled"]);
});

describe("putMany of a source that is cancelled", () => {
  it("does not wait for a source that says nothing, and says how many records were written", async () => {
    const { client, world } = harness();
    let left = false;
    const source: AsyncIterable<[string, string]> = {
      [Symbol.asyncIterator]: () => {
        let count = 0;
        return {
          next: () =>
            count++ < 3 ? Promise.resolve({ done: false, value: [`k${count}`, "v"] }) : new Promise(() => {}),
          return: () => {
            left = true;
            return new Promise(() => {});
          },
        };
      },
    };
    const controller = new AbortController();
    const settled = errorOf(client.putMany(source, { signal: controller.signal }));
    await world.pass(1_000);
    controller.abort();
    const error = await settled;
    expect([error.code, error.details["records"]]).toEqual(["Cancelled", 3]);
    expect(left).toBe(true);
    expect(getEventListeners(controller.signal, "abort")).toEqual([]);
  });

  it("takes no further record, although failures are told one by one", async () => {
    const { client, cluster, failure, world } = harness();
    const controller = new AbortController();
    async function* source(): AsyncGenerator<[string, string]> {
      for (let i = 0; i < 100; i++) {
        if (i === 10) controller.abort();
        yield [`k${i}`, "v"];
      }
    }
    const failed: string[] = [];
    const error = await failure(
      client.putMany(source(), {
        signal: controller.signal,
        onFailure: (_, record) => failed.push((record as [string, string])[0]),
      }),
    );
    await world.pass(1_000);
    expect(error.code).toBe("Cancelled");
    expect(failed.length + Number(error.details["records"])).toBe(10);
    expect(cluster.applied.length).toBeLessThanOrEqual(10);
  });
});

it("a scan that is cancelled between two records ends with the page that is there", async () => {
  const { client, run, failure } = harness({ scanCreditBytes: 1_000 });
  await run(Promise.all(Array.from({ length: 200 }, (_, i) => client.put(`k${String(i).padStart(3, "0")}`, "v"))));
  const controller = new AbortController();
  let seen = 0;
  const read = async (): Promise<void> => {
    for await (const _ of client.scan({ signal: controller.signal })) if (++seen === 2) controller.abort();
  };
  expect(await failure(read())).toMatchObject({ code: "Cancelled" });
  expect(seen).toBeLessThan(100);
});
