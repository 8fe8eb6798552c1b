import { storeId } from "@flotilla/base";
import type { ServerMessage } from "@flotilla/transport";
import { describe, expect, it } from "vitest";
import { harness, text } from "./support/harness.ts";

const isResults = (message: ServerMessage): boolean => message.type === "command-results";

describe("outcomes", () => {
  it("H1 every answer lost once: each command is applied once and acknowledged", async () => {
    const { client, cluster, run } = harness({ timeoutMs: 60_000, batchCommandsMax: 3 });
    cluster.split("k3", "k6");
    cluster.moveLeader(2, "k4");
    const lost = new Set<number>();
    cluster.dropAnswer = (_store, message) => {
      if (message.type !== "command-results") return false;
      const fresh = message.results.some((result) => !lost.has(result.number));
      for (const result of message.results) lost.add(result.number);
      return fresh;
    };
    const acknowledged = await run(
      Promise.all(Array.from({ length: 40 }, (_, i) => client.put(`k${i % 10}-${i}`, `v${i}`))),
    );
    expect(new Set(acknowledged.map((answer) => answer.version)).size).toBe(40);
    expect(cluster.applied).toHaveLength(40);
    expect(lost.size).toBe(40);
  });

  it("H1 a lost answer of a conditional write is found again under its number, not as a failed condition", async () => {
    const { client, cluster, run } = harness();
    let drop = true;
    cluster.dropAnswer = (_store, message) => isResults(message) && drop && !(drop = false);
    const { version } = await run(client.put("a", "1", { ifAbsent: true }));
    expect(cluster.applied).toHaveLength(1);
    expect([...cluster.records.values()][0]!.version).toBe(version);
  });

  it("H1 a stream that breaks under way is answered elsewhere with the same number", async () => {
    const { client, cluster, run, events } = harness();
    await run(client.put("warm", ""));
    let broken = false;
    cluster.dropAnswer = (store, message) => {
      if (!isResults(message) || broken) return false;
      broken = true;
      cluster.network.break(store.address);
      cluster.network.down.add(store.address);
      cluster.moveLeader(2);
      return true;
    };
    await run(client.delete("warm"));
    expect(cluster.applied.map((command) => command.kind)).toEqual(["put", "delete"]);
    expect(events.some((event) => event.type === "retry")).toBe(true);
  });

  it("a store that takes slowly what is sent to it, or answers slowly, is not sent it twice, and no other store is asked", async () => {
    const { client, cluster, run, events } = harness({ timeoutMs: 60_000, batchBytesMax: 256 * 1024 });
    await run(client.put("warm", ""));
    const value = "v".repeat(64 * 1024);
    const carried = (): number[] =>
      [1, 2, 3].map((store) => {
        const payloads = cluster.payloads.get(storeId(store)) ?? [];
        return payloads.flat().reduce((sum, each) => sum + (each.type === "commands" ? each.commands.length : 0), 0);
      });
    cluster.network.bytesPerMs = 1024;
    await run(Promise.all(Array.from({ length: 100 }, (_, i) => client.put(`a${i}`, value))));
    expect(carried()).toEqual([101, 0, 0]);
    cluster.network.bytesPerMs = Infinity;
    cluster.stores.get(storeId(1))!.batchMs = 1000;
    await run(Promise.all(Array.from({ length: 100 }, (_, i) => client.put(`b${i}`, value))));
    expect(carried()).toEqual([201, 0, 0]);
    expect(events.some((event) => event.type === "retry")).toBe(false);
  });

  it("H2 a write without answer is unknown, and says which stores were asked", async () => {
    const { client, cluster, failure, run, world } = harness();
    cluster.dropAnswer = (_store, message) => isResults(message);
    const before = world.nowMs;
    const error = await failure(client.put("a", "1"));
    expect([error.code, error.outcome, error.retryable]).toEqual(["OutcomeUnknown", "unknown", false]);
    expect(error.details["storesAsked"]).toContain(1);
    expect(error.details["rangeId"]).toBe(cluster.ranges[0]!.descriptor.rangeId);
    expect(error.message).toMatch(/put of "a" in range \d+: no answer within 10000 ms/);
    expect(world.nowMs - before).toBeLessThan(10_150);
    expect(cluster.applied).toHaveLength(1);
    cluster.dropAnswer = () => false;
    expect(text(await run(client.get("a")))).toBe("1");
  });

  it("H2 not-applied only when every attempt was refused: one lost attempt before makes it unknown", async () => {
    const { client, cluster, failure } = harness();
    let attempts = 0;
    cluster.dropAnswer = (_store, message) => isResults(message) && attempts === 1;
    cluster.interceptCommand = () =>
      ++attempts === 1 ? undefined : { status: "refused", code: "Busy", message: "full" };
    const error = await failure(client.put("a", "1"));
    expect(attempts).toBeGreaterThan(1);
    expect([error.code, error.outcome]).toEqual(["OutcomeUnknown", "unknown"]);
  });

  it("H2 refusals alone end as not-applied with the last refusal's code", async () => {
    for (const code of ["Busy", "NoQuorum", "DiskFull"] as const) {
      const { client, cluster, failure } = harness();
      let attempts = 0;
      cluster.interceptCommand = () => {
        attempts++;
        return { status: "refused", code, message: "no" };
      };
      const error = await failure(client.put("a", "1", { timeoutMs: 3_000 }));
      expect([error.code, error.outcome, error.retryable]).toEqual([code, "not-applied", true]);
      expect(attempts).toBeGreaterThan(3);
      expect(attempts).toBeLessThan(40);
      expect(cluster.applied).toEqual([]);
    }
  });

  it("a refusal that does not pass is given back at once", async () => {
    const { client, cluster, failure, world } = harness();
    cluster.interceptCommand = () => ({ status: "refused", code: "ValueTooLarge", message: "limit 5, size 9" });
    const before = world.nowMs;
    const error = await failure(client.put("a", "1"));
    expect([error.code, error.outcome, error.message]).toEqual([
      "ValueTooLarge",
      "not-applied",
      'put of "a": limit 5, size 9',
    ]);
    expect(world.nowMs - before).toBeLessThan(50);
    cluster.interceptCommand = () => undefined;
    cluster.interceptRange = () => ({ reason: "error", code: "InvalidArgument", message: "bad" });
    expect((await failure(client.get("a"))).code).toBe("InvalidArgument");
    expect((await failure(client.put("b", "1"))).outcome).toBe("not-applied");
    expect((await failure(client.scan().toArray())).code).toBe("InvalidArgument");
  });

  it("a batch refused for one command's sake is sent again one by one, and only that command fails", async () => {
    const { client, cluster, run, failure } = harness();
    await run(client.get("a"));
    cluster.interceptRange = (_store, message) =>
      message.type === "commands" && message.commands.some((command) => command.value.length > 100)
        ? { reason: "error", code: "ValueTooLarge", message: "a value of 101 bytes, at most 100" }
        : undefined;
    const good = Promise.all(Array.from({ length: 20 }, (_, i) => client.put(`k${i}`, "x")));
    const bad = failure(client.put("large", "x".repeat(101)));
    await run(good);
    expect([(await bad).code, (await bad).outcome]).toEqual(["ValueTooLarge", "not-applied"]);
    expect(cluster.applied).toHaveLength(20);
  });

  it("an attempt whose leader lost its office is asked again with its number", async () => {
    const { client, cluster, run } = harness();
    const numbers: number[] = [];
    cluster.interceptCommand = (_store, command) => {
      numbers.push(command.number);
      return numbers.length < 4 ? { status: "unknown", code: "NoQuorum", message: "stepped down" } : undefined;
    };
    await run(client.put("a", "1"));
    expect(numbers).toEqual([1, 1, 1, 1]);
    expect(cluster.applied).toHaveLength(1);
  });

  it("waits as long as a busy store asks before it comes back", async () => {
    const { client, cluster, run, world } = harness();
    await run(client.get("a"));
    let at = 0;
    cluster.interceptRange = () => {
      if (at > 0) return undefined;
      at = world.nowMs;
      return { reason: "error", code: "Busy", message: "", retryAfterMs: 700 };
    };
    await run(client.put("a", "1"));
    expect(world.nowMs - at).toBeGreaterThanOrEqual(700);
    expect(world.nowMs - at).toBeLessThan(750);
  });

  it("a late answer of an attempt that was given up still settles the command", async () => {
    const { client, cluster, run, world } = harness({ timeoutMs: 30_000 });
    await run(client.put("warm", ""));
    cluster.network.delayMs = 3_000;
    const before = world.nowMs;
    await run(client.put("a", "1"));
    expect(world.nowMs - before).toBeLessThan(7_000);
    expect(cluster.applied).toHaveLength(2);
  });

  it.each([
    ["put", "OutcomeUnknown"],
    ["get", "NoQuorum"],
    ["scan", "NoQuorum"],
  ] as const)("stores that keep their streams open and say nothing are named by %s", async (name, code) => {
    const { client, cluster, run, failure } = harness({ timeoutMs: 2_500 });
    await run(client.put("a", "1"));
    for (const id of [1, 2]) cluster.stores.get(storeId(id))!.silent = true;
    const calls = {
      put: () => client.put("a", "2"),
      get: () => client.get("a"),
      scan: () => client.scan().toArray(),
    };
    const error = await failure(calls[name]() as Promise<unknown>);
    expect([error.code, error.outcome]).toEqual([code, name === "put" ? "unknown" : undefined]);
    const { rangeId } = cluster.ranges[0]!.descriptor;
    expect(error.details).toMatchObject({ rangeId, missingStores: [1, 2] });
    expect(error.message).toContain(`range ${rangeId}`);
    expect(error.message).toContain("no answer from stores 1, 2");
  });

  it("reads without a majority end as NoQuorum, naming range and stores", async () => {
    const { client, cluster, run, failure } = harness();
    await run(client.get("a"));
    for (const id of [1, 2]) {
      cluster.network.down.add(`s${id}:7400`);
      cluster.network.break(`s${id}:7400`);
    }
    const error = await failure(client.get("a"));
    expect([error.code, error.outcome, error.retryable]).toEqual(["NoQuorum", undefined, true]);
    expect(error.details["missingStores"]).toEqual([1, 2]);
    expect(error.message).toContain(`range ${cluster.ranges[0]!.descriptor.rangeId}`);
  });

  it("reads that nobody answers end as Timeout", async () => {
    const { client, cluster, run, failure } = harness();
    await run(client.get("a"));
    cluster.dropAnswer = (_store, message) => message.type === "read-results";
    expect((await failure(client.get("a", { timeoutMs: 500 }))).code).toBe("Timeout");
  });

  it("a timeout of a few milliseconds is kept", async () => {
    const { client, cluster, failure, world, run } = harness();
    await run(client.get("a"));
    cluster.stores.get(storeId(1))!.silent = true;
    const before = world.nowMs;
    await failure(client.get("a", { timeoutMs: 7 }));
    expect(world.nowMs - before).toBeLessThanOrEqual(8);
  });

  it("the floor stays below every command somebody waits for, and passes those that timed out", async () => {
    const { client, cluster, failure, run } = harness();
    const floors: number[] = [];
    let stuck = 0;
    cluster.interceptCommand = (_store, command, batch) => {
      floors.push(batch.floor);
      if (command.key.endsWith("stuck")) {
        stuck ||= command.number;
        return { status: "refused", code: "Busy", message: "" };
      }
      return undefined;
    };
    cluster.split("n");
    const waiting = failure(client.put("stuck", "1", { timeoutMs: 1_000 }));
    for (let i = 0; i < 10; i++) await run(client.put("a", String(i)));
    expect(stuck).toBeGreaterThan(0);
    expect(floors.every((floor) => floor <= stuck)).toBe(true);
    await waiting;
    floors.length = 0;
    await run(client.put("a", "x"));
    expect(floors).toEqual([12]);
  });

  it("an abort before sending is not-applied, one under way is unknown, and a read is just cancelled", async () => {
    const { client, cluster, run, failure, world } = harness();
    await run(client.get("a"));
    const early = new AbortController();
    const first = failure(client.put("a", "1", { signal: early.signal }));
    early.abort(new Error("why"));
    const notSent = await first;
    expect([notSent.code, notSent.outcome, (notSent.cause as Error).message]).toEqual([
      "Cancelled",
      "not-applied",
      "why",
    ]);
    expect((await failure(client.put("a", "1", { signal: early.signal }))).code).toBe("Cancelled");
    cluster.dropAnswer = () => true;
    const late = new AbortController();
    const write = failure(client.put("a", "2", { signal: late.signal }));
    const read = failure(client.get("a", { signal: late.signal }));
    const scan = failure(client.scan({ signal: late.signal }).toArray());
    const bulk = failure(client.putMany([["b", "1"]], { signal: late.signal }));
    await world.pass(100);
    late.abort();
    const sent = await write;
    expect([sent.code, sent.outcome, sent.details["reason"]]).toEqual(["OutcomeUnknown", "unknown", "Cancelled"]);
    expect([(await read).code, (await read).outcome]).toEqual(["Cancelled", undefined]);
    expect((await scan).code).toBe("Cancelled");
    expect(["Cancelled", "OutcomeUnknown"]).toContain((await bulk).code);
  });

  it("close settles everything: Closed, or unknown for a write that is under way", async () => {
    const { client, cluster, run, failure, world } = harness({ inFlightMax: 2 });
    await run(client.get("a"));
    cluster.dropAnswer = () => true;
    const sent = failure(client.put("a", "1"));
    await world.pass(10);
    const read = failure(client.get("a"));
    const queued = failure(client.put("a", "2"));
    const scan = failure(client.scan().toArray());
    await world.pass(10);
    expect(client.internals.load).toMatchObject({ inFlight: 2, queued: 1 });
    const closed = client.close();
    expect((await sent).code).toBe("OutcomeUnknown");
    expect((await sent).details["reason"]).toBe("Closed");
    expect([(await read).code, (await queued).code, (await scan).code]).toEqual(["Closed", "Closed", "Closed"]);
    expect((await queued).outcome).toBe("not-applied");
    await run(closed);
    await run(client.closed);
    expect((await failure(client.put("a", "3"))).code).toBe("Closed");
    expect((await failure(client.scan().toArray())).code).toBe("Closed");
    expect((await failure(client.admin("x"))).code).toBe("Closed");
    await client[Symbol.asyncDispose]();
    await world.pass(1);
    expect(cluster.network.openStreams("s1:7400")).toBe(0);
    expect(world.idle).toBe(true);
  });

  it("an idle client lets time pass without waking up", async () => {
    const { client, run, world } = harness();
    await run(client.put("a", "1"));
    await world.pass(60_000);
    expect(world.idle).toBe(true);
  });
});

describe("admin calls", () => {
  it("return the server's result or its error", async () => {
    const { client, cluster, run, failure } = harness();
    cluster.admin = (store, name, body) => (name === "fail" ? new Error("nope") : { store: store.id, name, body });
    expect(await run(client.admin("status", { a: 1 }, { storeId: 2 }))).toEqual({
      store: 2,
      name: "status",
      body: { a: 1 },
    });
    expect(await run(client.admin("status", null, { endpoint: "s3" }))).toMatchObject({ store: 3 });
    const error = await failure(client.admin("fail"));
    expect([error.code, error.message, error.hint, error.details]).toEqual(["Refused", "nope", "do not", { a: 1 }]);
  });

  it("wait while nobody drives placement, and say so when their time is up", async () => {
    const { client, cluster, run, failure } = harness();
    const nobody = new Error("no placement driver is known", { cause: { code: "NoQuorum" } });
    let asked = 0;
    cluster.admin = () => {
      asked++;
      return cluster.world.nowMs < 3_000 ? nobody : "done";
    };
    expect(await run(client.admin("change"))).toBe("done");
    expect(asked).toBeLessThan(50);
    cluster.admin = () => nobody;
    const error = await failure(client.admin("change", null, { timeoutMs: 2_000 }));
    expect([error.code, error.message, error.retryable]).toEqual(["NoQuorum", nobody.message, true]);
    // One store says what it knows itself.
    expect((await failure(client.admin("change", null, { storeId: 1, timeoutMs: 600_000 }))).code).toBe("NoQuorum");
  });

  it("follow a store that names another one, and come back when that one is gone", async () => {
    const { client, cluster, run } = harness();
    let named = 3;
    cluster.admin = (store) =>
      store.id === named || named === 0 ? store.id : new Error("not me", { cause: { redirectStoreId: named } });
    await run(client.routes());
    expect(await run(client.admin("status", null, { readOnly: true }))).toBe(3);
    cluster.network.down.add("s3:7400");
    cluster.network.break("s3:7400");
    cluster.world.after(4_000, () => void (named = 0));
    expect([1, 2]).toContain(await run(client.admin("status", null, { readOnly: true })));
  });

  it("reach a node that has no cluster yet, by its address only", async () => {
    const { client, cluster, run, failure } = harness();
    for (const store of cluster.stores.values()) store.clusterId = "";
    cluster.admin = (_store, name) => name;
    expect(await run(client.admin("cluster-init", null, { endpoint: "s1:7400" }))).toBe("cluster-init");
    const error = await failure(client.admin("status", null, { timeoutMs: 5_000 }));
    expect([error.code, error.hint]).toEqual(["Refused", expect.stringContaining("flotilla cluster init --endpoints")]);
  });

  it("are unknown when the stream breaks, and asked elsewhere when they only read", async () => {
    const { client, cluster, run, failure } = harness();
    cluster.admin = () => "done";
    cluster.dropAnswer = (store, message) => {
      if (message.type !== "admin-response") return false;
      cluster.network.break(store.address);
      cluster.dropAnswer = () => false;
      return true;
    };
    const again = cluster.dropAnswer;
    expect((await failure(client.admin("change"))).code).toBe("OutcomeUnknown");
    cluster.dropAnswer = again;
    expect(await run(client.admin("status", null, { readOnly: true }))).toBe("done");
  });
});
