import { metaRangeId as meta } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { asked, quiet } from "./support/driver-requests.ts";
import { ifVersion, put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";

interface RangeRow {
  readonly rangeId: number;
  readonly epoch: { readonly bounds: number };
  readonly replicas: readonly { readonly storeId: number; readonly role: string }[];
}

async function row(cluster: TestCluster, id: number): Promise<RangeRow> {
  return (await asked<RangeRow[]>(cluster, "range-list")).find(({ rangeId }) => rangeId === id)!;
}

async function members(cluster: TestCluster, id: number = firstRange): Promise<number[]> {
  const { replicas } = await row(cluster, id);
  expect(replicas.every(({ role }) => role === "voter")).toBe(true);
  return replicas.map(({ storeId }) => storeId).sort();
}

/** Until the operator has ended, whoever drives by then. */
async function ended(cluster: TestCluster, operatorId: number): Promise<{ state: string; error: string | null }> {
  for (let i = 0; i < 100; i++) {
    const row = await asked<{ state: string; error: string | null }>(cluster, "operator-show", { operatorId });
    if (row.state !== "running" && row.state !== "cancelling") return row;
    await cluster.runFor(300);
  }
  throw new Error(`does not end: ${JSON.stringify(await asked(cluster, "operator-show", { operatorId }))}`);
}

const isFirst = ({ descriptor }: { readonly descriptor: RangeDescriptor }): boolean =>
  descriptor.rangeId === firstRange;

describe("moves", () => {
  test("a replica moves when asked, with what is in it", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 30, 200, { number: 1 });
    const before = await members(cluster);
    const [to] = [1, 2, 3, 4].filter((id) => !before.includes(id));
    const from = (await cluster.leader(firstRange)).number;
    const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, "range-move", {
      rangeId: firstRange,
      from,
      to,
    });
    expect(await ended(cluster, operatorIds[0]!)).toMatchObject({ state: "done" });
    expect(await members(cluster)).toEqual([...before.filter((id) => id !== from), to].sort());
    const { ranges } = await asked<{ ranges: { equal: boolean; replicas: { keys: number }[] }[] }>(
      cluster,
      "range-check",
      {
        rangeId: firstRange,
      },
    );
    expect(ranges).toMatchObject([{ equal: true, replicas: [{ keys: 30 }, { keys: 30 }, { keys: 30 }] }]);
  });

  test("a range that comes back to a store begins its load anew there, and every report is understood", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    const first = await cluster.leader(firstRange);
    await cluster.fill(await cluster.connect(first), 100, 200, { number: 1 });
    await cluster.runFor(1500);
    const [away] = [1, 2, 3, 4].filter((id) => !cluster.store(id).store.replicas().some(isFirst)) as [number];
    for (const [name, argument] of [
      ["range-move", { from: first.number, to: away }],
      ["range-move", { from: away, to: first.number }],
      ["range-transfer-leader", { to: first.number }],
    ] as const) {
      const given = { rangeId: firstRange, ...argument };
      const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, name, given);
      expect(await ended(cluster, operatorIds[0]!)).toMatchObject({ state: "done" });
    }
    await cluster.runFor(2000);
    expect(first.store.replicas().find(isFirst)?.serves).toBe(true);
    for (const store of cluster.stores) expect(store.logged("malformed message")).toEqual([]);
  });

  for (const afterMs of [100, 300, 600, 1000, 1600]) {
    test(`E17 ends with three replicas when the driver dies ${afterMs} ms after it began`, async () => {
      const cluster = await TestCluster.start({ stores: 5, replicas: 3 });
      await cluster.runFor(2500);
      await quiet(cluster);
      const driver = await cluster.leader(meta);
      const before = await members(cluster);
      const from = before.find((id) => id !== driver.number)!;
      const to = [1, 2, 3, 4, 5].find((id) => !before.includes(id) && id !== driver.number)!;
      const { operatorIds } = await asked<{ operatorIds: number[] }>(cluster, "range-move", {
        rangeId: firstRange,
        from,
        to,
      });
      await cluster.runFor(afterMs);
      driver.crash();
      await cluster.runFor(3000);
      await driver.start();
      expect(await ended(cluster, operatorIds[0]!)).toMatchObject({ state: "done" });
      expect(await members(cluster)).toEqual([...before.filter((id) => id !== from), to].sort());
    });
  }

  test("a store that is down for long is made up for elsewhere", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3, settings: { storeDownMs: 4000 } });
    await cluster.runFor(2500);
    const lost = (await members(cluster)).find((id) => id !== 1)!;
    cluster.store(lost).crash();
    await cluster.runFor(30_000);
    for (const id of [meta, firstRange]) {
      const now = await members(cluster, id);
      expect(now).toHaveLength(3);
      expect(now).not.toContain(lost);
    }
  });

  test("a node that is decommissioned ends empty, and out", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
    await cluster.runFor(2500);
    const [leaving] = (await members(cluster, meta)).slice(-1);
    await asked(cluster, "node-decommission", { nodeId: leaving });
    await cluster.runFor(30_000);
    for (const id of [meta, firstRange]) expect(await members(cluster, id)).not.toContain(leaving);
    const nodes = await asked<{ nodeId: number; state: string }[]>(cluster, "node-list");
    expect(nodes.find(({ nodeId }) => nodeId === leaving)!.state).toBe("decommissioned");
    expect(cluster.store(leaving!).store.statistics().status.replicas).toBe(0);
    // It says so itself, once, however often it is refused.
    await cluster.runFor(30_000);
    const out = cluster.stores.filter(({ store }) => store.statistics().decommissioned);
    expect(out.map(({ number }) => number)).toEqual([leaving]);
    expect(cluster.store(leaving!).logged("this store was decommissioned")).toHaveLength(1);
    expect(cluster.store(leaving!).halted).toBeUndefined();
  });

  test("a store that was given up and comes back learns it, leads nothing, and keeps what it has", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
    await cluster.runFor(2500);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 10, 200, { number: 1 });
    await cluster.runFor(1000);
    const [lost] = (await members(cluster)).slice(-1) as [number];
    cluster.store(lost).crash();
    await cluster.runFor(4000);
    await asked(cluster, "store-replace", { storeId: lost });
    await cluster.runFor(20_000);
    expect(await members(cluster)).not.toContain(lost);
    await cluster.store(lost).start();
    await cluster.runFor(20_000);
    const { decommissioned, status } = cluster.store(lost).store.statistics();
    expect([decommissioned, status.leaders]).toEqual([true, 0]);
    expect(cluster.store(lost).logged("this store was decommissioned")).toHaveLength(1);
    // Whoever gave it up too early still has its directory.
    expect(status.replicas).toBeGreaterThan(0);
    expect(cluster.store(lost).halted).toBeUndefined();
    expect(await members(cluster)).toHaveLength(3);
  });

  test("a new store may join while the one that it is to stand in for is a member of the meta range still", async () => {
    const cluster = await TestCluster.start({ stores: 3 });
    await cluster.runFor(2500);
    const lost = cluster.others(await cluster.leader(meta))[0]!;
    lost.crash();
    await cluster.runFor(6000);
    await asked(cluster, "store-replace", { storeId: lost.number });
    const join = { storeKey: "7".repeat(32), address: lost.address, httpAddress: `${lost.host}:7480`, labels: {} };
    const { stores, metaRange } = await asked<{ stores: { storeId: number }[]; metaRange: RangeRow }>(
      cluster,
      "store-join",
      join,
    );
    const known = stores.map(({ storeId }) => storeId);
    expect(known).not.toContain(lost.number);
    expect(await members(cluster, meta)).toContain(lost.number);
    // The new store refuses an answer that names a store which it cannot know.
    expect(metaRange.replicas.map(({ storeId }) => storeId).filter((id) => !known.includes(id))).toEqual([]);
    expect(metaRange.replicas).toHaveLength(2);
  });

  test("E24 nothing is lost or doubled while a range moves again and again under writes and counters", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3, settings: { flushBytes: 8 * 1024 } });
    await cluster.runFor(2500);
    await quiet(cluster);
    let number = 0;
    let counter = 0;
    /** Through whoever leads; a bump counts on from exactly the version before. */
    const work = async (): Promise<void> => {
      const client = await cluster.connect(await cluster.leader(firstRange));
      const { epoch } = await row(cluster, firstRange);
      for (let i = 0; i < 5; i++) {
        const condition = counter === 0 ? { condition: "if-absent" as const } : ifVersion(counter);
        const commands = [
          put(++number, `set-${String(number).padStart(4, "0")}`, "x".repeat(500)),
          put(++number, "counter", String(number), condition),
        ];
        const batch = client.batch(firstRange, commands, { floor: number - 1, bounds: epoch.bounds });
        const answers = await client.write(batch);
        expect(answers.map((answer) => "status" in answer && answer.status)).toEqual(["applied", "applied"]);
        counter = (answers[1] as { version: number }).version;
      }
      client.stream?.close();
    };
    await work();
    for (let i = 0; i < 6; i++) {
      const before = await members(cluster);
      const to = [1, 2, 3, 4].find((id) => !before.includes(id))!;
      const from = before[i % 3]!;
      const { operatorIds } = await asked<{ operatorIds: [number] }>(cluster, "range-move", {
        rangeId: firstRange,
        from,
        to,
      });
      await work();
      expect(await ended(cluster, operatorIds[0])).toMatchObject({ state: "done" });
      await work();
    }
    const client = await cluster.connect(await cluster.leader(firstRange));
    const scan = client.scan(firstRange, { creditBytes: 1e9 });
    client.send(scan);
    const keys = await client.scanned(scan);
    const sets = Array.from({ length: number / 2 }, (_, i) => `set-${String(2 * i + 1).padStart(4, "0")}`);
    expect(keys).toEqual(["counter", ...sets]);
    const { ranges } = await asked<{ ranges: { equal: boolean }[] }>(cluster, "range-check", { rangeId: firstRange });
    expect(ranges.map(({ equal }) => equal)).toEqual([true]);
  });

  test("E14 replicas that were all removed but one never serve the range together again", async () => {
    const cluster = await TestCluster.start({ stores: 6, replicas: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    const [alone, ...removed] = await members(cluster);
    const free = [1, 2, 3, 4, 5, 6].filter((id) => id !== alone && !removed.includes(id));
    // One of the three hears nothing while the others give their places away.
    const lost = cluster.store(alone!);
    for (const other of cluster.others(lost)) cluster.network.cut(lost.host, other.host);
    await cluster.runFor(6000);
    for (const [i, from] of removed.entries()) {
      const { operatorIds } = await asked<{ operatorIds: [number] }>(cluster, "range-move", {
        rangeId: firstRange,
        from,
        to: free[i]!,
      });
      expect(await ended(cluster, operatorIds[0])).toMatchObject({ state: "done" });
    }
    const now = [alone!, free[0]!, free[1]!].sort();
    expect(await members(cluster)).toEqual(now);
    const client = await cluster.connect(await cluster.leader(firstRange));
    await cluster.fill(client, 3, 100, { number: 1 });
    // Now the old three hear each other, and nobody else.
    const old = [alone!, ...removed];
    cluster.network.heal();
    for (const inside of old)
      for (const outside of [1, 2, 3, 4, 5, 6].filter((id) => !old.includes(id)))
        cluster.network.cut(cluster.store(inside).host, cluster.store(outside).host);
    const serving = (): number[] =>
      old.filter((id) =>
        cluster
          .store(id)
          .store.replicas()
          .some(({ descriptor, serves }) => descriptor.rangeId === firstRange && serves),
      );
    for (let i = 0; i < 20; i++) {
      await cluster.runFor(1000);
      expect(serving()).toEqual([]);
    }
    cluster.network.heal();
    await cluster.runFor(5000);
    expect(await members(cluster)).toEqual(now);
    const leader = await cluster.leader(firstRange);
    const again = await cluster.connect(leader);
    await cluster.fill(again, 3, 100, { number: 10 });
    expect(cluster.stores.every(({ halted }) => halted === undefined)).toBe(true);
  });

  test("B11 what would leave a range without a majority is refused, and the plan says so", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
    await cluster.runFor(2500);
    await quiet(cluster);
    await cluster.runFor(3000);
    const before = await members(cluster);
    const metaMembers = await members(cluster, meta);
    const down = before.filter((id) => !metaMembers.includes(id));
    const more = before.find((id) => metaMembers.includes(id) && id !== 1)!;
    for (const id of new Set([...down, more])) cluster.store(id).crash();
    // What was begun when the first of them was missed gives up.
    await cluster.runFor(45_000);
    expect(await asked(cluster, "operator-list")).toEqual([]);
    const client = await cluster.connect(await cluster.leader(meta));
    const up = before.find((id) => cluster.store(id).api !== undefined)!;
    const to = [1, 2, 3, 4].find((id) => !before.includes(id))!;
    const { error } = await client.admin("range-move", { rangeId: firstRange, from: up, to });
    expect(error?.code).toBe("Refused");
    expect(error?.message).toContain("voters");
  });
});
