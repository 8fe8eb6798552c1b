/** A range is split while it is used: what clients see, what every store keeps, what a crash leaves. */
import { rangeId, replicaId, storeId, userKey } from "@flotilla/base";
import type { Key, RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { OperatorStep, PeerMessage, RangeRefused, StepOutcome } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import type { MemoryStream } from "./support/memory-network.ts";
import { isRefusal, put, text } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const codec = createCodec(nodeByteOperations);
const right = rangeId(50);
const counterpart = (id: number): number => id + 500;

/** Steps go from another store, as from the placement driver; what became of them is seen on the wire. */
class Splitter {
  readonly outcomes: StepOutcome[] = [];
  readonly #cluster: TestCluster;
  #nextStep = 1;

  constructor(cluster: TestCluster) {
    this.#cluster = cluster;
    cluster.network.intercept = (_from, _to, purpose, payload) => {
      if (purpose !== "heartbeat") return payload;
      for (const message of codec.decodePeer(payload)) if (message.type === "step-outcome") this.outcomes.push(message);
      return payload;
    };
  }

  send(leader: TestStore, action: OperatorStep["action"], epoch = { bounds: 1, members: 1 }): number {
    const stepId = this.#nextStep++;
    const step: PeerMessage = {
      type: "operator-step",
      operatorId: 900,
      stepId,
      rangeId: firstRange,
      epoch,
      action,
    };
    const from = this.#cluster.others(leader)[0]!;
    this.#stream(from, leader).send(codec.encodePeer([step]));
    return stepId;
  }

  split(leader: TestStore, key: string, epoch = { bounds: 1, members: 1 }): number {
    const members = this.#cluster.plan.ranges.find((range) => range.rangeId === firstRange)!.replicas;
    const replicas = members.map(({ replicaId: left }) => ({ left, right: replicaId(counterpart(left)) }));
    return this.send(leader, { kind: "split", parts: [{ key: userKey(key), rangeId: right, replicas }] }, epoch);
  }

  async outcome(stepId: number): Promise<StepOutcome> {
    const find = (): StepOutcome | undefined => this.outcomes.find((outcome) => outcome.stepId === stepId);
    await this.#cluster.world.until(`the outcome of step ${stepId}`, () => find() !== undefined);
    return find()!;
  }

  /** One that `from` accepted and `to` dialled: it carries what `from` sends. */
  #stream(from: TestStore, to: TestStore): MemoryStream {
    return [...this.#cluster.network.streams].find(
      ({ accepted, purpose, host, peer }) =>
        accepted && purpose === "heartbeat" && host === from.host && peer.host === to.host,
    )!;
  }
}

const afterSplit = (cluster: TestCluster, range: RangeId): Promise<TestStore> => cluster.leader(range, 20_000, 2);

const refusalOf = (answer: unknown): RangeRefused => {
  if (!isRefusal(answer as never)) throw new Error(`no refusal: ${JSON.stringify(answer)}`);
  return answer as RangeRefused;
};

async function valuesOf(
  client: RawConnection,
  range: typeof firstRange,
  keys: readonly string[],
  bounds: number,
): Promise<(string | undefined)[]> {
  const answer = await client.read(client.reads(range, keys, { bounds }));
  if (isRefusal(answer)) throw new Error(`refused: ${answer.message}`);
  return answer.results.map(({ version, value }) => (version === 0 ? undefined : Buffer.from(value).toString()));
}

async function filled(): Promise<{
  cluster: TestCluster;
  leader: TestStore;
  client: RawConnection;
  splitter: Splitter;
}> {
  const cluster = await TestCluster.start();
  const splitter = new Splitter(cluster);
  const leader = await cluster.leader();
  const client = await cluster.connect(leader);
  await client.write(
    client.batch(firstRange, [put(1, "a", "1"), put(2, "c", "2"), put(3, "m", "3"), put(4, "x", "4")]),
  );
  return { cluster, leader, client, splitter };
}

describe("a split", () => {
  test("leaves every record in the half that it belongs to, and both halves serve", async () => {
    const { cluster, leader, client, splitter } = await filled();
    const outcome = await splitter.outcome(splitter.split(leader, "m"));
    expect(outcome).toMatchObject({
      state: "done",
      descriptor: { end: userKey("m"), epoch: { bounds: 2, members: 1 } },
    });
    expect(await afterSplit(cluster, right)).toBe(leader);
    expect(await valuesOf(client, firstRange, ["a", "c"], 2)).toEqual(["1", "2"]);
    expect(await valuesOf(client, right, ["m", "x"], 2)).toEqual(["3", "4"]);
    const [written] = await client.write(client.batch(right, [put(5, "n", "5")], { bounds: 2 }));
    expect(written).toMatchObject({ status: "applied" });
    await cluster.runFor(500);
    for (const store of cluster.stores) {
      const other = await cluster.connect(store);
      const left = other.scan(firstRange, { consistency: "stale", bounds: 2, end: userKey("m") });
      const rest = other.scan(right, { consistency: "stale", bounds: 2, start: userKey("m") });
      other.send(left, rest);
      expect(await other.scanned(left)).toEqual(["a", "c"]);
      expect(await other.scanned(rest)).toEqual(["m", "n", "x"]);
    }
  });

  test("E28 sends a client that knows the old bounds on to both halves, without the placement driver", async () => {
    const { leader, client, splitter } = await filled();
    await splitter.outcome(splitter.split(leader, "m"));
    const [stale] = await client.write(client.batch(firstRange, [put(5, "x", "new")]));
    const { reason, ranges } = refusalOf(stale);
    expect(reason).toBe("epoch-mismatch");
    expect(ranges.slice(0, 2).map(({ descriptor, leader: at }) => [descriptor.rangeId, descriptor.start, at])).toEqual([
      [firstRange, "\x01", storeId(leader.number)],
      [right, userKey("m"), storeId(leader.number)],
    ]);
    const read = await client.read(client.reads(firstRange, ["x"]));
    expect(refusalOf(read).ranges.map(({ descriptor }) => descriptor.rangeId)).toContain(right);
    const routes = await client.route("\x01" as Key, "\x02" as Key, 10);
    expect(routes.ranges.slice(0, 2).map(({ descriptor }) => [descriptor.rangeId, descriptor.end])).toEqual([
      [firstRange, userKey("m")],
      [right, routes.ranges[1]!.descriptor.end],
    ]);
  });

  test("E1 a command that comes behind the split is not applied under the old bounds", async () => {
    const { cluster, leader, client, splitter } = await filled();
    const step = splitter.split(leader, "m");
    const late = client.batch(firstRange, [put(5, "x", "late"), put(6, "a", "late")]);
    client.send(late);
    await splitter.outcome(step);
    expect((await client.outcome(late)).map((answer) => refusalOf(answer).reason)).toEqual([
      "epoch-mismatch",
      "epoch-mismatch",
    ]);
    await afterSplit(cluster, right);
    expect(await valuesOf(client, right, ["x"], 2)).toEqual(["4"]);
    expect(await valuesOf(client, firstRange, ["a"], 2)).toEqual(["1"]);
  });

  test("a command that was applied before it is known in both halves, so a retry is not applied again", async () => {
    const { cluster, leader, client, splitter } = await filled();
    await splitter.outcome(splitter.split(leader, "m"));
    await afterSplit(cluster, right);
    const again = await client.write(client.batch(right, [put(4, "x", "twice")], { bounds: 2 }));
    expect(again[0]).toMatchObject({ status: "applied" });
    expect(await valuesOf(client, right, ["x"], 2)).toEqual(["4"]);
  });

  test("E5 the right half takes writes in less than one election timeout", async () => {
    const { cluster, leader, client, splitter } = await filled();
    const begun = cluster.world.nowMs;
    await splitter.outcome(splitter.split(leader, "m"));
    await cluster.world.until("a write in the right half", () => leader.leads >= 2, 5000);
    const [written] = await client.write(client.batch(right, [put(5, "n", "5")], { bounds: 2 }));
    expect(written).toMatchObject({ status: "applied" });
    expect(cluster.world.nowMs - begun).toBeLessThan(200);
  });

  test("is refused at a bound, outside, under another epoch and on a store that does not lead", async () => {
    const { cluster, leader, splitter } = await filled();
    const states: string[] = [];
    for (const step of [
      splitter.split(leader, ""),
      splitter.split(leader, "m", { bounds: 2, members: 1 }),
      splitter.split(leader, "m", { bounds: 1, members: 9 }),
    ]) {
      states.push((await splitter.outcome(step)).state);
    }
    const follower = cluster.others(leader)[0]!;
    states.push((await splitter.outcome(splitter.split(follower, "m"))).state);
    expect(states).toEqual(["refused", "refused", "refused", "refused"]);
  });
});

describe("a split and a crash", () => {
  const everything = async (cluster: TestCluster): Promise<unknown> => {
    const client = await cluster.connect(await afterSplit(cluster, firstRange));
    const there = await cluster.connect(await afterSplit(cluster, right));
    return [await valuesOf(client, firstRange, ["a", "c"], 2), await valuesOf(there, right, ["m", "n", "x"], 2)];
  };

  for (const kept of [0, 1, 2, 5]) {
    test(`E2 whatever was flushed of it (${kept} batches), both halves come back with all that was acknowledged`, async () => {
      const { cluster, leader, client, splitter } = await filled();
      await splitter.outcome(splitter.split(leader, "m"));
      await afterSplit(cluster, right);
      await client.write(client.batch(right, [put(5, "n", "5")], { bounds: 2 }));
      await client.write(client.batch(firstRange, [put(6, "c", "new")], { bounds: 2 }));
      for (const store of cluster.stores) store.crash(kept);
      for (const store of cluster.stores) await store.start();
      expect(await everything(cluster)).toEqual([
        ["1", "new"],
        ["3", "5", "4"],
      ]);
    });
  }

  test("E6 a right half that is made again by the replay keeps the term and the entries it had", async () => {
    const { cluster, leader, client, splitter } = await filled();
    await splitter.outcome(splitter.split(leader, "m"));
    await afterSplit(cluster, right);
    await client.write(client.batch(right, [put(5, "n", "5")], { bounds: 2 }));
    await cluster.runFor(300);
    const follower = cluster.others(leader)[0]!;
    const before = follower.log!.group(right)!;
    follower.crash(0);
    await follower.start();
    await cluster.runFor(2000);
    const after = follower.log!.group(right)!;
    expect(after.replicaId).toBe(before.replicaId);
    expect(after.hardState.term).toBeGreaterThanOrEqual(before.hardState.term);
    expect(after.lastIndex).toBeGreaterThanOrEqual(before.lastIndex);
    expect(follower.halted).toBeUndefined();
    const other = await cluster.connect(follower);
    const scan = other.scan(right, { consistency: "stale", bounds: 2, start: userKey("m") });
    other.send(scan);
    expect(await other.scanned(scan)).toEqual(["m", "n", "x"]);
  });

  test("E3 a store that hears of the right half before it has applied the split makes nothing of it", async () => {
    const { cluster, leader, client, splitter } = await filled();
    const behind = cluster.others(leader)[1]!;
    // What the left half's leader appends does not come through; heartbeats and the right half's messages do.
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (purpose === "client" || to !== behind.host || from === behind.host) return payload;
      const messages = codec.decodePeer(payload);
      const through = messages.filter(
        (message) => message.type !== "raft" || message.rangeId !== firstRange || message.message.type !== "append",
      );
      return through.length === messages.length ? payload : codec.encodePeer(through);
    };
    splitter.split(leader, "m");
    await cluster.world.until("the right half leads", () => leader.leads >= 2, 5000);
    const [written] = await client.write(client.batch(right, [put(5, "n", text("5"))], { bounds: 2 }));
    expect(written).toMatchObject({ status: "applied" });
    await cluster.runFor(1500);
    expect(behind.log!.group(right)).toBeUndefined();
    expect(behind.halted).toBeUndefined();
    cluster.network.intercept = (_from, _to, _purpose, payload) => payload;
    await cluster.runFor(3000);
    const own = cluster.plan.ranges[1]!.replicas.find(({ storeId: on }) => on === behind.number)!;
    expect(behind.log!.group(right)!.replicaId).toBe(counterpart(own.replicaId));
    const other = await cluster.connect(behind);
    const scan = other.scan(right, { consistency: "stale", bounds: 2, start: userKey("m") });
    other.send(scan);
    expect(await other.scanned(scan)).toEqual(["m", "n", "x"]);
  });
  test("E4 a right half that was taken away from a store before it applies the split does not live there, and its records go", async () => {
    const { cluster, leader, splitter } = await filled();
    const behind = cluster.others(leader)[1]!;
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (purpose === "client" || to !== behind.host || from === behind.host) return payload;
      const messages = codec.decodePeer(payload);
      const through = messages.filter((message) => message.type !== "raft" || message.message.type !== "append");
      return through.length === messages.length ? payload : codec.encodePeer(through);
    };
    splitter.split(leader, "m");
    await cluster.world.until("the right half leads", () => leader.leads >= 2, 5000);
    const own = cluster.plan.ranges[1]!.replicas.find(({ storeId: on }) => on === behind.number)!;
    const tombstone = replicaId(counterpart(own.replicaId) + 1);
    behind.log!.tombstone(right, tombstone);
    cluster.network.intercept = (_from, _to, _purpose, payload) => payload;
    await cluster.runFor(5000);
    expect(behind.halted).toBeUndefined();
    expect(behind.log!.group(right)).toMatchObject({ replicaId: 0, tombstone });
    const other = await cluster.connect(behind);
    const left = other.scan(firstRange, { consistency: "stale", bounds: 2, end: userKey("m") });
    other.send(left);
    expect(await other.scanned(left)).toEqual(["a", "c"]);
    expect(isRefusal(await other.read(other.reads(right, ["m"], { bounds: 2, consistency: "stale" })))).toBe(true);
    const iterator = behind.engine!.iterate({ start: Uint8Array.of(1), end: Uint8Array.of(4) });
    const page = await cluster.world.settled("what the engine has", iterator.next(1000, 1_000_000));
    await cluster.world.settled("closed", iterator.close());
    const kept = page.map(({ key }) => Buffer.from(key).toString("latin1"));
    expect(kept.filter((key) => key.startsWith("\x03\x01"))).toEqual(["\x03\x01a", "\x03\x01c"]);
    expect(kept.filter((key) => key.startsWith("\x01clearing"))).toEqual([]);
  });
});

describe("keys for a split", () => {
  test("halve a range by bytes, whether they are in memory or in the engine, and keep prefixes together", async () => {
    const cluster = await TestCluster.start({ stores: 2, settings: { flushBytes: 64 * 1024 } });
    const splitter = new Splitter(cluster);
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    await cluster.fill(client, 200, 1000, { number: 1 });
    const find = async (parts: number, prefixes: readonly Key[]): Promise<StepOutcome> =>
      splitter.outcome(splitter.send(leader, { kind: "find-split-keys", parts, prefixes }));
    const half = await find(2, []);
    expect(half.state).toBe("done");
    const at = Number(/fill-(\d+)/.exec(half.keys[0]!)![1]);
    expect(at).toBeGreaterThan(90);
    expect(at).toBeLessThan(110);
    expect((await find(4, [])).keys).toHaveLength(3);
    const kept = await find(2, [userKey("fill-0010"), userKey("fill-001")]);
    expect(kept).toMatchObject({ state: "done", keys: [userKey("fill-001")] });
    expect(await find(2, [userKey("fill-")])).toMatchObject({
      state: "done",
      keys: [],
      reason: "no useful key: its keys are kept together by their prefix",
    });
  });
});
