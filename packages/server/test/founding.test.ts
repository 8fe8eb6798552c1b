/** The making of a cluster by nodes that have nothing, on a network and disks that a test can break. */
import { describe, expect, test } from "vitest";
import { Failure } from "@flotilla/base";
import type { RandomSource } from "@flotilla/base";
import { silentLogger } from "@flotilla/platform";
import { FoundingNode, readIdentityOrOffer } from "../src/founding/founding-node.ts";
import type { InitResult } from "../src/founding/founding-messages.ts";
import { planCluster, readIdentity, writeOffer } from "../src/identity/index.ts";
import type { Identity } from "../src/identity/index.ts";
import { PowerLoss, VolatileFiles } from "./volatile-files.ts";

/** xorshift32. */
function seeded(seed: number): RandomSource {
  let state = (seed * 2654435761 + 1) >>> 0 || 1;
  const uint32 = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
  return { uint32, bytes: (length) => Uint8Array.from({ length }, () => uint32() & 0xff) };
}

const initBody = { ranges: 2, splitAt: [], planOnly: false };

/** Nodes by address. One that is `undefined` is down; a `Identity` is a store that has opened. */
class Network {
  readonly addresses: readonly string[];
  readonly nodes: Map<string, FoundingNode | Identity | undefined> = new Map();
  readonly files: Map<string, VolatileFiles> = new Map();
  readonly random: RandomSource;

  constructor(count: number, seed: number) {
    this.random = seeded(seed);
    this.addresses = Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}:7400`);
    for (const address of this.addresses) this.files.set(address, new VolatileFiles());
  }

  async startAll(): Promise<void> {
    for (const address of this.addresses) await this.start(address);
  }

  /** As `store-worker` does: a node with an identity is a store. */
  async start(address: string, peers: readonly string[] = this.addresses): Promise<void> {
    const files = this.files.get(address)!;
    const identity = await readIdentityOrOffer(files);
    if (identity !== undefined) {
      this.nodes.set(address, identity);
      return;
    }
    const node = await FoundingNode.open(
      { peers, address },
      {
        files,
        random: this.random,
        logger: silentLogger,
        ask: (to, name, argument) => this.ask(to, name, argument),
        pause: (ms) => this.pause(ms),
      },
    );
    this.nodes.set(address, node);
    void node.made.then(
      (made) => this.nodes.set(address, made),
      () => {},
    );
  }

  /** The machine loses its power; what was synced is there when it starts again. */
  crash(address: string): void {
    this.nodes.set(address, undefined);
    this.files.set(address, this.files.get(address)!.reopened());
  }

  async ask(to: string, name: string, argument: unknown): Promise<unknown> {
    await this.pause(this.random.uint32() % 20);
    const node = this.nodes.get(to);
    if (node === undefined) throw new Failure("ConnectFailed", `${to} is down`);
    const content = JSON.parse(JSON.stringify(argument)) as { clusterId?: string; plan?: { clusterId: string } };
    try {
      return node instanceof FoundingNode ? await node.answer(name, content) : storeAnswer(node, name, content);
    } catch (error) {
      if (error instanceof Failure) throw error;
      // The power failed while it answered.
      this.nodes.set(to, undefined);
      throw new Failure("OutcomeUnknown", `${to} is gone`);
    } finally {
      await this.pause(this.random.uint32() % 20);
    }
  }

  init(address: string, body: object = initBody): Promise<InitResult> {
    return this.ask(address, "cluster-init", body) as Promise<InitResult>;
  }

  /** Turns of the event loop stand for milliseconds. */
  async pause(ms: number): Promise<void> {
    for (let i = 0; i < ms; i++) await Promise.resolve();
  }

  async lookAll(): Promise<void> {
    for (const node of this.nodes.values()) if (node instanceof FoundingNode) await node.look();
    await this.pause(50);
  }

  async identities(): Promise<(Identity | undefined)[]> {
    return Promise.all(this.addresses.map((address) => readIdentity(this.files.get(address)!, ".")));
  }
}

/** What a store with this identity says (packages/store). */
function storeAnswer(
  { clusterId }: Identity,
  name: string,
  argument: { clusterId?: string; plan?: { clusterId: string } },
): unknown {
  if (name === "founding-state") return { token: null, kind: "member", clusterId };
  if (name !== "cluster-init" && (argument.clusterId ?? argument.plan?.clusterId) === clusterId) return { taken: true };
  throw new Failure("Refused", `already belongs to cluster ${clusterId}`);
}

async function expectOneCluster(network: Network): Promise<void> {
  const identities = await network.identities();
  expect(identities.map((identity) => identity?.storeId)).toEqual(network.addresses.map((_, i) => i + 1));
  expect(new Set(identities.map((identity) => identity!.clusterId)).size).toBe(1);
  expect(new Set(identities.map((identity) => identity!.storeKey)).size).toBe(network.addresses.length);
  for (const address of network.addresses) expect(network.files.get(address)!.paths()).not.toContain("cluster-offer");
}

describe("cluster init", () => {
  test("gives every node its identity, the same plan, and says what was made", async () => {
    const network = new Network(3, 1);
    await network.startAll();
    const made = await network.init(network.addresses[1]!);
    expect(made).toMatchObject({ replicas: 3, ranges: 3, continued: false });
    expect(made.nodes.map(({ address }) => address)).toEqual(network.addresses);
    await expectOneCluster(network);
    const [first] = await network.identities();
    expect(first!.clusterId).toBe(made.clusterId);
  });

  test("makes one replica of each range with fewer than three nodes, and refuses more replicas than nodes", async () => {
    const network = new Network(2, 2);
    await network.startAll();
    await expect(network.init(network.addresses[0]!, { ...initBody, replicas: 3 })).rejects.toMatchObject({
      code: "InvalidArgument",
    });
    expect((await network.init(network.addresses[0]!)).replicas).toBe(1);
  });

  test("with planOnly shows the plan and changes nothing", async () => {
    const network = new Network(3, 3);
    await network.startAll();
    const plan = await network.init(network.addresses[0]!, { ...initBody, planOnly: true });
    expect(plan).toMatchObject({ clusterId: null, ranges: 3 });
    for (const address of network.addresses) expect(network.files.get(address)!.paths()).toEqual([]);
  });

  test("a second one is refused with the cluster's id, wherever it is run", async () => {
    const network = new Network(3, 4);
    await network.startAll();
    const { clusterId } = await network.init(network.addresses[0]!);
    for (const address of network.addresses) {
      await expect(network.init(address)).rejects.toMatchObject({
        code: "Refused",
        message: expect.stringContaining(clusterId!),
      });
    }
  });

  test("names the nodes that do not answer, and leaves nobody promised", async () => {
    const network = new Network(3, 5);
    await network.start(network.addresses[0]!);
    await network.start(network.addresses[1]!);
    await expect(network.init(network.addresses[0]!)).rejects.toMatchObject({
      code: "ConnectFailed",
      message: expect.stringContaining(network.addresses[2]!),
    });
    await network.start(network.addresses[2]!);
    await network.init(network.addresses[1]!);
    await expectOneCluster(network);
  });

  test("wants to be among its own --peers, once", async () => {
    const network = new Network(3, 6);
    await network.start(network.addresses[1]!);
    await network.start(network.addresses[2]!);
    await network.start(network.addresses[0]!, network.addresses.slice(1));
    await expect(network.init(network.addresses[0]!)).rejects.toMatchObject({
      code: "InvalidArgument",
      message: expect.stringContaining("does not name that node itself"),
    });
    await network.start(network.addresses[0]!, [network.addresses[0]!, network.addresses[0]!]);
    await expect(network.init(network.addresses[0]!)).rejects.toMatchObject({
      message: expect.stringContaining("are the same node"),
    });
  });

  test("refuses a node of another cluster, and that one stays as it is", async () => {
    const network = new Network(3, 7);
    for (const address of network.addresses) await network.start(address, [network.addresses[2]!]);
    const { clusterId } = await network.init(network.addresses[2]!);
    await network.start(network.addresses[0]!);
    await network.start(network.addresses[1]!);
    await expect(network.init(network.addresses[0]!)).rejects.toMatchObject({
      code: "Refused",
      message: expect.stringContaining(clusterId!),
    });
    const identities = await network.identities();
    expect(identities.map((identity) => identity?.clusterId)).toEqual([undefined, undefined, clusterId]);
  });
});

describe("a directory", () => {
  test("that holds parts of a store takes no identity", async () => {
    const network = new Network(3, 8);
    await network.startAll();
    const files = network.files.get(network.addresses[1]!)!;
    await (await files.open("log/000001.log", "create")).close();
    await expect(network.init(network.addresses[0]!)).rejects.toMatchObject({
      message: expect.stringContaining("log"),
    });
    await expect(network.start(network.addresses[1]!)).rejects.toMatchObject({ code: "Corruption" });
    expect((await network.identities()).every((identity) => identity === undefined)).toBe(true);
  });

  test("that was emptied beside a cluster is refused, not made anew", async () => {
    const network = new Network(3, 9);
    await network.startAll();
    await network.init(network.addresses[0]!);
    const lost = network.addresses[2]!;
    network.files.set(lost, new VolatileFiles());
    await network.start(lost);
    const node = network.nodes.get(lost) as FoundingNode;
    await node.look();
    await expect(node.made).rejects.toMatchObject({ code: "Refused", message: expect.stringContaining("forgotten") });
    await expect(network.init(lost)).rejects.toMatchObject({ code: "Refused" });
  });

  test("that is promised to a maker who is away keeps its promise, and says who that is", async () => {
    const network = new Network(3, 10);
    const [maker, second, third] = network.addresses as [string, string, string];
    const plan = planCluster({ addresses: network.addresses, replicas: 3, ranges: 2, splitAt: [] }, network.random);
    const { storeId: makerId } = plan.stores[0]!;
    await writeOffer(network.files.get(second)!, { plan, storeId: plan.stores[1]!.storeId, makerId });
    await network.start(second);
    await network.start(third);
    await network.lookAll();
    expect((network.nodes.get(second) as FoundingNode).state).toMatchObject({
      kind: "offered",
      clusterId: plan.clusterId,
    });
    await expect(network.init(second)).rejects.toMatchObject({ code: "Busy", hint: expect.stringContaining(maker) });
    // The maker comes back without the plan: it was given up, or its disk is new. Nothing can have come of it.
    await network.start(maker);
    await network.lookAll();
    expect((network.nodes.get(second) as FoundingNode).state.kind).toBe("empty");
    await network.init(third);
    await expectOneCluster(network);
  });
});

describe("a crash", () => {
  test("of the maker at any step is continued by running it again, with the same plan once it exists", async () => {
    const outcomes = new Set<string>();
    for (let step = 0; ; step++) {
      const network = new Network(3, 100 + step);
      await network.startAll();
      const maker = network.addresses[0]!;
      network.files.get(maker)!.crashAfter = step;
      const done = await network.init(maker).then(
        () => true,
        () => false,
      );
      if (done) break;
      network.crash(maker);
      await network.lookAll();
      const before = new Set((await network.identities()).map((identity) => identity?.clusterId));
      await network.start(maker);
      const again = network.nodes.get(maker);
      if (again instanceof FoundingNode) {
        const held = again.state.clusterId;
        expect(before).toEqual(new Set([undefined]));
        const made = await network.init(maker);
        expect(made.continued).toBe(held !== null);
        if (held !== null) expect(made.clusterId).toBe(held);
        outcomes.add(held === null ? "anew" : "continued");
      } else outcomes.add("was made");
      await network.lookAll();
      await expectOneCluster(network);
    }
    expect([...outcomes].sort()).toEqual(["anew", "continued", "was made"]);
  });

  test("of another node at any step ends with all or with nobody, and can be tried again", async () => {
    for (let step = 0; ; step++) {
      const network = new Network(3, 200 + step);
      await network.startAll();
      const [maker, other] = network.addresses as [string, string];
      network.files.get(other)!.crashAfter = step;
      const done = await network.init(maker).then(
        () => true,
        () => false,
      );
      const whole = done && (await network.identities())[1] !== undefined && network.nodes.get(other) !== undefined;
      network.crash(other);
      await network.start(other);
      await network.lookAll();
      const members = (await network.identities()).filter((identity) => identity !== undefined).length;
      expect([0, 3], `crash at step ${step}`).toContain(members);
      if (members === 0) await network.init(maker);
      await expectOneCluster(network);
      if (whole) break;
    }
  });
});

describe("B13 five empty nodes told to make the cluster at once, from several sides", () => {
  test("end as exactly one cluster or with clear refusals, never as two halves", async () => {
    let made = 0;
    for (let seed = 1; seed <= 100; seed++) {
      const network = new Network(5, seed);
      await network.startAll();
      const makers = network.addresses.slice(0, 2 + (seed % 4));
      const results = await Promise.allSettled(makers.map((address) => network.init(address)));
      for (let i = 0; i < 3; i++) await network.lookAll();
      const done = results.filter(({ status }) => status === "fulfilled");
      expect(done.length, `seed ${seed}`).toBeLessThanOrEqual(1);
      for (const result of results) {
        if (result.status === "fulfilled") continue;
        const error = result.reason as Failure;
        expect(["Busy", "Refused"], error.message).toContain(error.code);
        expect(error.hint).not.toBe("");
      }
      if (done.length === 1) {
        made++;
        await expectOneCluster(network);
      } else expect((await network.identities()).every((identity) => identity === undefined)).toBe(true);
    }
    // The pauses between attempts are random, so somebody gets through.
    expect(made).toBeGreaterThan(95);
  });

  test("whose --peers have one node in common: it belongs to one of them", async () => {
    const winners = new Set<string>();
    for (let seed = 1; seed <= 40; seed++) {
      const network = new Network(3, 2000 + seed);
      const [left, right, common] = network.addresses as [string, string, string];
      await network.start(left, [left, common]);
      await network.start(right, [right, common]);
      await network.start(common, [left, common]);
      const results = await Promise.allSettled([network.init(left), network.init(right)]);
      await network.lookAll();
      expect(results.filter(({ status }) => status === "fulfilled").length, `seed ${seed}`).toBe(1);
      const winner = results[0].status === "fulfilled" ? 0 : 1;
      winners.add(["left", "right"][winner]!);
      const identities = await network.identities();
      expect(identities[2]?.clusterId).toBe(identities[winner]?.clusterId);
      expect(identities[1 - winner]).toBe(undefined);
    }
    expect(winners.size).toBe(2);
  });

  test("with makers that lose their power on the way as well", async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const network = new Network(5, 1000 + seed);
      await network.startAll();
      for (const address of network.addresses.slice(0, 3)) {
        network.files.get(address)!.crashAfter = network.random.uint32() % 14;
      }
      await Promise.allSettled(network.addresses.slice(0, 3).map((address) => network.init(address)));
      for (const address of network.addresses) {
        if (network.files.get(address)!.crashAfter === Number.POSITIVE_INFINITY) continue;
        network.crash(address);
        await network.start(address);
      }
      for (let i = 0; i < 3; i++) await network.lookAll();
      const found = new Set((await network.identities()).map((identity) => identity?.clusterId));
      found.delete(undefined);
      expect(found.size, `seed ${seed}`).toBeLessThanOrEqual(1);
      for (let i = 0; i < 5 && found.size === 0; i++) {
        for (const address of network.addresses) {
          const result = await network.init(address).catch(() => undefined);
          if (result !== undefined) found.add(result.clusterId!);
        }
      }
      for (let i = 0; i < 3; i++) await network.lookAll();
      await expectOneCluster(network);
    }
  });
});

test("a write that fails reaches whoever waits for the identity", async () => {
  const network = new Network(1, 11);
  await network.startAll();
  const node = network.nodes.get(network.addresses[0]!) as FoundingNode;
  network.files.get(network.addresses[0]!)!.crashAfter = 0;
  await expect(node.answer("cluster-init", initBody)).rejects.toThrow(PowerLoss);
});
