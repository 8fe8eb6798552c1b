import { describe, expect, it } from "vitest";
import { FlotillaError } from "../src/internal.ts";
import { anotherClient, harness, logical, text } from "./support/harness.ts";

describe("operations", () => {
  it("puts, gets and deletes, connecting on first use", async () => {
    const { client, cluster, run, world } = harness();
    expect(cluster.network.dials).toEqual([]);
    const { version } = await run(client.put("a", "one"));
    expect(version).toBeGreaterThan(0);
    expect(text(await run(client.get("a")))).toBe("one");
    const entry = await run(client.getEntry("a"));
    expect([text(entry!.key), text(entry!.value), entry!.version]).toEqual(["a", "one", version]);
    const deleted = await run(client.delete("a"));
    expect(deleted.deleted).toBe(true);
    expect(deleted.version).toBeGreaterThan(version);
    expect(await run(client.get("a"))).toBeUndefined();
    expect(await run(client.getEntry("a"))).toBeUndefined();
    expect((await run(client.delete("a"))).deleted).toBe(false);
    await client.close();
    await world.pass(1);
    expect(world.idle).toBe(true);
  });

  it("sends everything of one turn for one store as one payload, a batch a range", async () => {
    const { client, cluster, run } = harness();
    cluster.split("m");
    await run(client.get("warm"));
    await run(client.put("warm", ""));
    await run(client.get("a"));
    cluster.payloads.clear();
    const all = Promise.all([
      client.put("a", "1"),
      client.put("b", "2"),
      client.put("x", "3"),
      client.get("a"),
      client.get("y"),
    ]);
    await run(all);
    const payloads = [...cluster.payloads.values()].flat();
    expect(payloads.length).toBe(1);
    expect(payloads[0]!.map((message) => message.type).sort()).toEqual(["commands", "commands", "reads", "reads"]);
  });

  it("keeps the order of commands for one key that are issued in one turn", async () => {
    const { client, run } = harness();
    void client.put("k", "first");
    void client.put("k", "second");
    await run(client.put("k", "third"));
    expect(text(await run(client.get("k")))).toBe("third");
  });

  it("fails conditions with the version that was found", async () => {
    const { client, run, failure } = harness();
    const { version } = await run(client.put("a", "1", { ifAbsent: true }));
    const exists = await failure(client.put("a", "2", { ifAbsent: true }));
    expect([exists.code, exists.outcome, exists.retryable, exists.details["version"]]).toEqual([
      "ConditionFailed",
      "not-applied",
      false,
      version,
    ]);
    const next = await run(client.put("a", "3", { ifVersion: version }));
    const stale = await failure(client.delete("a", { ifVersion: version }));
    expect([stale.code, stale.details["version"]]).toEqual(["ConditionFailed", next.version]);
    const absent = await failure(client.put("b", "3", { ifVersion: 7 }));
    expect(absent.details["version"]).toBe(0);
  });

  it("refuses keys and values outside the limits, naming limit and size", async () => {
    const { client, cluster, run, failure } = harness({ valueBytesMax: 1000 });
    expect((await failure(client.get(""))).code).toBe("EmptyKey");
    const long = await failure(client.put("ü".repeat(2049), "x"));
    expect([long.code, long.details, long.outcome]).toEqual([
      "KeyTooLarge",
      { sizeBytes: 4098, limitBytes: 4096 },
      "not-applied",
    ]);
    const large = await failure(client.put("a", "x".repeat(1001)));
    expect([large.code, large.details]).toEqual(["ValueTooLarge", { sizeBytes: 1001, limitBytes: 1000 }]);
    expect((await failure(client.put("a", "x", { ifVersion: -1 }))).code).toBe("InvalidArgument");
    expect((await failure(client.put("a", "x", { ifVersion: 3, ifAbsent: true }))).code).toBe("InvalidArgument");
    expect((await failure(client.put("a", 7 as never))).code).toBe("InvalidArgument");
    expect((await failure(client.put("\ud800", "x"))).code).toBe("InvalidArgument");
    expect((await failure(client.get("a", { timeoutMs: 0 }))).code).toBe("InvalidArgument");
    expect(cluster.applied).toEqual([]);
    await run(client.put("k".repeat(4096), "x".repeat(1000)));
    expect(text(await run(client.get("k".repeat(4096))))).toBe("x".repeat(1000));
  });

  it("speaks in the codecs of a namespace, below its prefix", async () => {
    const { client, cluster, run } = harness();
    const users = client.namespace("users/", { key: "utf8", value: "json" });
    await run(users.put("ann", { age: 7 }));
    expect(cluster.records.has(logical("users/ann"))).toBe(true);
    expect(await run(users.get("ann"))).toEqual({ age: 7 });
    const events = users.namespace("events/", { key: "tuple", value: "msgpack" });
    await run(events.put(["x", 1, true], { list: [1, "b", new Uint8Array([1])] }));
    const [entry] = await run(events.scan({ prefix: ["x"] }).toArray());
    expect(entry!.key).toEqual(["x", 1, true]);
    expect(entry!.value).toEqual({ list: [1, "b", Buffer.from([1])] });
    const own = client.namespace("own/", {
      value: { encode: (value: number) => Uint8Array.of(value), decode: (bytes: Uint8Array) => bytes[0]! },
    });
    await run(own.put("k", 9));
    expect(await run(own.get("k"))).toBe(9);
    expect(await run(users.count())).toBe(2);
  });

  it("hands values out in memory of their own", async () => {
    const { client, run } = harness();
    await run(client.put("a", "value"));
    const value = (await run(client.get("a")))!;
    expect(value.buffer.byteLength).toBe(5);
  });

  it("rejects with the codec's own error when a value cannot be decoded", async () => {
    const { client, run } = harness();
    await run(client.put("a", "not json"));
    const failed = client.namespace("", { value: "json" }).get("a");
    await expect(run(failed)).rejects.toThrow(SyntaxError);
    expect(text(await run(client.get("a")))).toBe("not json");
  });

  it("writes and reads many with bounded work on the way", async () => {
    const { client, cluster, run } = harness({ bulkInFlightMax: 10 });
    cluster.split("k2", "k5");
    const records = Array.from({ length: 100 }, (_, i) => [`k${String(i).padStart(2, "0")}`, `v${i}`] as const);
    expect(await run(client.putMany(records))).toEqual({
      records: 100,
      bytes: records.reduce((sum, [k, v]) => sum + k.length + v.length, 0),
    });
    async function* more(): AsyncGenerator<{ key: string; value: string }> {
      for (let i = 0; i < 15; i++) yield { key: `async${i}`, value: "x" };
    }
    expect((await run(client.putMany(more()))).records).toBe(15);
    const values = await run(client.getMany(["k99", "none", "k00", "k00"]));
    expect(values.map(text)).toEqual(["v99", undefined, "v0", "v0"]);
    const largest = Math.max(
      ...[...cluster.payloads.values()]
        .flat(2)
        .map((message) => (message.type === "commands" ? message.commands.length : 0)),
    );
    expect(largest).toBeLessThanOrEqual(10);
  });

  it("ends putMany at the first failure, or tells of each and goes on", async () => {
    const { client, run, failure, cluster } = harness({ valueBytesMax: 10, bulkInFlightMax: 2 });
    const records = [
      ["a", "1"],
      ["b", "x".repeat(11)],
      ["c", "3"],
      ["d", "4"],
    ] as const;
    const error = await failure(client.putMany(records));
    expect([error.code, error.details["records"]]).toEqual(["ValueTooLarge", 1]);
    const failures: [string, unknown][] = [];
    const done = await run(
      client.putMany(records, { onFailure: (reason, record) => void failures.push([reason.code, record]) }),
    );
    expect([done.records, failures]).toEqual([3, [["ValueTooLarge", records[1]]]]);
    expect(cluster.records.size).toBe(3);
  });

  it("sends stale reads to any replica and linearizable ones to the leader", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("a", "1"));
    await run(client.get("a", { consistency: "stale" }));
    await run(new Promise<void>((resolve) => void cluster.world.after(20, resolve)));
    cluster.payloads.clear();
    for (let i = 0; i < 6; i++) expect(text(await run(client.get("a", { consistency: "stale" })))).toBe("1");
    expect([...cluster.payloads.keys()].sort()).toEqual([1, 2, 3]);
    cluster.payloads.clear();
    for (let i = 0; i < 3; i++) await run(client.get("a"));
    expect([...cluster.payloads.keys()]).toEqual([1]);
  });

  it("takes a smaller batch of reads when a store says that an answer would be too large", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("a", "1"));
    cluster.interceptRange = (_store, message) =>
      message.type === "reads" && message.keys.length > 3
        ? { reason: "error", code: "BatchTooLarge", message: "too much" }
        : undefined;
    const values = await run(client.getMany(Array.from({ length: 50 }, () => "a")));
    expect(values.map(text)).toEqual(Array.from({ length: 50 }, () => "1"));
  });

  it("tells each client's commands apart by a random id of 53 bits", () => {
    const { client, cluster, world } = harness();
    const other = anotherClient(world, cluster);
    expect(client.internals.clientId).not.toBe(other.internals.clientId);
    for (const { internals } of [client, other]) {
      expect(Number.isSafeInteger(internals.clientId)).toBe(true);
      expect(internals.clientId).toBeGreaterThan(2 ** 32);
    }
  });

  it("stamps commands with the cluster's clock, never below a version that was seen", async () => {
    const { client, cluster, world, run } = harness();
    const stamps: number[] = [];
    cluster.interceptCommand = (_store, command, batch) => {
      stamps.push(command.firstSent, batch.seen);
      return undefined;
    };
    await run(client.put("a", "1"));
    const expectedMs = world.wallOffsetMs + world.nowMs - 1_704_067_200_000;
    expect(Math.abs(stamps[0]! / 4096 - expectedMs)).toBeLessThan(10);
    await run(client.put("a", "2"));
    expect(stamps[3]).toBeGreaterThan(0);
    expect(stamps[2]).toBeGreaterThanOrEqual(stamps[3]!);
  });

  it("has one error class with a stable code", () => {
    const error = new FlotillaError("Busy", "x");
    expect([error.name, error.code, error.retryable, error.outcome, error.hint, error.details]).toEqual([
      "FlotillaError",
      "Busy",
      true,
      undefined,
      "",
      {},
    ]);
  });
});
