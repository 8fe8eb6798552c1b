/** What a store says of its replicas to whoever recovers ranges, in moments when they are not what they were or will be. */
import { rangeId, replicaId, storeId, userKey } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import type { Engine } from "@flotilla/storage";
import { expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import { StepSender } from "./support/step-sender.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestClusterOptions, TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

interface Row {
  readonly rangeId: number;
  readonly replicaId: number;
  readonly end: string;
  readonly appliedEnd: string;
  readonly lastEnd: string;
  readonly takesIn: readonly { readonly rangeId: number; readonly bounds: number }[];
  readonly epoch: { readonly bounds: number; readonly members: number };
  readonly lastTerm: number;
  readonly lastIndex: number;
  readonly whole: boolean;
  readonly loading: boolean;
}

async function surveyed(cluster: TestCluster, store: TestStore, lostStores: readonly number[]): Promise<Row> {
  const client = await cluster.connect(store);
  const { result, error } = await client.admin("unsafe-recovery-survey", { lostStores });
  if (error !== undefined) throw new Error(error.message);
  return (result as { replicas: Row[] }).replicas.find((row) => row.rangeId === firstRange)!;
}

/** Batches of that store's engine never end from some moment on: it is loading for ever. */
const stuck: { store: TestStore | undefined } = { store: undefined };

function startStuck(options: TestClusterOptions): Promise<TestCluster> {
  stuck.store = undefined;
  return TestCluster.start({
    ...options,
    settings: { flushBytes: 8 * 1024 },
    engine: { writeBufferBytes: 8 * 1024 },
    wrapEngine: (engine: Engine, store) =>
      wrapped(engine, "batch", () => {
        const batch = engine.batch();
        return wrapped(batch, "write", () => (stuck.store === store ? new Promise<void>(() => {}) : batch.write()));
      }),
  });
}

test("a store answers while it loads a range snapshot, whose end it has of the range, and goes on", async () => {
  const cluster = await startStuck({});
  const leader = await cluster.leader();
  const behind = cluster.others(leader).at(-1)!;
  const client = await cluster.connect(leader);
  for (const other of cluster.others(behind)) cluster.network.cut(behind.host, other.host);
  await cluster.fill(client, 20, 8000, { number: 1 });
  const truncated = (): number => leader.log!.group(firstRange)!.truncatedIndex;
  await cluster.world.until("the log begins behind it", () => truncated() > behind.log!.group(firstRange)!.lastIndex);
  stuck.store = behind;
  cluster.network.heal();
  await cluster.world.until("it is loading", () => behind.logged("installing a range snapshot").length === 1);
  await cluster.runFor(100);
  const lost = cluster.others(behind);
  for (const store of lost) store.crash();
  await cluster.runFor(2500);
  const row = await surveyed(
    cluster,
    behind,
    lost.map(({ number }) => number),
  );
  expect(row).toMatchObject({ whole: false, loading: true, lastTerm: leader.log!.group(firstRange)!.hardState.term });
  expect(row.lastIndex).toBeGreaterThanOrEqual(truncated());
  expect(behind.halted).toBeUndefined();
});

test("a store says what is in the making when a range snapshot is loaded for its first replica of the range", async () => {
  const cluster = await startStuck({ stores: 4, replicas: 3 });
  const planned: RangeDescriptor = cluster.plan.ranges.find((range) => range.rangeId === firstRange)!;
  const leader = await cluster.leader();
  const free = cluster.stores.find(({ number }) => planned.replicas.every((replica) => replica.storeId !== number))!;
  await cluster.fill(await cluster.connect(leader), 10, 2000, { number: 1 });
  expect(await surveyed(cluster, free, [99])).toBeUndefined();
  stuck.store = free;
  const added = { replicaId: replicaId(902), storeId: storeId(free.number), role: "learner" } as const;
  const step = { kind: "change-members", add: [added], remove: [] } as const;
  await new StepSender(cluster).run(leader, firstRange, planned.epoch, step);
  await cluster.world.until("its log group is there", () => free.log!.group(firstRange)?.replicaId === 902);
  await cluster.runFor(100);
  const row = await surveyed(cluster, free, [99]);
  expect(row).toMatchObject({ replicaId: 902, whole: false, loading: true, appliedEnd: planned.end });
  expect(row.lastIndex).toBeGreaterThanOrEqual(10);
  expect(free.halted).toBeUndefined();
});

test("a store that has a split in its log, and has not applied it, says so: it may make the right half yet", async () => {
  const cluster = await TestCluster.start();
  const steps = new StepSender(cluster);
  const leader = await cluster.leader();
  const behind = cluster.others(leader)[1]!;
  const client = await cluster.connect(leader);
  await client.write(client.batch(firstRange, [put(1, "a", "1")]));
  const planned = cluster.plan.ranges.find((range) => range.rangeId === firstRange)!;
  const splitIndex = leader.log!.reader(firstRange).lastIndex() + 1;
  // The split comes to it, and nothing that says that it is confirmed.
  steps.drops = (message, _from, to) =>
    to === behind.host &&
    message.type === "raft" &&
    message.rangeId === firstRange &&
    "commit" in message.message &&
    message.message.commit >= splitIndex;
  const replicas = planned.replicas.map(({ replicaId: id }) => ({ left: id, right: replicaId(id + 500) }));
  const parts = [{ key: userKey("m"), rangeId: rangeId(50), replicas }];
  const { state } = await steps.run(leader, firstRange, planned.epoch, { kind: "split", parts });
  expect(state).toBe("done");
  await cluster.world.until("it has it", () => behind.log!.reader(firstRange).lastIndex() >= splitIndex);
  for (const store of cluster.others(behind)) store.crash();
  await cluster.runFor(2500);
  const lost = cluster.others(behind).map(({ number }) => number);
  expect(await surveyed(cluster, behind, lost)).toMatchObject({ end: userKey("m"), appliedEnd: planned.end });
});

test("a store that has a merge in its log says how far the range reaches when that is applied, and goes on as far", async () => {
  const cluster = await TestCluster.start({ splitAt: ["m"] });
  const steps = new StepSender(cluster);
  const [, left, right] = cluster.plan.ranges as [RangeDescriptor, RangeDescriptor, RangeDescriptor];
  const replicas = right.replicas.map(({ replicaId: id, storeId: on }) => ({
    left: left.replicas.find((replica) => replica.storeId === on)!.replicaId,
    right: id,
  }));
  const leader = await cluster.leader(firstRange);
  const behind = cluster.others(leader)[1]!;
  const on = { leftRangeId: firstRange, leftBounds: 1 };
  const { rangeId: rightRangeId, epoch, end } = right;
  const { seal } = await steps.run(await cluster.leader(rangeId(3)), rangeId(3), epoch, {
    kind: "seal",
    ...on,
    replicas,
  });
  const mergeIndex = leader.log!.reader(firstRange).lastIndex() + 1;
  // The merge comes to it, and nothing that says that it is confirmed.
  steps.drops = (message, _from, to) =>
    to === behind.host &&
    message.type === "raft" &&
    message.rangeId === firstRange &&
    "commit" in message.message &&
    message.message.commit >= mergeIndex;
  const merge = {
    kind: "merge",
    rightRangeId: rangeId(rightRangeId),
    rightBounds: 1,
    end,
    seal: seal!,
    replicas,
  } as const;
  expect((await steps.run(leader, firstRange, left.epoch, merge)).state).toBe("done");
  await cluster.world.until("it has it", () => behind.log!.reader(firstRange).lastIndex() >= mergeIndex);
  for (const store of cluster.others(behind)) store.crash();
  await cluster.runFor(4000);
  const lostStores = cluster.others(behind).map(({ number }) => number);
  const row = await surveyed(cluster, behind, lostStores);
  expect(row).toMatchObject({ end: left.end, lastEnd: end, takesIn: [{ rangeId: rightRangeId, bounds: 1 }] });
  const { error } = await (
    await cluster.connect(behind)
  ).admin("unsafe-recovery-force", {
    ...{ rangeId: row.rangeId, replicaId: row.replicaId, lastTerm: row.lastTerm, lastIndex: row.lastIndex },
    ...{ newReplicaId: 9999, boundsFloor: 1, membersFloor: 1, provenBounds: 0, lostStores },
  });
  expect(error).toBeUndefined();
  expect(await surveyed(cluster, behind, lostStores)).toMatchObject({ replicaId: 9999, appliedEnd: end, lastEnd: end });
});
