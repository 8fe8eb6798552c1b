import { metaRangeId, replicaId, storeId, systemPrefix, userPrefix } from "@flotilla/base";
import type { RouteEntry } from "@flotilla/transport";
import { describe, expect, it } from "vitest";
import { anotherClient, harness, text } from "./support/harness.ts";

describe("routing", () => {
  it("E28 with a frozen map 50 leadership changes and splits are followed by the stores' hints alone", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("m", "0"));
    cluster.frozenRoutes = cluster.entries();
    for (let i = 1; i <= 50; i++) {
      if (i % 5 === 0) cluster.split(String.fromCharCode(97 + (i % 26)) + i);
      if (i % 12 === 0) cluster.merge("m");
      cluster.moveLeader(1 + (i % 3));
      await run(client.put("m", String(i)));
      expect(text(await run(client.get("m")))).toBe(String(i));
    }
    expect(cluster.applied).toHaveLength(51);
  });

  it("E28 with a placement driver that answers nothing, 50 leadership changes and splits are followed as well", async () => {
    const { client, cluster, run, world } = harness();
    await run(client.put("m", "0"));
    cluster.silentRoutes = true;
    const beganMs = world.nowMs;
    for (let i = 1; i <= 50; i++) {
      if (i % 5 === 0) cluster.split(String.fromCharCode(97 + (i % 26)) + i);
      cluster.moveLeader(1 + (i % 3));
      await run(client.put("m", String(i)));
      expect(text(await run(client.get("m")))).toBe(String(i));
    }
    expect(cluster.applied).toHaveLength(51);
    expect(world.nowMs - beganMs).toBeLessThan(50 * 200);
  });

  it("goes on while every store in turn is started again: no call fails, each command is applied once", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("k", "0"));
    let written = 1;
    for (const round of [1, 2, 3]) {
      for (const { id, address } of [...cluster.stores.values()]) {
        const next = 1 + (id % 3);
        cluster.network.down.add(address);
        cluster.network.break(address);
        const meanwhile = Array.from({ length: 20 }, (_, i) => client.put(`k${i}`, `${round}.${id}`));
        cluster.moveLeader(next);
        await run(Promise.all(meanwhile));
        cluster.network.down.delete(address);
        written += meanwhile.length;
        expect(text(await run(client.get("k7")))).toBe(`${round}.${id}`);
      }
    }
    expect(cluster.applied).toHaveLength(written);
  });

  it("E28 two replicas that name each other are not asked in a tight loop", async () => {
    const { client, cluster, run, failure } = harness();
    await run(client.put("m", "0"));
    cluster.payloads.clear();
    cluster.interceptRange = (store) => ({
      reason: "not-leader",
      ranges: [{ descriptor: cluster.ranges[0]!.descriptor, leader: storeId(store.id === 1 ? 2 : 1) }],
    });
    const error = await failure(client.put("m", "1", { timeoutMs: 5_000 }));
    expect([error.code, error.outcome]).toEqual(["NoQuorum", "not-applied"]);
    expect([...cluster.payloads.values()].flat().length).toBeLessThan(60);
  });

  it("routes again by the fresh map what was refused for another epoch", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("a", "1"));
    cluster.split("g", "p");
    cluster.moveLeader(2, "h");
    cluster.moveLeader(3, "z");
    cluster.payloads.clear();
    await run(Promise.all([client.put("b", "b"), client.put("h", "h"), client.put("z", "z")]));
    for (const name of ["b", "h", "z"]) expect(text(await run(client.get(name)))).toBe(name);
    expect(client.internals.routes.size).toBe(3);
    expect(
      cluster.payloads
        .get(storeId(3))!
        .flat()
        .some((message) => message.type === "commands"),
    ).toBe(true);
  });

  it("asks for the map when a refusal brings no fresher descriptor", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("a", "1"));
    cluster.split("g");
    let refused = 0;
    cluster.interceptRange = (_store, message) => {
      if (message.type === "commands" && message.bounds === 1) {
        refused++;
        return { reason: "epoch-mismatch", ranges: [] };
      }
      return undefined;
    };
    await run(client.put("z", "2"));
    expect(refused).toBeGreaterThan(0);
    expect(cluster.records.size).toBe(2);
  });

  /** What store 1 knows is old: the range went on at store 4 alone, where the map of ranges is, and the others are gone. */
  const outdated = (endpoints: readonly string[]) => {
    const { cluster, run, world } = harness({}, 4);
    for (const gone of ["s2:7400", "s3:7400", "s4:7400"]) cluster.network.down.add(gone);
    const client = anotherClient(world, cluster, { endpoints });
    const old = cluster.entries();
    const moveOn = (): RouteEntry => {
      const { descriptor } = cluster.ranges[0]!;
      const replicas = [{ replicaId: replicaId(99), storeId: storeId(4), role: "voter" as const }];
      const epoch = { bounds: 1001, members: 1001 };
      cluster.ranges = [{ descriptor: { ...descriptor, epoch, replicas }, leader: storeId(4) }];
      cluster.network.down.delete("s4:7400");
      cluster.interceptRange = (store) =>
        store.id === 1 ? { reason: "not-leader", message: "no replica", ranges: [] } : undefined;
      const meta = cluster.descriptor(systemPrefix, userPrefix, 1001, 1001, metaRangeId);
      return { descriptor: { ...meta, replicas }, leader: storeId(4) };
    };
    return { cluster, client, run, moveOn, old };
  };

  it("a store that has no map any more, and says who has it, leads to that one though old routes are known", async () => {
    const { cluster, client, run, moveOn } = outdated(["s1:7400"]);
    await run(client.put("m", "1"));
    cluster.stores.get(storeId(1))!.map = [moveOn()];
    await run(client.put("m", "2", { timeoutMs: 5_000 }));
    expect(cluster.applied).toHaveLength(2);
  });

  it("other endpoints are asked when all that a store knows is old", async () => {
    const { cluster, client, run, moveOn, old } = outdated(["s1:7400", "s4:7400"]);
    await run(client.put("m", "1"));
    moveOn();
    cluster.stores.get(storeId(1))!.map = old;
    await run(client.put("m", "2", { timeoutMs: 5_000 }));
    expect(cluster.applied).toHaveLength(2);
  });

  it("finds the new leader when the old one's node is gone", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("m", "1"));
    cluster.network.down.add("s1:7400");
    cluster.network.break("s1:7400");
    cluster.moveLeader(3);
    await run(client.put("m", "2"));
    expect(text(await run(client.get("m")))).toBe("2");
    expect(cluster.applied).toHaveLength(2);
  });

  it("asks another replica when the leader takes requests and says nothing", async () => {
    const { client, cluster, run, world } = harness();
    await run(client.put("m", "1"));
    cluster.stores.get(storeId(1))!.silent = true;
    cluster.moveLeader(2);
    const before = world.nowMs;
    await run(Promise.all([client.put("m", "2"), client.get("m")]));
    expect(world.nowMs - before).toBeLessThan(3_000);
    const again = world.nowMs;
    await run(client.put("m", "3"));
    expect(world.nowMs - again).toBeLessThan(100);
    expect(cluster.applied).toHaveLength(3);
  });

  it("closes a stream on which a store stays silent, and dials again", async () => {
    const { client, cluster, run, world } = harness({ timeoutMs: 20_000 });
    await run(client.put("m", "1"));
    const store = cluster.stores.get(storeId(1))!;
    store.silent = true;
    const write = client.put("m", "2");
    await world.pass(7_000);
    expect(cluster.network.dials.filter((address) => address === "s1:7400").length).toBeGreaterThan(1);
    store.silent = false;
    await run(write);
    expect(cluster.applied).toHaveLength(2);
  });

  it("gives a dial up that hangs", async () => {
    const { client, cluster, run, world } = harness();
    cluster.network.hanging.add("s1:7400");
    cluster.moveLeader(2);
    await run(client.put("m", "1"));
    expect(world.nowMs).toBeLessThan(3_000);
  });

  it("learns stores that were not among the endpoints", async () => {
    const { client, cluster, run } = harness({ endpoints: "flotilla://s2:7400" });
    cluster.moveLeader(1);
    await run(client.put("m", "1"));
    expect(cluster.network.dials).toContain("s1:7400");
  });

  it("moves away from a store that announces its end", async () => {
    const { client, cluster, run, world } = harness();
    await run(client.put("m", "1"));
    const leader = storeId(1);
    cluster.send(cluster.stores.get(leader)!, cluster.streams.get(leader)!, { type: "going-away" });
    await world.pass(5);
    cluster.moveLeader(2);
    cluster.payloads.clear();
    await run(client.put("m", "2"));
    expect(cluster.payloads.get(storeId(1)) ?? []).toEqual([]);
  });

  it("H8 a store of another cluster is never used", async () => {
    const { client, cluster, run, failure, world } = harness();
    await run(client.put("m", "1"));
    cluster.stores.get(storeId(1))!.clusterId = "d".repeat(32);
    cluster.network.break("s1:7400");
    await world.pass(1);
    cluster.payloads.clear();
    const error = await failure(client.put("m", "2"));
    expect(error.code).toBe("NoQuorum");
    expect(error.details["missingStores"]).toEqual([1]);
    expect(cluster.payloads.get(storeId(1)) ?? []).toEqual([]);
    cluster.moveLeader(2);
    await run(client.put("m", "3"));
  });

  it("says ConnectFailed with every endpoint's reason when none can be reached", async () => {
    const { client, cluster, failure, world } = harness();
    for (const address of cluster.endpoints) cluster.network.down.add(address);
    const before = world.nowMs;
    const errors = await Promise.all([
      failure(client.put("a", "1")),
      failure(client.get("a")),
      failure(client.scan().toArray()),
      failure(client.routes()),
    ]);
    expect(errors.map((error) => error.code)).toEqual([
      "ConnectFailed",
      "ConnectFailed",
      "ConnectFailed",
      "ConnectFailed",
    ]);
    expect(errors[0]!.outcome).toBe("not-applied");
    expect(errors[1]!.outcome).toBeUndefined();
    expect(Object.keys(errors[0]!.details["endpoints"] as object)).toEqual(cluster.endpoints);
    expect(world.nowMs - before).toBeLessThan(4_500);
    expect((await failure(client.get("a", { timeoutMs: 200 }))).code).toBe("ConnectFailed");
    expect((await failure(client.count({ timeoutMs: 200 }))).code).toBe("ConnectFailed");
  });

  it("keeps on while endpoints are only slow to answer, and says ConnectFailed when the call's time is over", async () => {
    const { client, cluster, run, failure, world } = harness();
    for (const address of cluster.endpoints) cluster.network.hanging.add(address);
    const patient = client.put("a", "1");
    const hasty = failure(client.put("a", "2", { timeoutMs: 5_000 }));
    await world.pass(7_000);
    expect([(await hasty).code, (await hasty).outcome]).toEqual(["ConnectFailed", "not-applied"]);
    expect((await hasty).message).toContain("did not answer within");
    cluster.network.hanging.clear();
    await run(patient);
    expect(cluster.applied).toHaveLength(1);
  });

  it("H8 says WrongCluster at once when another cluster has taken all addresses", async () => {
    const { client, cluster, run, failure, world } = harness();
    await run(client.routes());
    for (const store of cluster.stores.values()) {
      store.clusterId = "d".repeat(32);
      cluster.network.break(store.address);
    }
    await world.pass(1);
    const before = world.nowMs;
    expect((await failure(client.get("a"))).code).toBe("WrongCluster");
    expect(world.nowMs - before).toBeLessThan(1_500);
  });

  it("waits for a cluster that it knows to come back, and says ConnectFailed when it does not", async () => {
    const { client, cluster, run, failure, world } = harness();
    await run(client.put("a", "1"));
    for (const address of cluster.endpoints) {
      cluster.network.down.add(address);
      cluster.network.break(address);
    }
    await world.pass(1);
    const patient = client.put("a", "2");
    const hasty = failure(client.put("a", "3", { timeoutMs: 4_000 }));
    await world.pass(7_000);
    expect([(await hasty).code, (await hasty).outcome]).toEqual(["ConnectFailed", "not-applied"]);
    cluster.network.down.clear();
    await run(patient);
  });

  it("connects when the cluster comes up a little later", async () => {
    const { client, cluster, run, world } = harness();
    for (const address of cluster.endpoints) cluster.network.down.add(address);
    const write = client.put("a", "1");
    await world.pass(2_000);
    cluster.network.down.clear();
    await run(write);
    expect(cluster.applied).toHaveLength(1);
  });

  it("answers at once when every endpoint refuses for good", async () => {
    const { client, cluster, failure, world } = harness();
    for (const address of cluster.endpoints) {
      cluster.network.listeners.set(address, {
        admit: () => ({ ok: false, code: "ProtocolMismatch", message: "speaks 7 to 9" }),
      });
    }
    const before = world.nowMs;
    const error = await failure(client.get("a"));
    expect(error.code).toBe("ProtocolMismatch");
    expect(world.nowMs - before).toBeLessThan(1_500);
  });

  it("a malformed answer ends the stream, not the client", async () => {
    const { client, cluster, run } = harness();
    await run(client.put("a", "1"));
    let once = true;
    const { send } = cluster;
    cluster.send = function (store, stream, message) {
      if (once && message.type === "command-results") {
        once = false;
        stream.send(new Uint8Array([1, 64, 0, 0, 0, 1, 9]));
      } else send.call(cluster, store, stream, message);
    };
    await run(client.put("a", "2"));
    expect(cluster.applied).toHaveLength(2);
  });

  it("fetches the whole map page by page", async () => {
    const { client, cluster, run } = harness({ routeReadAhead: 3 });
    cluster.split(..."bcdefghijk");
    const routes = await run(client.routes());
    expect(routes.ranges.map((entry) => entry.descriptor.start)).toEqual([
      "\x00",
      ...cluster.ranges.map((range) => range.descriptor.start),
    ]);
    expect(routes.stores.map((store) => store.storeId)).toEqual([1, 2, 3]);
    expect(routes.clusterId).toHaveLength(32);
  });
});
