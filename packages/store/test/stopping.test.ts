import type { SharedLog } from "@flotilla/raft-log";
import type { Engine } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { isRefusal, put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const electionMs = 500;

/** Fails the next batch that is written to the store's engine. */
const brokenEngine = (store: TestStore): void => {
  store.engineDisk.failure = new Error("EIO: the engine's disk is gone");
};

describe("a store that stops", () => {
  test("hands its leaderships over first, whatever the moment: nobody waits for an election", async () => {
    for (let moment = 0; moment < 12; moment++) {
      const cluster = await TestCluster.start({ splitAt: ["m"], settings: { heartbeatTicks: 3 } });
      const leader = await cluster.leader();
      await cluster.runFor(moment * 45);
      const startedMs = cluster.world.nowMs;
      await leader.stop(5000);
      expect(cluster.world.nowMs - startedMs).toBeLessThan(400);
      const next = await cluster.leader(firstRange, 100);
      expect(next).not.toBe(leader);
    }
  });

  test("gives every other store as many of its leaderships, and none is left without a leader", async () => {
    const splitAt = Array.from({ length: 30 }, (_, i) => `k${i + 10}`);
    const cluster = await TestCluster.start({ splitAt });
    const ledBy = (store: TestStore): number => store.leads;
    const all = (): number => cluster.stores.reduce((sum, store) => sum + (store.api ? ledBy(store) : 0), 0);
    await cluster.world.until("all are led", () => all() === splitAt.length + 2);
    const leader = cluster.stores.toSorted((a, b) => ledBy(b) - ledBy(a))[0]!;
    const led = ledBy(leader);
    const others = cluster.others(leader);
    const before = others.map(ledBy);
    await leader.stop(5000);
    const given = others.map((store, i) => ledBy(store) - before[i]!);
    expect(given[0]! + given[1]!).toBe(led);
    expect(Math.abs(given[0]! - given[1]!)).toBeLessThanOrEqual(1);
    expect(others.map(({ store }) => store.statistics().rangesWithoutLeader)).toEqual([0, 0]);
  });

  test("hands on what it is being elected for, too, at whatever moment of that it is told to stop", async () => {
    for (let moment = 0; moment < 10; moment++) {
      const cluster = await TestCluster.start();
      const leader = await cluster.leader();
      const heir = cluster.others(leader).find(({ leads }) => leads === 0)!;
      const client = await cluster.connect(leader);
      // Just after a start the first replica of a range campaigns without a timeout.
      await cluster.runFor(3000);
      void client.admin("transfer-leader", { rangeId: firstRange, to: heir.number }).catch(() => {});
      await cluster.runFor(moment / 5);
      const stopped = heir.stop(5000);
      await cluster.runFor(150);
      const led = cluster.others(heir).reduce((sum, { leads }) => sum + leads, 0);
      expect(led, `stopped after ${moment / 5} ms`).toBe(2);
      await stopped;
    }
  });

  test("takes over no leadership from another one that stops", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const [one, other] = cluster.others(leader) as [TestStore, TestStore];
    const before = one.store.statistics().elections;
    const stopped = [one.store.stop({ transferMs: 300 }), leader.store.stop({ transferMs: 3000 })];
    await cluster.world.settled("both", Promise.all(stopped));
    await cluster.runFor(20);
    expect(one.store.statistics().elections).toBe(before);
    expect(other.store.statistics().elections).toBeGreaterThan(0);
  });

  test("tells its clients to go elsewhere, and starts again with everything", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    await leader.stop(1000);
    expect(client.all("going-away")).toHaveLength(1);
    await leader.start();
    await cluster.world.until("it is back", () => leader.store.ready);
    const again = await cluster.connect(leader);
    const read = await again.read(again.reads(firstRange, ["a"], { consistency: "stale" }));
    expect(isRefusal(read) ? read : read.results[0]!.version).toBeGreaterThan(0);
  });

  test("asked twice stops once, and both hear when it is done", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const { store, log } = cluster.store(1);
    const first = store.stop({ transferMs: 0 });
    await cluster.world.settled("the second one", store.stop({ transferMs: 0 }));
    await expect(log!.flush()).rejects.toThrow("closed");
    await first;
  });

  test("F17 says so when its engine fails at the last flush, instead of waiting for ever", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    brokenEngine(only);
    await expect(cluster.world.settled("the stop", only.store.stop({ transferMs: 0 }))).rejects.toThrow("disk is gone");
    expect(only.halted).toBeInstanceOf(Error);
  });

  test("F1 says so when its log cannot be closed in order", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    await cluster.runFor(1000);
    only.disk.failingSyncs = 1;
    await expect(cluster.world.settled("the stop", only.store.stop({ transferMs: 0 }))).rejects.toThrow("EIO");
  });

  test("F8 stops in order on a full disk, without writing to its engine", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    only.disk.free = 1000;
    await cluster.runFor(1200);
    brokenEngine(only);
    await only.stop();
    expect(only.halted).toBeUndefined();
    only.engineDisk.failure = undefined;
    only.disk.free = 1e12;
    await only.start();
    await cluster.world.until("it is back", () => only.store.ready);
    const again = await cluster.connect(only);
    const read = await again.read(again.reads(firstRange, ["a"]));
    expect(isRefusal(read) ? read : read.results[0]!.version).toBeGreaterThan(0);
  });

  test("while a range snapshot comes in leaves no file of it", async () => {
    const cluster = await TestCluster.start({ settings: { flushBytes: 8192 }, engine: { writeBufferBytes: 8192 } });
    const leader = await cluster.leader();
    const behind = cluster.others(leader).at(-1)!;
    const client = await cluster.connect(leader);
    for (const other of cluster.others(behind)) cluster.network.cut(behind.host, other.host);
    await cluster.fill(client, 40, 8000, { number: 1 });
    await cluster.runFor(1500);
    cluster.network.heal();
    await cluster.world.until("a transfer is under way", () => behind.disk.names("staging").length === 1);
    await behind.stop();
    expect(behind.disk.names("staging").filter((name) => name.endsWith(".part"))).toEqual([]);
    expect(behind.halted).toBeUndefined();
  });
});

describe("what takes long is said once, and what it waits for", () => {
  test("in a stop: the log first, then the engine; a quick one says nothing", async () => {
    let held = Promise.resolve();
    const wrapEngine = (engine: Engine): Engine => wrapped(engine, "settle", () => held.then(() => engine.settle()));
    const cluster = await TestCluster.start({ stores: 1, wrapEngine });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    let release = (): void => {};
    held = new Promise((resolve) => (release = resolve));
    only.disk.stuck = true;
    client.send(client.batch(firstRange, [put(1, "a", "1")]));
    await cluster.runFor(100);
    const stopped = only.store.stop({ transferMs: 0 });
    const said = (): string[] => only.logged("the stop waits for").map(({ message }) => message);
    await cluster.runFor(2000);
    expect(said()).toEqual([]);
    await cluster.runFor(10_000);
    expect(said()).toEqual(["the stop waits for the log to be durable"]);
    only.disk.release();
    await cluster.runFor(10_000);
    expect(said()).toEqual([
      "the stop waits for the log to be durable",
      "the stop waits for the engine to make durable what it has",
    ]);
    expect(only.logged("the stop waits for").map(({ fields }) => fields["waitedMs"])).toEqual([3000, 3000]);
    release();
    await cluster.world.settled("the stop", stopped);
    only.lines.length = 0;
    await only.start();
    await only.stop();
    expect(said()).toEqual([]);
  });

  test("in a flush: the log has not the beginning of a right half", async () => {
    let armed = false;
    const cluster = await TestCluster.start({
      stores: 1,
      wrapLog: (log, store) =>
        wrapped(log, "createGroup", (...group: Parameters<SharedLog["createGroup"]>) => {
          if (armed) store.disk.stuck = true;
          log.createGroup(...group);
        }),
    });
    const only = cluster.store(1);
    // Until the placement driver has seen all.
    await cluster.runFor(3000);
    const client = await cluster.connect(only);
    armed = true;
    void client.admin("range-split", { rangeId: firstRange, at: ["m"] }).catch(() => {});
    await cluster.world.until("the right half is there", () => only.store.replicas().length === 3);
    const said = (): unknown[] => only.logged("a flush waits for the log").map(({ fields }) => fields["rangeId"]);
    // Flushed for its age, when nothing is written any more.
    await cluster.runFor(45_000);
    expect(said()).toEqual([3]);
    const { flushes } = only.store.statistics();
    only.disk.release();
    await cluster.runFor(1000);
    expect(only.store.statistics().flushes).toBe(flushes + 1);
  });
});

describe("a store that halts", () => {
  test("F1 F20 on a failed fsync acknowledges none of what waits for it, and nothing afterwards", async () => {
    const cluster = await TestCluster.start({ stores: 1, splitAt: ["m"] });
    const only = cluster.store(1);
    const clients = [await cluster.connect(only), await cluster.connect(only)] as const;
    only.disk.failingSyncs = 1;
    const batches = clients.map((client) => {
      const batch = client.batch(firstRange, [put(1, "a", "1"), put(2, "b", "2")]);
      client.send(batch);
      return batch;
    });
    await cluster.runFor(2000);
    expect(only.halted).toMatchObject({ code: "EIO" });
    expect(only.logged("the store halts")).toHaveLength(1);
    clients.forEach((client, i) => {
      expect(client.answers(batches[i]!, 1)).toEqual([]);
      expect(client.closed).toBeDefined();
    });
    const syncs = only.log!.statistics().fsyncs;
    await cluster.runFor(5000);
    expect(only.log!.statistics().fsyncs).toBe(syncs);
    const late = await cluster.connect(only);
    expect(late.stream).toBeUndefined();
    expect(late.closed).toMatchObject({ code: "Closed" });
  });

  test("F17 on a failed write to its engine, and says why", async () => {
    const cluster = await TestCluster.start({ stores: 1, settings: { flushBytes: 4096 } });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    brokenEngine(only);
    await client.write(client.batch(firstRange, [put(1, "a", "x".repeat(8000))]));
    await cluster.runFor(1000);
    expect(only.halted).toMatchObject({ message: "EIO: the engine's disk is gone" });
  });

  test("I6 when an answer to a client cannot be made: a record that is not what was written", async () => {
    const cluster = await TestCluster.start({
      stores: 1,
      wrapEngine: (engine) =>
        wrapped(engine, "getNow", (key: Uint8Array) => {
          const value = engine.getNow(key);
          return key[0] === 3 && value !== undefined ? value.map((byte, i) => (i === 12 ? byte ^ 1 : byte)) : value;
        }),
    });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    await only.stop();
    await only.start();
    await cluster.world.until("it is back", () => only.store.ready);
    const again = await cluster.connect(only);
    again.send(again.reads(firstRange, ["a"], { consistency: "stale" }));
    await cluster.runFor(500);
    expect(only.halted).toMatchObject({ code: "Corruption" });
  });
});

describe("a log write that hangs", () => {
  for (const kind of ["fsync", "write behind an idle turn"] as const) {
    test(`H4 a leader whose ${kind} hangs sends no heartbeats, and another one leads`, async () => {
      const cluster = await TestCluster.start();
      const leader = await cluster.leader();
      const client = await cluster.connect(leader);
      await client.write(client.batch(firstRange, [put(1, "a", "1")]));
      if (kind === "fsync") leader.disk.stuck = true;
      else {
        leader.disk.stuckWrites = true;
        await cluster.runFor(200);
      }
      const startedMs = cluster.world.nowMs;
      const pending = client.batch(firstRange, [put(2, "a", "2")]);
      client.send(pending);
      await cluster.world.until(
        "another one leads",
        () => cluster.others(leader).some((store) => store.store.statistics().elections > 0 && store.leads > 0),
        5000,
      );
      const next = await cluster.leader(firstRange, 3000);
      expect(next).not.toBe(leader);
      expect(cluster.world.nowMs - startedMs).toBeLessThan(6 * electionMs);
      const other = await cluster.connect(next);
      expect(await other.write(other.batch(firstRange, [put(1, "b", "1")]))).toMatchObject([{ status: "applied" }]);
      leader.disk.release();
      await cluster.world.until("the command has an answer", () => client.answers(pending, 2).length > 0);
      expect(client.answers(pending, 2)).toHaveLength(1);
      await cluster.world.until("the old leader follows", () => leader.leads === 0 && leader.store.ready);
      expect(leader.halted).toBeUndefined();
    });
  }
});
