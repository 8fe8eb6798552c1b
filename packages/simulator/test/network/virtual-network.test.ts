import { describe, expect, test } from "vitest";
import type { Incarnation, NodeId, StoreId } from "@flotilla/base";
import type { Hello, Purpose, Stream, StreamClosed } from "@flotilla/transport";
import { linkConformance } from "@flotilla/transport/conformance";
import { NodeTime, SeededRandom, VirtualNetwork, VirtualTime } from "@flotilla/simulator";
import type { NetworkEndpoint } from "@flotilla/simulator";

interface World {
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly nodes: Map<string, NodeTime>;
  endpoint(host: string): NetworkEndpoint;
}

function world(seed = 1): World {
  const time = new VirtualTime();
  const random = new SeededRandom(seed);
  const network = new VirtualNetwork(time, random.fork("network"));
  const nodes = new Map<string, NodeTime>();
  const endpoint = (host: string): NetworkEndpoint => {
    const node = nodes.get(host) ?? new NodeTime(host, time, random.fork(host));
    nodes.set(host, node);
    return network.endpoint(host, node);
  };
  return { time, network, nodes, endpoint };
}

const hello = (purpose: Purpose): Hello => ({
  protocolMin: 2,
  protocolMax: 2,
  clusterId: "",
  nodeId: 0 as NodeId,
  storeId: 0 as StoreId,
  storeKey: "",
  incarnation: 1 as Incarnation,
  wallMs: 0,
  leaseMs: 0,
  purpose,
  address: "",
});

/** What one end saw. */
class End {
  stream: Stream | undefined;
  readonly received: number[] = [];
  readonly closes: StreamClosed[] = [];

  readonly accept = (stream: Stream): { onMessage(payload: Uint8Array): void; onClose(reason: StreamClosed): void } => {
    this.stream = stream;
    return {
      onMessage: (payload) => this.received.push(payload[0]!),
      onClose: (reason) => this.closes.push(reason),
    };
  };

  send(from: number, to: number): void {
    for (let i = from; i < to; i++) this.stream!.send(Uint8Array.of(i));
  }
}

async function connected(w: World, purpose: Purpose = "client"): Promise<{ a: End; b: End }> {
  const [a, b] = [new End(), new End()];
  const there = w.endpoint("b");
  await w.time.complete(there.listen("b:7400", () => ({ ok: true, hello: hello(purpose), accept: b.accept })));
  w.endpoint("a").dial("b:7400", hello(purpose), { onOpen: a.accept, onFailed: () => undefined });
  await w.time.runFor(100_000);
  expect(a.stream).toBeDefined();
  expect(b.stream).toBeDefined();
  return { a, b };
}

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const second = 1_000_000;

describe("VirtualNetwork conforms to Dialer and ListenerFactory", () => {
  for (const { name, run } of linkConformance) {
    test(name, async () => {
      const w = world();
      const dialer = w.endpoint("a");
      const listeners = w.endpoint("b");
      await w.time.complete(
        run(() =>
          Promise.resolve({
            dialer,
            listeners,
            address: "b:0",
            closedAddress: "b:9999",
            settle: () => new Promise<void>((resolve) => w.time.after(5_000, resolve)),
            close: () => Promise.resolve(),
          }),
        ),
      );
    });
  }
});

describe("VirtualNetwork", () => {
  test("a stream keeps order whatever the delays are, also across a partition", async () => {
    for (let seed = 1; seed <= 20; seed++) {
      const w = world(seed);
      const { a, b } = await connected(w);
      a.send(0, 50);
      await w.time.runFor(200);
      w.network.block("a", "b");
      a.send(50, 60);
      await w.time.runFor(500);
      w.network.free("a", "b");
      a.send(60, 100);
      await w.time.runFor(100);
      w.network.block("a", "b");
      await w.time.runFor(300);
      w.network.free("a", "b");
      await w.time.runFor(second);
      expect(b.received).toEqual(upTo(100));
    }
  });

  test("over a blocked way nothing arrives, and the stream breaks at both ends after a while", async () => {
    const w = world();
    const { a, b } = await connected(w);
    w.network.partition(["a"], ["b"]);
    a.send(0, 5);
    await w.time.runFor(30 * second);
    expect(b.received).toEqual([]);
    expect([a.closes.length, b.closes.length]).toEqual([1, 1]);
    expect(a.closes[0]).toMatchObject({ local: false, code: undefined });
  });

  test("A12 a way blocked in one direction lets the other one through", async () => {
    const w = world();
    const { a, b } = await connected(w);
    w.network.block("a", "b");
    a.send(0, 5);
    b.send(0, 5);
    await w.time.runFor(second / 2);
    expect(a.received).toEqual(upTo(5));
    expect(b.received).toEqual([]);
  });

  test("unconfirmed bytes stay until the other side's process has taken them, and a paused one takes none", async () => {
    const w = world();
    const { a, b } = await connected(w);
    w.nodes.get("b")!.pause();
    a.stream!.send(new Uint8Array(1000));
    await w.time.runFor(second);
    expect(a.stream!.unconfirmedBytes).toBe(1000);
    w.nodes.get("b")!.resume();
    await w.time.runFor(second);
    expect(a.stream!.unconfirmedBytes).toBe(0);
    expect(b.received).toEqual([0]);
  });

  test("drops, duplicates and reorders hit heartbeat and append streams, and no others", async () => {
    for (const purpose of ["client", "snapshot", "append", "heartbeat"] as const) {
      const w = world();
      const { a, b } = await connected(w, purpose);
      Object.assign(w.network.link("a", "b"), { dropChance: 0.2, duplicateChance: 0.2, reorderChance: 0.2 });
      a.send(0, 100);
      await w.time.runFor(second);
      const hurt = purpose === "append" || purpose === "heartbeat";
      const inOrder = b.received.every((value, i) => i === 0 || value > b.received[i - 1]!);
      expect([purpose, inOrder, new Set(b.received).size < 100]).toEqual([purpose, !hurt, hurt]);
      expect(a.stream!.unconfirmedBytes).toBe(0);
    }
  });

  test("the end of a process breaks its streams at once, a power loss after a while", async () => {
    for (const way of ["processEnded", "losePower"] as const) {
      const w = world();
      const { a } = await connected(w);
      w.nodes.get("b")!.crash();
      w.network[way]("b");
      await w.time.runFor(second / 2);
      expect(a.closes.length).toBe(way === "processEnded" ? 1 : 0);
      await w.time.runFor(30 * second);
      expect(a.closes.length).toBe(1);
    }
  });

  test("H8 what was sent to an earlier life of a process never reaches the next one", async () => {
    const w = world();
    const { a, b } = await connected(w);
    w.nodes.get("b")!.crash();
    w.network.losePower("b");
    w.nodes.get("b")!.start();
    a.send(0, 5);
    await w.time.runFor(second);
    expect(b.received).toEqual([]);
    expect(a.closes.length).toBe(1);
  });

  test("a dial to a dead machine or over a blocked way ends by the time limit", async () => {
    for (const way of ["dead", "blocked", "blocked back"] as const) {
      const w = world();
      await connected(w);
      if (way === "dead") w.nodes.get("b")!.crash();
      else w.network.block(way === "blocked" ? "a" : "b", way === "blocked" ? "b" : "a");
      const failures: StreamClosed[] = [];
      w.endpoint("a").dial("b:7400", hello("client"), {
        onOpen: () => expect.unreachable(),
        onFailed: (reason) => failures.push(reason),
      });
      await w.time.runFor(second / 2);
      expect(failures.length).toBe(0);
      await w.time.runFor(10 * second);
      expect(failures.length).toBe(1);
    }
  });

  test("broken streams close at both ends, and new ones can be made", async () => {
    const w = world();
    const { a, b } = await connected(w);
    expect(w.network.breakStreams("a", "b")).toBe(1);
    await w.time.runFor(second);
    expect([a.closes.length, b.closes.length]).toEqual([1, 1]);
    let opened = false;
    w.endpoint("a").dial("b:7400", hello("client"), {
      onOpen: (stream) => {
        opened = true;
        return new End().accept(stream);
      },
      onFailed: () => undefined,
    });
    await w.time.runFor(second);
    expect(opened).toBe(true);
  });

  test("nothing is left of streams that ended in any way", async () => {
    const w = world();
    const { a, b } = await connected(w);
    a.stream!.close();
    await w.time.runFor(second);
    expect([a.closes.length, b.closes.length, w.network.openStreams]).toEqual([1, 1, 0]);
    await w.time.complete(
      w.endpoint("c").listen("c:7400", () => ({ ok: true, hello: hello("client"), accept: b.accept })),
    );
    for (let i = 0; i < 5; i++) {
      w.endpoint("a").dial("c:7400", hello("client"), { onOpen: a.accept, onFailed: () => undefined });
    }
    await w.time.runFor(100_000);
    expect(w.network.openStreams).toBe(10);
    w.nodes.get("c")!.crash();
    w.network.losePower("c");
    await w.time.runFor(30 * second);
    expect(w.network.openStreams).toBe(0);
  });

  test("I3 a payload that changes after it was sent is found", async () => {
    const w = world();
    const { a } = await connected(w);
    const payload = Uint8Array.of(1, 2, 3);
    a.stream!.send(payload);
    payload[0] = 9;
    await expect(w.time.runFor(second)).rejects.toThrow("changed between send and delivery");
  });

  test("one seed gives one run", async () => {
    const run = async (seed: number): Promise<string> => {
      const w = world(seed);
      const { a, b } = await connected(w, "append");
      Object.assign(w.network.link("a", "b"), { dropChance: 0.1, reorderChance: 0.1 });
      a.send(0, 100);
      b.send(0, 50);
      await w.time.runFor(second);
      return w.time.trace.digest();
    };
    expect(await run(3)).toBe(await run(3));
    expect(await run(3)).not.toBe(await run(4));
  });
});
