/** What an administrator may not do: each is refused with its reason, and afterwards everything is as before. */
import { metaRangeId as meta } from "@flotilla/base";
import type { RangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import { expect, test } from "vitest";
import { ask, asked, quiet } from "./support/driver-requests.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";

interface RangeRow {
  readonly rangeId: number;
  readonly start: string;
  readonly end: string;
  readonly epoch: object;
  readonly replicas: readonly { readonly replicaId: number; readonly storeId: number; readonly role: string }[];
}

/** All that an order could change. */
async function everything(cluster: TestCluster): Promise<unknown> {
  const ranges = (await asked<RangeRow[]>(cluster, "range-list")).map(({ rangeId, start, end, epoch, replicas }) => ({
    rangeId,
    start,
    end,
    epoch,
    replicas: replicas.map(({ replicaId, storeId, role }) => [replicaId, storeId, role]),
  }));
  const stores = await asked<{ storeId: number; state: string }[]>(cluster, "store-list");
  return {
    ranges,
    stores: stores.map(({ storeId, state }) => [storeId, state]),
    operators: await asked(cluster, "operator-list", { all: true }),
    schedulers: await asked(cluster, "scheduler-list"),
    prefixes: await asked(cluster, "setting-get", { name: "colocatedPrefixes" }),
  };
}

const join = { storeKey: "5".repeat(32), address: "store-9:7400", httpAddress: "store-9:7480", labels: {} };

test("an order that cannot be meant, or not now, is refused with its reason, and changes nothing", async () => {
  const cluster = await TestCluster.start({ stores: 5, replicas: 3, splitAt: ["m"] });
  await cluster.runFor(2500);
  await quiet(cluster);
  await asked(cluster, "setting-set", { name: "colocatedPrefixes", value: ["user/"] });
  const rows = await asked<RangeRow[]>(cluster, "range-list");
  const [left, right] = rows.filter(({ rangeId }) => rangeId !== meta) as [RangeRow, RangeRow];
  expect([left.end, right.start]).toEqual(["m", "m"]);
  const inLeft = left.replicas.map(({ storeId }) => storeId);
  const metaStores = rows.find(({ rangeId }) => rangeId === meta)!.replicas.map(({ storeId }) => storeId);
  const outside = [1, 2, 3, 4, 5].filter((id) => !inLeft.includes(id)) as [number, number];
  // One of the two has no room, and the other is dead: not one that keeps the driver.
  const [dead, full] = metaStores.includes(outside[0]) ? [outside[1], outside[0]] : outside;
  cluster.store(full).disk.free = 1e6;
  cluster.store(dead).crash();
  await cluster.runFor(8000);
  const leader = (await cluster.leader(left.rangeId as RangeId)).number;
  const { rangeId } = left;
  const refusals: readonly [string, object, string, string][] = [
    ["range-split", { rangeId, at: ["m"] }, "InvalidArgument", "ends at m already"],
    ["range-split", { rangeId: right.rangeId, at: ["m"] }, "InvalidArgument", "begins at m already"],
    ["range-split", { rangeId, at: ["z"] }, "InvalidArgument", "z lies outside of the range"],
    ["range-split", { rangeId: right.rangeId, at: ["a"] }, "InvalidArgument", "a lies outside of the range"],
    ["range-split", { rangeId, at: ["b", "z"] }, "InvalidArgument", "z lies outside of the range"],
    [
      "range-split",
      { rangeId: right.rangeId, at: ["user/7"] },
      "InvalidArgument",
      "inside the co-located prefix user/",
    ],
    ["range-split", { rangeId, at: [] }, "InvalidArgument", "2 to 256 parts, not 1"],
    ["range-split", { rangeId, parts: 1 }, "InvalidArgument", "2 to 256 parts, not 1"],
    ["range-split", { rangeId, parts: 257 }, "InvalidArgument", "2 to 256 parts, not 257"],
    ["range-split", { rangeId, parts: 2, at: ["b"] }, "InvalidArgument", "one of them"],
    ["range-split", { rangeId: meta, parts: 2 }, "InvalidArgument", "the meta range never splits"],
    ["range-split", { rangeId: 99, parts: 2 }, "NotFound", "no range 99"],
    ["range-move", { rangeId, from: inLeft[0], to: inLeft[0] }, "InvalidArgument", "is where the replica is already"],
    [
      "range-move",
      { rangeId, from: inLeft[0], to: inLeft[1] },
      "Refused",
      `has a replica on store ${inLeft[1]} already`,
    ],
    ["range-move", { rangeId, from: full, to: dead }, "InvalidArgument", `no replica on store ${full}`],
    ["range-move", { rangeId, from: inLeft[0], to: dead }, "Refused", `store ${dead} is dead`],
    ["range-move", { rangeId, from: inLeft[0], to: full }, "Refused", `store ${full} has no room`],
    ["range-move", { rangeId: 99, from: inLeft[0], to: full }, "NotFound", "no range 99"],
    ["range-move", { rangeId, from: 99, to: full }, "NotFound", "no store 99"],
    ["range-move", { rangeId, from: inLeft[0], to: 99 }, "NotFound", "no store 99"],
    ["range-transfer-leader", { rangeId, to: leader }, "Refused", "leads range"],
    ["range-transfer-leader", { rangeId, to: full }, "InvalidArgument", `no replica on store ${full}`],
    ["range-scatter", { rangeId: 99 }, "NotFound", "no range 99"],
    ["range-explain", { rangeId: 99 }, "NotFound", "no range 99"],
    ["range-show", { rangeId: 99 }, "NotFound", "no range 99"],
    ["range-check", { rangeId: 99 }, "NotFound", "no range 99"],
    ["node-drain", { nodeId: 99 }, "NotFound", "no node 99"],
    ["node-decommission", { nodeId: 99 }, "NotFound", "no node 99"],
    ["node-recommission", { nodeId: 99 }, "NotFound", "no node 99"],
    ["store-show", { storeId: 99 }, "NotFound", "no store 99"],
    ["store-replace", { storeId: 99 }, "NotFound", "no store 99"],
    ["store-replace", { storeId: leader }, "Refused", "stop its node first"],
    ["operator-show", { operatorId: 99_999 }, "NotFound", "no operator 99999"],
    ["operator-cancel", { operatorId: 99_999 }, "NotFound", "no operator 99999"],
    ["scheduler-pause", { name: "all" }, "NotFound", "no scheduler"],
    ["setting-set", { name: "colocatedPrefixes", value: [""] }, "EmptyKey", "a key is empty"],
    ["setting-set", { name: "colocatedPrefixes", value: ["x".repeat(4097)] }, "KeyTooLarge", "4097"],
    ["setting-set", { name: "unheard", value: 1 }, "NotFound", "no setting"],
    ["store-join", { ...join, address: `store-${leader}:7400` }, "InUse", `store ${leader} is at`],
    ["store-join", { ...join, storeKey: "short" }, "InvalidArgument", "32 hex digits"],
  ];
  const before = await everything(cluster);
  for (const [name, argument, code, text] of refusals) {
    const { error } = await ask(cluster, name, argument);
    expect([name, argument, error?.code, error?.message]).toEqual([
      name,
      argument,
      code,
      expect.stringContaining(text),
    ]);
    // With a plan it is the same refusal, not a plan.
    const planned = await ask(cluster, name, { ...argument, plan: true });
    if (name !== "store-join") expect([name, argument, planned.error?.code]).toEqual([name, argument, code]);
  }
  await cluster.runFor(3000);
  expect(await everything(cluster)).toEqual(before);
});

test("while an operator works on a range, every other one for it is refused by its number", async () => {
  const cluster = await TestCluster.start({ stores: 4, replicas: 3 });
  await cluster.runFor(2500);
  await quiet(cluster);
  const row = (await asked<RangeRow[]>(cluster, "range-list")).find((range) => range.rangeId === firstRange)!;
  const stores = row.replicas.map(({ storeId }) => storeId);
  const to = [1, 2, 3, 4].find((id) => !stores.includes(id))!;
  const codec = createCodec(nodeByteOperations);
  // The new replica gets nothing, so that it stays under way.
  const leads = await cluster.leader(firstRange);
  cluster.network.intercept = (_from, _to, purpose, payload) => {
    if (purpose === "client") return payload;
    const kept = codec.decodePeer(payload).filter(({ type }) => type !== "snapshot-offer");
    return kept.length === 0 ? undefined : codec.encodePeer(kept);
  };
  const from = stores.find((id) => id !== leads.number)!;
  const { operatorIds } = await asked<{ operatorIds: [number] }>(cluster, "range-move", {
    rangeId: firstRange,
    from,
    to,
  });
  await cluster.runFor(1000);
  const works = `operator ${operatorIds[0]} works on range ${firstRange}`;
  const second: readonly [string, object][] = [
    ["range-move", { rangeId: firstRange, from, to }],
    ["range-split", { rangeId: firstRange, at: ["m"] }],
    ["range-transfer-leader", { rangeId: firstRange, to: from }],
  ];
  for (const [name, argument] of second) {
    const { error } = await ask(cluster, name, argument);
    expect([name, error?.code, error?.message]).toEqual([name, "Refused", expect.stringContaining(works)]);
  }
  const scattered = await ask(cluster, "range-scatter", { rangeId: firstRange });
  expect([scattered.error?.code, scattered.error?.message]).toEqual([
    "Refused",
    expect.stringContaining("works on it"),
  ]);
  expect(await asked<object[]>(cluster, "operator-list", { all: true })).toHaveLength(1);
});
