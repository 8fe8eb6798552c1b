import { metaRangeId as meta } from "@flotilla/base";
import type { Key, StoreId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { newestKey } from "@flotilla/storage";
import { createCodec } from "@flotilla/transport";
import type { PeerMessage } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { ask, asked, quiet } from "./support/driver-requests.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import { SmallRandom } from "./support/virtual-world.ts";
import type { TestStore } from "./support/test-cluster.ts";

interface OperatorRow {
  readonly operatorId: number;
  readonly kind: string;
  readonly state: string;
  readonly error: string | null;
}

const operators = (cluster: TestCluster): Promise<OperatorRow[]> =>
  asked<OperatorRow[]>(cluster, "operator-list", { all: true });

interface RangeRow {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly replicas: readonly { readonly storeId: number; readonly role: string }[];
}

/** In the order of keys, the meta range first. */
const ranges = (cluster: TestCluster): Promise<RangeRow[]> => asked<RangeRow[]>(cluster, "range-list");

const balanced = { settings: { storeDeadMs: 2000 } };

describe("the placement driver", () => {
  test("writes down where stores are, and every store learns of it", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(3000);
    for (const store of cluster.stores) {
      const client = await cluster.connect(store);
      const { result } = await client.admin("node-list", { local: true });
      expect((result as { httpAddress: string }[]).map((node) => node.httpAddress)).toEqual(
        cluster.stores.map(({ host }) => `${host}:7480`),
      );
    }
  });

  test("evens leaders out, by operators that end and are kept", async () => {
    const cluster = await TestCluster.start({ splitAt: ["c", "f", "k", "p"], ...balanced });
    await cluster.store(1).stop();
    await cluster.runFor(8000);
    await cluster.store(1).start();
    await cluster.runFor(15_000);
    const leaders = cluster.stores.map(({ leads }) => leads);
    expect(Math.max(...leaders) - Math.min(...leaders)).toBeLessThanOrEqual(1);
    const rows = await operators(cluster);
    expect(rows.length).toBeGreaterThan(0);
    expect(rows.every(({ kind, state }) => kind === "transfer-leader" && state === "done")).toBe(true);
  });

  test("counts in a range's size also what is in no table yet", async () => {
    const cluster = await TestCluster.start({ settings: { flushBytes: 32 * 1024 } });
    await cluster.runFor(2500);
    await quiet(cluster);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 100, 1000, { number: 1 });
    await cluster.runFor(7000);
    const size = async (): Promise<Record<number, number>> => {
      const rows = await asked<{ rangeId: number; sizeBytes: number }[]>(cluster, "range-list", {});
      return Object.fromEntries(rows.map(({ rangeId, sizeBytes }) => [rangeId, sizeBytes]));
    };
    const whole = (await size())[firstRange]!;
    expect(whole).toBeGreaterThan(100_000);
    expect(whole).toBeLessThan(200_000);
  });

  test("transfers a leadership when asked, says so when it is over, and refuses nonsense", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    await quiet(cluster);
    const leader = await cluster.leader(firstRange);
    const [to] = cluster.others(leader);
    const argument = { rangeId: firstRange, to: to!.number };
    const { plan } = await asked<{ plan: { steps: object[] } }>(cluster, "range-transfer-leader", {
      ...argument,
      plan: true,
    });
    expect(plan.steps).toHaveLength(1);
    expect(await operators(cluster)).toEqual([]);
    const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, "range-transfer-leader", argument);
    expect(operatorIds).toHaveLength(1);
    await cluster.runFor(3000);
    expect(await cluster.leader(firstRange)).toBe(to);
    expect(await asked(cluster, "operator-show", { operatorId: operatorIds[0] })).toMatchObject({
      state: "done",
      kind: "transfer-leader",
      error: null,
      steps: [{ state: "done" }],
    });
    const wrong: [string, object, string][] = [
      ["range-transfer-leader", { rangeId: 99, to: 1 }, "NotFound"],
      ["range-transfer-leader", { rangeId: 2, to: 9 }, "NotFound"],
      ["range-transfer-leader", { rangeId: 2 }, "InvalidArgument"],
      ["range-transfer-leader", argument, "Refused"],
      ["range-move", { rangeId: 2, from: 1, to: 1 }, "InvalidArgument"],
      ["range-move", { rangeId: 2, from: 1, to: 2 }, "Refused"],
      ["range-split", { rangeId: 2 }, "InvalidArgument"],
      ["range-split", { rangeId: 1, parts: 2 }, "InvalidArgument"],
      ["range-split", { rangeId: 2, at: [""] }, "EmptyKey"],
      ["operator-show", { operatorId: 1_000_000 }, "NotFound"],
      ["operator-cancel", { operatorId: operatorIds[0] }, "Refused"],
      ["scheduler-pause", { name: "everything" }, "NotFound"],
      ["setting-set", { name: "replicas", value: 2 }, "InvalidArgument"],
      ["node-drain", { nodeId: 9 }, "NotFound"],
      ["store-replace", { storeId: 1 }, "Refused"],
      ["store-join", { storeKey: "x", address: "a:1", httpAddress: "a:2" }, "InvalidArgument"],
      ["range-vanish", {}, "InvalidArgument"],
    ];
    for (const [name, given, code] of wrong)
      expect([name, (await ask(cluster, name, given)).error?.code]).toEqual([name, code]);
    expect(await operators(cluster)).toHaveLength(1);
  });

  test("what is paused and set stays so under the next driver", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    expect(await asked(cluster, "scheduler-pause", { name: "split" })).toMatchObject({ changed: true });
    expect(await asked(cluster, "scheduler-pause", { name: "split" })).toMatchObject({ changed: false });
    await asked(cluster, "setting-set", { name: "colocatedPrefixes", value: ["user/\xff", "a"] });
    (await cluster.leader(meta)).crash();
    await cluster.runFor(4000);
    const schedulers = await asked<{ name: string; paused: boolean }[]>(cluster, "scheduler-list");
    expect(schedulers.filter(({ paused }) => paused).map(({ name }) => name)).toEqual(["split"]);
    expect(await asked(cluster, "setting-get", { name: "colocatedPrefixes" })).toMatchObject({
      value: ["user/\xff", "a"],
    });
    await asked(cluster, "scheduler-resume", { name: "split" });
    const resumed = await asked<{ paused: boolean }[]>(cluster, "scheduler-list");
    expect(resumed.some(({ paused }) => paused)).toBe(false);
  });

  test("a drained node leads nothing until it is taken back, and the status of the cluster names it", async () => {
    const warned = async (): Promise<string[]> =>
      (await asked<{ warnings: string[] }>(cluster, "cluster-status")).warnings;
    const cluster = await TestCluster.start({ splitAt: ["c", "f", "k", "p"] });
    await cluster.runFor(2500);
    expect(await asked(cluster, "node-drain", { nodeId: 2 })).toMatchObject({ changed: true });
    await cluster.runFor(6000);
    expect(cluster.store(2).leads).toBe(0);
    const nodes = await asked<{ nodeId: number; state: string }[]>(cluster, "node-list");
    expect(nodes.map(({ state }) => state)).toEqual(["live", "draining", "live"]);
    expect((await warned()).filter((text) => text.includes("draining"))).toEqual([
      "store 2 is draining: it leads nothing and takes no replicas; flotilla node drain 2 --undo ends that",
    ]);
    await asked(cluster, "node-drain", { nodeId: 2, undo: true });
    await cluster.runFor(12_000);
    expect((await warned()).filter((text) => text.includes("draining"))).toEqual([]);
    expect(cluster.store(2).leads).toBeGreaterThan(0);
  });

  test("splits at keys and into parts when asked, keeps prefixes together, and the map stays a partition", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    await quiet(cluster);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 60, 100, { number: 1 });
    await asked(cluster, "setting-set", { name: "colocatedPrefixes", value: ["fill-0002"] });
    const inside = await ask(cluster, "range-split", { rangeId: firstRange, at: ["fill-00025"] });
    expect(inside.error?.code).toBe("InvalidArgument");
    const split = await asked<{ operatorIds: number[] }>(cluster, "range-split", {
      rangeId: firstRange,
      at: ["m", "f"],
    });
    await cluster.runFor(4000);
    expect(await asked(cluster, "operator-show", { operatorId: split.operatorIds[0] })).toMatchObject({
      state: "done",
    });
    const middle = (await ranges(cluster)).find(({ start }) => start === "f")!;
    expect(middle.end).toBe("m");
    const parts = await asked<{ operatorIds: number[] }>(cluster, "range-split", { rangeId: middle.rangeId, parts: 3 });
    await cluster.runFor(4000);
    expect(await asked(cluster, "operator-show", { operatorId: parts.operatorIds[0] })).toMatchObject({
      state: "done",
    });
    const bounds = (await ranges(cluster)).map(({ start }) => start);
    expect(bounds.slice(0, 3)).toEqual(["", "", "f"]);
    expect(bounds.at(-1)).toBe("m");
    expect(bounds).toHaveLength(6);
    for (const bound of bounds) expect(bound > "fill-0002" && bound < "fill-0003").toBe(false);
  });

  test("splits a range that is too large by itself, and its halves not for what the whole once was", async () => {
    const cluster = await TestCluster.start({ stores: 1, settings: { splitBytes: 20_000, flushBytes: 5000 } });
    const client = await cluster.connect(cluster.store(1));
    const before = (await ranges(cluster)).length;
    await cluster.fill(client, 100, 500, { number: 1 });
    await cluster.runFor(20_000);
    const after = await ranges(cluster);
    expect(after.length).toBeGreaterThanOrEqual(before + 2);
    // 60 000 bytes at the most, in parts of half of what a range may have.
    expect(after.length).toBeLessThanOrEqual(before + 5);
    const splits = (await operators(cluster)).filter(({ kind }) => kind === "split");
    expect(splits).toHaveLength(1);
    expect((await operators(cluster)).map(({ kind, state }) => `${kind} ${state}`)).toContain("split done");
  });

  test("E18 what is reported late, twice and in any order leaves the map a partition at the highest epochs", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    await quiet(cluster);
    const codec = createCodec(nodeByteOperations);
    const random = new SmallRandom(3);
    // Reports are lost or come again much later, in any order.
    const late: PeerMessage[] = [];
    cluster.network.intercept = (_from, _to, purpose, payload) => {
      if (purpose === "client") return payload;
      const messages = codec.decodePeer(payload);
      const kept = messages.flatMap((message): PeerMessage[] => {
        if (message.type !== "store-report") return [message];
        late.push(message);
        const old = late[random.uint32() % late.length]!;
        // Only what the sender said itself is believed.
        const own = old.type === "store-report" && old.status.storeId === message.status.storeId;
        const drawn = random.uint32() % 4;
        return drawn === 0 ? [] : drawn === 1 && own ? [message, old] : drawn === 2 && own ? [old] : [message];
      });
      return kept.length === 0 ? undefined : codec.encodePeer(kept);
    };
    for (const at of ["t", "p", "k", "f"]) {
      const { error } = await ask(cluster, "range-split", { rangeId: firstRange, at: [at] });
      expect(error).toBeUndefined();
      await cluster.runFor(5000 + (random.uint32() % 1500));
    }
    await cluster.runFor(8000);
    const list = (await ranges(cluster)).filter(({ rangeId }) => rangeId !== 1);
    expect(list.map(({ start }) => start)).toEqual(["", "f", "k", "p", "t"]);
    expect(list.map(({ end }) => end)).toEqual(["f", "k", "p", "t", ""]);
  });

  test("E19 ids are given out once, whatever driver gives them and whoever dies between", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    const given: number[] = [];
    for (let i = 0; i < 4; i++) {
      const storeKey = String(i).padStart(32, "0");
      const join = { storeKey, address: `new-${i}:7400`, httpAddress: `new-${i}:7480`, labels: { zone: "a" } };
      const first = await asked<{ storeId: StoreId }>(cluster, "store-join", join);
      given.push(first.storeId);
      const driver = await cluster.leader(meta);
      driver.crash();
      await cluster.runFor(4000);
      // The same directory asks again: its answer may have been lost.
      expect(await asked(cluster, "store-join", join)).toEqual(first);
      await driver.start();
      await cluster.runFor(2000);
    }
    // And none is left out: nodes and stores are called by them.
    expect(given).toEqual([4, 5, 6, 7]);
  });

  test("E17 an operator is taken over by the next driver, and ends", async () => {
    const cluster = await TestCluster.start({ stores: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    const codec = createCodec(nodeByteOperations);
    let lost = true;
    cluster.network.intercept = (_from, _to, purpose, payload) => {
      if (purpose === "client" || !lost) return payload;
      const kept = codec.decodePeer(payload).filter(({ type }) => type !== "operator-step");
      return kept.length === 0 ? undefined : codec.encodePeer(kept);
    };
    const driver = await cluster.leader(meta);
    const leader = await moveLeader(cluster, driver);
    const to = cluster.others(leader).find((store) => store !== driver)!;
    const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, "range-transfer-leader", {
      rangeId: firstRange,
      to: to.number,
    });
    await cluster.runFor(1000);
    const operatorId = operatorIds[0];
    expect(await asked(cluster, "operator-show", { operatorId })).toMatchObject({ state: "running" });
    driver.crash();
    lost = false;
    await cluster.runFor(8000);
    expect(await asked(cluster, "operator-show", { operatorId })).toMatchObject({ state: "done" });
    expect(await cluster.leader(firstRange)).toBe(to);
  });
});

describe("range check", () => {
  interface Checked {
    readonly rangeId: number;
    readonly appliedIndex: number;
    readonly equal: boolean | null;
    readonly replicas: readonly { readonly storeId: number; readonly checksum: string | null; readonly keys: number }[];
  }
  const check = async (cluster: TestCluster, argument: object): Promise<Checked[]> =>
    (await asked<{ ranges: Checked[] }>(cluster, "range-check", argument)).ranges;

  test("F19 compares all replicas at one index, flushed or not, and finds the one that differs", async () => {
    const cluster = await TestCluster.start({ settings: { flushBytes: 6000 } });
    await cluster.runFor(2500);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 40, 300, { number: 1 });
    const all = await check(cluster, {});
    expect(all.map(({ equal }) => equal)).toEqual([true, true]);
    const [, range] = all;
    expect(range!.replicas.map(({ keys }) => keys)).toEqual([40, 40, 40]);
    expect(new Set(range!.replicas.map(({ checksum }) => checksum)).size).toBe(1);
    // One follower loses a record behind everybody's back.
    const bad = await cluster.follower(firstRange);
    const batch = bad.engine!.batch();
    const lost = newestKey("\x01fill-00003" as Key, nodeByteOperations);
    expect(bad.engine!.getNow(lost)).toBeDefined();
    batch.delete(lost);
    await cluster.world.settled("the record is lost", batch.write());
    const [found] = await check(cluster, { rangeId: firstRange });
    expect(found!.equal).toBe(false);
    const odd = found!.replicas.find(({ storeId }) => storeId === bad.number)!;
    expect(odd.keys).toBe(39);
  });

  test("compares whoever are the members in the end, when they change meanwhile", async () => {
    const cluster = await TestCluster.start({ stores: 5, replicas: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 40, 300, { number: 1 });
    let compared = 0;
    for (let i = 0; i < 6; i++) {
      const { replicas } = (await ranges(cluster)).find(({ rangeId }) => rangeId === firstRange)!;
      const members = replicas.map(({ storeId }) => storeId);
      const to = cluster.stores.map(({ number }) => number).find((number) => !members.includes(number))!;
      const order = { rangeId: firstRange, from: members[i % members.length], to };
      const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, "range-move", order);
      for (;;) {
        const [found] = await check(cluster, { rangeId: firstRange });
        expect(found).toMatchObject({ equal: true });
        expect(found!.replicas.map(({ keys }) => keys)).toEqual(found!.replicas.map(() => 40));
        compared++;
        const { state } = await asked<{ state: string }>(cluster, "operator-show", { operatorId: operatorIds[0] });
        if (state !== "running") break;
      }
    }
    expect(compared).toBeGreaterThan(6);
  });

  test("says so when a replica cannot be compared", async () => {
    const cluster = await TestCluster.start();
    await cluster.runFor(2500);
    const leaders = [await cluster.leader(meta), await cluster.leader(firstRange)];
    cluster.stores.find((store) => !leaders.includes(store))!.crash();
    expect(await check(cluster, { rangeId: firstRange })).toMatchObject([{ equal: null }]);
    expect((await ask(cluster, "range-check", { rangeId: 77 })).error?.code).toBe("NotFound");
  });
});

/** Has the first range led by another store than the driver. */
async function moveLeader(cluster: TestCluster, driver: TestStore): Promise<TestStore> {
  const leader = await cluster.leader(firstRange);
  if (leader !== driver) return leader;
  const client = await cluster.connect(driver);
  await client.admin("transfer-leader", { rangeId: firstRange, to: cluster.others(driver)[0]!.number });
  await cluster.runFor(1000);
  return cluster.leader(firstRange);
}
