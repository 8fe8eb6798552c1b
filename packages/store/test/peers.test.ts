import { incarnation, logIndex, replicaId, storeId, term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec, protocolMax } from "@flotilla/transport";
import type { Hello, PeerMessage, StoreHeartbeat, Stream, StreamHandlers } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { PeerLinks } from "../src/peer-links.ts";
import { StoreDirectory } from "../src/store-directory.ts";
import { isRefusal, put } from "./support/raw-client.ts";
import type { MemoryStream } from "./support/memory-network.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { SmallRandom, VirtualProcess, VirtualWorld } from "./support/virtual-world.ts";

const codec = createCodec(nodeByteOperations);

function helloOf(cluster: TestCluster, store: TestStore, more: Partial<Hello> = {}): Partial<Hello> {
  const planned = cluster.plan.stores[store.number - 1]!;
  return {
    clusterId: cluster.plan.clusterId,
    nodeId: planned.nodeId,
    storeId: planned.storeId,
    storeKey: planned.storeKey,
    incarnation: incarnation(store.incarnation),
    leaseMs: 400,
    purpose: "heartbeat",
    address: store.address,
    ...more,
  };
}

const between = (cluster: TestCluster, a: TestStore, b: TestStore): MemoryStream[] =>
  [...cluster.network.streams].filter((stream) => stream.host === a.host && stream.peer.host === b.host);

describe("who may speak with a store", () => {
  test("H8 a client of another cluster is refused, one that does not know its cluster yet is not", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    const wrong = await cluster.connect(only, { hello: { clusterId: "0".repeat(32) } });
    expect(wrong.closed).toMatchObject({ code: "WrongCluster" });
    const right = await cluster.connect(only, { hello: { clusterId: cluster.plan.clusterId } });
    expect(isRefusal(await right.read(right.reads(firstRange, ["a"])))).toBe(false);
  });

  test("H8 a store of another cluster, with another key, unknown, or of an earlier start is refused", async () => {
    const cluster = await TestCluster.start();
    const [here, there] = [cluster.store(1), cluster.store(2)] as const;
    const refused = async (more: Partial<Hello>): Promise<unknown> => {
      const { closed } = await cluster.connect(here, { hello: helloOf(cluster, there, more) });
      return closed?.code;
    };
    expect(await refused({ clusterId: "0".repeat(32) })).toBe("WrongCluster");
    expect(await refused({ storeKey: "0".repeat(32) })).toBe("InUse");
    expect(await refused({ storeId: storeId(9) })).toBe("Refused");
    expect(await refused({ storeId: storeId(1) })).toBe("Refused");
    expect(await refused({ incarnation: incarnation(0) })).toBe("InUse");
    expect(await refused({ address: "elsewhere:7400" })).toBe("InUse");
    expect(await refused({ leaseMs: 1 })).toBe("Refused");
    expect(here.halted ?? there.halted).toBeUndefined();
    const client = await cluster.connect(await cluster.leader());
    expect(isRefusal(await client.read(client.reads(firstRange, ["a"])))).toBe(false);
  });

  test("H11 a store or a client that speaks later protocols, too, is taken like any other", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const other = cluster.others(leader)[0]!;
    const later = { protocolMax: protocolMax + 1 };
    const upgraded = helloOf(cluster, other, { ...later, incarnation: incarnation(other.incarnation + 1) });
    expect((await cluster.connect(leader, { hello: upgraded })).closed).toBeUndefined();
    const client = await cluster.connect(leader, { hello: later });
    expect(await client.write(client.batch(firstRange, [put(1, "a", "1")]))).toMatchObject([{ status: "applied" }]);
  });

  test("H8 with a store's new start all streams of the former one are closed, both ways", async () => {
    const cluster = await TestCluster.start();
    const [here, there] = [cluster.store(1), cluster.store(2)] as const;
    const before = [...between(cluster, here, there)];
    expect(before).toHaveLength(6);
    await cluster.connect(here, {
      hello: helloOf(cluster, there, { incarnation: incarnation(there.incarnation + 1) }),
    });
    await cluster.runFor(2);
    expect(before.filter((stream) => !stream.closed)).toEqual([]);
  });

  test("F22 the one of two processes with one store id that was started first ends, and says why", async () => {
    const cluster = await TestCluster.start();
    const there = cluster.store(2);
    for (const here of [cluster.store(1), cluster.store(3)]) {
      await cluster.connect(here, {
        hello: helloOf(cluster, there, { incarnation: incarnation(there.incarnation + 1) }),
      });
    }
    await cluster.runFor(3000);
    expect(there.halted).toMatchObject({ code: "Refused" });
    expect((there.halted as Error).message).toContain("was started again since");
  });
});

describe("what cannot be read", () => {
  test("H7 closes the client's stream it came on, and no other", async () => {
    const cluster = await TestCluster.start({ stores: 1 });
    const only = cluster.store(1);
    const bad = await cluster.connect(only);
    const good = await cluster.connect(only);
    const whole = codec.encodeClient([bad.batch(firstRange, [put(1, "a", "1")])]);
    for (const payload of [
      new Uint8Array(0),
      Uint8Array.of(9),
      whole.subarray(0, whole.length - 3),
      Uint8Array.of(...whole, 1),
    ]) {
      const one = await cluster.connect(only);
      one.sendRaw(payload);
      await cluster.runFor(5);
      expect(one.closed).toBeDefined();
    }
    bad.sendRaw(Uint8Array.of(1, 250, 0, 0, 0, 0));
    await cluster.runFor(5);
    expect(bad.closed).toBeDefined();
    expect(good.closed).toBeUndefined();
    expect(await good.write(good.batch(firstRange, [put(1, "a", "1")]))).toMatchObject([{ status: "applied" }]);
    expect(only.halted).toBeUndefined();
  });

  test("H7 closes the store's stream it came on, which is dialled again", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.others(leader)[0]!;
    let damaged = 0;
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (purpose !== "append" || from !== leader.host || to !== follower.host || damaged >= 3) return payload;
      damaged++;
      return payload.subarray(0, payload.length - 1);
    };
    const client = await cluster.connect(leader);
    await cluster.fill(client, 10, 100, { number: 1 });
    await cluster.world.until("the follower is level", () => {
      const last = leader.log!.group(firstRange)!.lastIndex;
      return damaged === 3 && follower.log!.group(firstRange)!.lastIndex === last;
    });
    expect(follower.halted).toBeUndefined();
    expect(follower.logged("malformed message from a store").length).toBe(3);
  });

  test("A19 messages for another replica, of ranges that are not here, and bare snapshots change nothing", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.others(leader)[0]!;
    const group = follower.log!.group(firstRange)!;
    const from = leader.log!.group(firstRange)!.replicaId;
    const stream = between(cluster, leader, follower).find((each) => each.accepted && each.purpose === "append")!;
    const configuration = {
      voters: [from, group.replicaId],
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    const label = { index: logIndex(1000), term: term(9), configuration };
    const vote = {
      type: "vote",
      from,
      term: term(99),
      lastIndex: logIndex(9999),
      lastTerm: term(98),
      transfer: true,
    } as const;
    const messages: PeerMessage[] = [
      {
        type: "raft",
        rangeId: firstRange,
        message: { type: "snapshot", from, to: group.replicaId, term: term(9), label },
      },
      { type: "raft", rangeId: firstRange, message: { ...vote, to: replicaId(77) } },
      { type: "raft", rangeId: 55 as never, message: { ...vote, to: group.replicaId } },
    ];
    stream.send(codec.encodePeer(messages));
    await cluster.runFor(500);
    expect(follower.log!.group(firstRange)!.hardState.term).toBe(group.hardState.term);
    expect(follower.halted).toBeUndefined();
    expect(await cluster.leader()).toBe(leader);
  });
});

describe("what waits to be sent to one store", () => {
  test("H9 is bounded within a turn, too", async () => {
    const cluster = await TestCluster.start({ stores: 2, replicas: 1 });
    const process = new VirtualProcess(new VirtualWorld());
    process.start();
    const environment = {
      clock: process.clock,
      scheduler: process.scheduler,
      random: new SmallRandom(1),
      bytes: nodeByteOperations,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    };
    const links = new PeerLinks(
      {
        clusterId: cluster.plan.clusterId,
        directory: new StoreDirectory(cluster.plan),
        addresses: [],
        selfId: storeId(1),
        unconfirmedBytesMax: 1_000_000,
        heartbeatMs: 250,
      },
      {
        environment,
        dialer: { dial: () => ({ cancel() {} }) },
        codec,
        hello: () => ({ leaseMs: 400 }) as Hello,
        heartbeat: () => ({}) as StoreHeartbeat,
      },
      { onMessage() {}, onSendBroken() {}, onConnected() {}, onDisowned() {} },
    );
    const sent: Uint8Array[] = [];
    const stream = {
      unconfirmedBytes: 0,
      closed: false,
      send: (payload: Uint8Array) => void sent.push(payload),
      close() {},
    };
    const hello = { ...helloOf(cluster, cluster.store(2)), purpose: "append" } as Hello;
    const admission = links.admit(hello, hello);
    if (!admission.ok) throw new Error(admission.message);
    const handlers: StreamHandlers = admission.accept(stream as unknown as Stream);
    const entries = [{ index: logIndex(2), term: term(1), kind: "normal", data: new Uint8Array(100_000) }] as const;
    const append = {
      type: "append",
      from: replicaId(1),
      to: replicaId(2),
      term: term(1),
      prevIndex: logIndex(1),
      prevTerm: term(1),
      entries,
      commit: logIndex(1),
    } as const;
    const message: PeerMessage = { type: "raft", rangeId: firstRange, message: append };
    const taken = Array.from({ length: 30 }, () => links.send(storeId(2), "append", message));
    expect(taken.filter(Boolean)).toHaveLength(10);
    expect(taken.slice(0, 10).every(Boolean)).toBe(true);
    links.flush();
    expect(sent.reduce((sum, payload) => sum + payload.length, 0)).toBeGreaterThan(1_000_000);
    expect(links.send(storeId(2), "append", message)).toBe(true);
    handlers.onClose({ code: undefined, message: "", local: false });
    expect(links.send(storeId(2), "append", message)).toBe(false);
  });
});

describe("the placement of leaders", () => {
  test("comes back to balance after a store was away", async () => {
    const cluster = await TestCluster.start({ splitAt: ["c", "f", "i", "l", "o"] });
    const leads = (): number[] => cluster.stores.map((store) => store.leads);
    const away = cluster.store(1);
    away.crash();
    await cluster.world.until(
      "the others lead everything",
      () => leads().reduce((sum, each) => sum + each, 0) === 7 && leads()[0] === 0,
    );
    await away.start();
    await cluster.world.until("it is in balance again", () => Math.max(...leads()) - Math.min(...leads()) <= 1, 60_000);
    await cluster.runFor(5000);
    expect(Math.max(...leads()) - Math.min(...leads())).toBeLessThanOrEqual(1);
    const client = await cluster.connect(away);
    const answer = await client.admin("cluster-status", { local: true });
    expect(answer.result).toMatchObject({ health: "ok", ranges: { total: 7, unavailable: 0 } });
  });

  test("a step that was planned on another epoch is refused", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const follower = cluster.others(leader)[0]!;
    const stream = between(cluster, follower, leader).find((each) => each.accepted && each.purpose === "heartbeat")!;
    const step = {
      type: "operator-step",
      operatorId: 1,
      stepId: 1,
      rangeId: firstRange,
      action: { kind: "transfer-leader", to: storeId(follower.number) },
    } as const;
    stream.send(codec.encodePeer([{ ...step, epoch: { bounds: 1, members: 2 } }]));
    await cluster.runFor(200);
    expect(await cluster.leader()).toBe(leader);
    stream.send(codec.encodePeer([{ ...step, epoch: { bounds: 1, members: 1 } }]));
    await cluster.runFor(20);
    expect(follower.leads).toBeGreaterThan(0);
  });
});
