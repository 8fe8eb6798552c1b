/** Merges as the placement driver sees them through: gathered, sealed, taken in, or given up in order. */
import { rangeId } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { PeerMessage } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import { StepSender } from "./support/step-sender.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestClusterOptions } from "./support/test-cluster.ts";

const meta = 1 as RangeId;
const left = firstRange;
const right = rangeId(3);
const codec = createCodec(nodeByteOperations);

async function ask(cluster: TestCluster, name: string, argument: object = {}): Promise<unknown> {
  for (let attempt = 0; ; attempt++) {
    const client = await cluster.connect(await cluster.leader(meta));
    const { result, error } = await client.admin(name, argument);
    client.stream?.close();
    if (error === undefined) return result;
    // The driver may be another one since a moment ago.
    if (attempt === 5 || (error.code !== "Busy" && error.details["redirectStoreId"] === undefined))
      throw new Error(`${name}: ${error.code}: ${error.message}`);
    await cluster.runFor(500);
  }
}

interface RangeRow {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly epoch: { readonly bounds: number };
  readonly replicas: readonly { readonly storeId: number; readonly role: string }[];
}

const ranges = async (cluster: TestCluster): Promise<RangeRow[]> =>
  ((await ask(cluster, "range-list")) as RangeRow[]).filter((row) => row.rangeId !== meta);

const stores = ({ replicas }: RangeRow): number[] => replicas.map(({ storeId }) => storeId).sort();

async function ended(cluster: TestCluster, operatorId: number): Promise<{ state: string; error: string | null }> {
  for (let i = 0; i < 100; i++) {
    const row = (await ask(cluster, "operator-show", { operatorId })) as { state: string; error: string | null };
    if (row.state !== "running" && row.state !== "cancelling") return row;
    await cluster.runFor(300);
  }
  throw new Error(`does not end: ${JSON.stringify(await ask(cluster, "operator-show", { operatorId }))}`);
}

async function quiet(options: TestClusterOptions): Promise<TestCluster> {
  const cluster = await TestCluster.start({ splitAt: ["m"], ...options });
  await cluster.runFor(2500);
  for (const name of ["repair", "balance-replicas", "balance-leaders", "split", "merge"])
    await ask(cluster, "scheduler-pause", { name });
  return cluster;
}

async function begin(cluster: TestCluster): Promise<number> {
  const { operatorIds } = (await ask(cluster, "range-merge", { rangeId: left, rightRangeId: right })) as {
    operatorIds: number[];
  };
  return operatorIds[0]!;
}

/** Through whoever leads, under the bounds that the map has by now. */
async function write(cluster: TestCluster, key: string, value: string, number: number): Promise<unknown> {
  const row = (await ranges(cluster)).find(({ start, end }) => start <= key && (key < end || end === ""))!;
  const client = await cluster.connect(await cluster.leader(row.rangeId as RangeId, 20_000, row.epoch.bounds));
  const commands = [put(number, key, value)];
  const [answer] = await client.write(client.batch(row.rangeId as RangeId, commands, { bounds: row.epoch.bounds }));
  return answer;
}

async function keysOf(cluster: TestCluster): Promise<string[]> {
  const [row] = await ranges(cluster);
  const { bounds } = row!.epoch;
  const client = await cluster.connect(await cluster.leader(left, 20_000, bounds));
  const { end } = cluster.plan.ranges.at(-1)!;
  const scan = client.scan(left, { bounds, end });
  client.send(scan);
  return client.scanned(scan);
}

describe("a merge that is asked for", () => {
  test("brings the right range's replicas to the left one's stores, then makes one range of both", async () => {
    const cluster = await quiet({ stores: 5, replicas: 3 });
    expect(await write(cluster, "a", "1", 1)).toMatchObject({ status: "applied" });
    expect(await write(cluster, "x", "2", 1)).toMatchObject({ status: "applied" });
    const [before, other] = await ranges(cluster);
    expect(stores(before!)).not.toEqual(stores(other!));
    const { plan } = (await ask(cluster, "range-merge", { rangeId: left, plan: true })) as {
      plan: { steps: { action: string }[] };
    };
    const moves = stores(other!)
      .filter((id) => !stores(before!).includes(id))
      .map(() => "move");
    expect(plan.steps.map(({ action }) => action)).toEqual([...moves, "merge"]);
    expect(await ended(cluster, await begin(cluster))).toMatchObject({ state: "done", error: null });
    const after = await ranges(cluster);
    expect(after.map((row) => [row.rangeId, row.start, row.end])).toEqual([[left, "", ""]]);
    expect(stores(after[0]!)).toEqual(stores(before!));
    expect(await keysOf(cluster)).toEqual(["a", "x"]);
    expect(await write(cluster, "z", "3", 2)).toMatchObject({ status: "applied" });
    await cluster.runFor(3000);
    for (const store of cluster.stores) {
      expect(store.halted).toBeUndefined();
      expect(store.log!.group(right)?.replicaId ?? 0).toBe(0);
    }
    const check = (await ask(cluster, "range-check", { rangeId: left })) as { ranges: { equal: boolean }[] };
    expect(check.ranges).toMatchObject([{ equal: true }]);
  });

  for (const afterMs of [100, 400, 700, 1000, 1300, 1600, 2000, 2600]) {
    test(`E8 ends decided, and serves every key, when the driver dies ${afterMs} ms after it began`, async () => {
      const cluster = await quiet({ stores: 5, replicas: 3 });
      await write(cluster, "a", "1", 1);
      await write(cluster, "x", "2", 1);
      const driver = await cluster.leader(meta);
      const id = await begin(cluster);
      await cluster.runFor(afterMs);
      driver.crash();
      await cluster.runFor(3000);
      await driver.start();
      const { state } = await ended(cluster, id);
      const after = await ranges(cluster);
      expect([state, after.length]).toEqual(state === "done" ? ["done", 1] : [state, 2]);
      expect(await write(cluster, "b", "3", 2)).toMatchObject({ status: "applied" });
      expect(await write(cluster, "y", "4", 3)).toMatchObject({ status: "applied" });
      for (const store of cluster.stores) expect(store.halted).toBeUndefined();
    });
  }

  test("E7 is given up when a member goes down between seal and merge, and the right range serves again", async () => {
    const cluster = await quiet({ stores: 3, settings: { storeDeadMs: 2000 } });
    await write(cluster, "x", "1", 1);
    const driver = await cluster.leader(meta);
    const away = cluster.others(driver)[0]!;
    let sealed = 0;
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (purpose === "client" || purpose === "snapshot" || (from !== away.host && to !== away.host)) return payload;
      const messages: PeerMessage[] = codec.decodePeer(payload);
      const through = messages.filter((message) => message.type !== "seal-check" || message.index === 0 || !++sealed);
      return codec.encodePeer(through);
    };
    const id = await begin(cluster);
    expect(await ended(cluster, id)).toMatchObject({ state: "timedOut" });
    expect(sealed).toBeGreaterThan(0);
    const after = await ranges(cluster);
    expect(after.map((row) => row.epoch.bounds)).toEqual([2, 2]);
    expect(await write(cluster, "y", "2", 2)).toMatchObject({ status: "applied" });
    cluster.network.intercept = (_from, _to, _purpose, payload) => payload;
    expect(await ended(cluster, await begin(cluster))).toMatchObject({ state: "done" });
    expect(await keysOf(cluster)).toEqual(["x", "y"]);
  });

  /** The right range is sealed, and no operator knows of it: as after a recovery of the meta range from an old replica. */
  async function forgotten(): Promise<TestCluster> {
    const cluster = await quiet({ stores: 3, replicas: 3 });
    await write(cluster, "x", "1", 1);
    const [before, other] = cluster.plan.ranges.filter((range) => range.rangeId !== meta);
    const replicas = other!.replicas.map(({ replicaId, storeId }) => ({
      right: replicaId,
      left: before!.replicas.find((replica) => replica.storeId === storeId)!.replicaId,
    }));
    const seal = { kind: "seal", leftRangeId: left, leftBounds: before!.epoch.bounds, replicas } as const;
    const steps = new StepSender(cluster);
    expect(await steps.run(await cluster.leader(right), right, other!.epoch, seal)).toMatchObject({ state: "done" });
    return cluster;
  }

  test("goes on from a seal whose merge the driver has forgotten", async () => {
    const cluster = await forgotten();
    expect(await ended(cluster, await begin(cluster))).toMatchObject({ state: "done" });
    expect(await keysOf(cluster)).toEqual(["x"]);
    expect(await write(cluster, "y", "2", 2)).toMatchObject({ status: "applied" });
  });

  test("E9 a seal whose merge the driver has forgotten ends by itself", async () => {
    const cluster = await forgotten();
    await cluster.runFor(20_000);
    expect(await ranges(cluster)).toMatchObject([{ epoch: { bounds: 2 } }, { epoch: { bounds: 2 } }]);
    expect(await write(cluster, "y", "2", 2)).toMatchObject({ status: "applied" });
  });

  test("E9 a seal whose merge the driver has forgotten ends, too, when the left range is divided since", async () => {
    const cluster = await forgotten();
    await ask(cluster, "range-split", { rangeId: left, at: ["c"] });
    await cluster.runFor(20_000);
    expect(await ranges(cluster)).toMatchObject([{ start: "" }, { start: "c" }, { start: "m", epoch: { bounds: 2 } }]);
    expect(await write(cluster, "y", "2", 2)).toMatchObject({ status: "applied" });
  });

  test("can be cancelled, and leaves both ranges in use", async () => {
    const cluster = await quiet({ stores: 5, replicas: 3 });
    const id = await begin(cluster);
    await ask(cluster, "operator-cancel", { operatorId: id });
    expect(["cancelled", "done"]).toContain((await ended(cluster, id)).state);
    await cluster.runFor(1000);
    expect(await write(cluster, "a", "1", 1)).toMatchObject({ status: "applied" });
    expect(await write(cluster, "x", "2", 1)).toMatchObject({ status: "applied" });
    for (const row of await ranges(cluster)) expect(row.replicas).toHaveLength(3);
  });

  test("is refused for the meta range, for others than neighbours, across co-located keys and beside another operator", async () => {
    const cluster = await quiet({ stores: 5, replicas: 3, splitAt: ["h", "m", "t"] });
    const refusal = async (argument: object): Promise<string> =>
      ask(cluster, "range-merge", argument).then(
        () => "taken",
        (error: unknown) => String(error),
      );
    expect(await refusal({ rangeId: meta })).toContain("InvalidArgument: the meta range never merges");
    expect(await refusal({ rangeId: 2, rightRangeId: 4 })).toContain("does not begin where range 2 ends");
    expect(await refusal({ rangeId: 3, rightRangeId: 2 })).toContain("does not begin where range 3 ends");
    expect(await refusal({ rangeId: 5 })).toContain("nothing follows it");
    expect(await refusal({ rangeId: 77 })).toContain("NotFound");
    await ask(cluster, "setting-set", { name: "colocatedPrefixes", value: ["h"] });
    expect(await refusal({ rangeId: 2 })).toContain("Refused: the co-located prefix h begins or ends between them");
    const [, third] = await ranges(cluster);
    const from = stores(third!)[0]!;
    const to = [1, 2, 3, 4, 5].find((id) => !stores(third!).includes(id))!;
    await ask(cluster, "range-move", { rangeId: 3, from, to });
    expect(await refusal({ rangeId: 3, rightRangeId: 4 })).toContain("works on range 3");
  });
});

describe("merging by itself", () => {
  const settings = { mergeBytes: 1024 * 1024, mergeCooldownMs: 0 };
  const bounds = ["b", "d", "f", "h", "j", "l", "n", "p", "r", "t", "v"];
  const starts = async (cluster: TestCluster): Promise<string[]> => (await ranges(cluster)).map(({ start }) => start);
  const explained = async (cluster: TestCluster, id: number): Promise<string> => {
    const { lines } = (await ask(cluster, "range-explain", { rangeId: id })) as {
      lines: { rule: string; text: string }[];
    };
    return lines.find(({ rule }) => rule === "merge")!.text;
  };

  test("makes a dozen small ranges one, a few at a time, once nobody wants their bounds any more", async () => {
    const cluster = await TestCluster.start({ splitAt: bounds, settings });
    await cluster.runFor(15_000);
    expect(await starts(cluster)).toEqual(["", ...bounds]);
    expect(await explained(cluster, 3)).toContain(
      "range 3 begins where it was asked for: only flotilla range merge 2 3",
    );
    await ask(cluster, "setting-set", { name: "keptRanges", value: [] });
    await write(cluster, "a", "1", 1);
    await write(cluster, "x", "2", 1);
    let most = 0;
    const beganMs = cluster.world.nowMs;
    while (cluster.world.nowMs < beganMs + 60_000 && (await ranges(cluster)).length > 1) {
      const operators = (await ask(cluster, "operator-list")) as { kind: string }[];
      most = Math.max(most, operators.filter(({ kind }) => kind === "merge").length);
      await cluster.runFor(100);
    }
    expect(cluster.world.nowMs - beganMs).toBeLessThan(60_000);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThan(5);
    expect(await keysOf(cluster)).toEqual(["a", "x"]);
  });

  test("leaves alone what an administrator splits off, until he merges it", async () => {
    const cluster = await TestCluster.start({ settings });
    await cluster.runFor(3000);
    const kept = async (): Promise<unknown> =>
      ((await ask(cluster, "setting-get", { name: "keptRanges" })) as { value: unknown }).value;
    const split = (await ask(cluster, "range-split", { rangeId: left, at: ["g", "p"] })) as { operatorIds: number[] };
    expect(await ended(cluster, split.operatorIds[0]!)).toMatchObject({ state: "done" });
    const made = (await ranges(cluster)).slice(1).map((row) => row.rangeId);
    expect(await kept()).toEqual([...made].reverse());
    await cluster.runFor(10_000);
    expect(await starts(cluster)).toEqual(["", "g", "p"]);
    const merge = (await ask(cluster, "range-merge", { rangeId: left })) as { operatorIds: number[] };
    expect(await ended(cluster, merge.operatorIds[0]!)).toMatchObject({ state: "done" });
    expect(await kept()).toEqual([made[1]]);
    await expect(ask(cluster, "setting-set", { name: "keptRanges", value: ["p"] })).rejects.toThrow("InvalidArgument");
  });
});
