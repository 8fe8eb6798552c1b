/** One range or one part of a store has more to do than it can: the others must not notice. */
import type { RangeId } from "@flotilla/base";
import { rangeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import type { RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const electionMsMin = 500;
/** Ranges 3 to 12 begin at these. */
const splitAt: readonly string[] = Array.from({ length: 10 }, (_, i) => `s${i}`);
const quiet: readonly RangeId[] = splitAt.map((_, i) => rangeId(3 + i));

const elections = (cluster: TestCluster): number =>
  cluster.stores.reduce((sum, { store }) => sum + store.statistics().elections, 0);
const terms = (cluster: TestCluster): number[] =>
  [firstRange, ...quiet].flatMap((id) => cluster.stores.map(({ log }) => log!.group(id)!.hardState.term));

/** One put in each of the quiet ranges, through whoever leads it: the longest time that one took. */
async function slowestPutMs(cluster: TestCluster, clients: ReadonlyMap<RangeId, RawConnection>, number: number) {
  let slowestMs = 0;
  for (const [id, client] of clients) {
    const startedMs = cluster.world.nowMs;
    const batch = client.batch(id, [put(number, `${splitAt[id - 3]!}-key`, "value")], { floor: number });
    expect(await client.write(batch)).toMatchObject([{ status: "applied" }]);
    slowestMs = Math.max(slowestMs, cluster.world.nowMs - startedMs);
  }
  return slowestMs;
}

async function connectQuiet(cluster: TestCluster): Promise<Map<RangeId, RawConnection>> {
  const clients = new Map<RangeId, RawConnection>();
  for (const id of quiet) clients.set(id, await cluster.connect(await cluster.leader(id)));
  return clients;
}

/** Whether a store takes appends of another one. */
function setAppendsRead(cluster: TestCluster, store: TestStore, from: TestStore, reading: boolean): void {
  for (const stream of cluster.network.streams) {
    if (stream.host !== store.host || stream.peer.host !== from.host || stream.purpose !== "append") continue;
    if (reading) stream.resume();
    else stream.reading = false;
  }
}

describe("one busy range", () => {
  test("E26 whose appends a store does not take holds up no heartbeat: no range elects, and the others take puts", async () => {
    const cluster = await TestCluster.start({ splitAt, settings: { peerUnconfirmedBytesMax: 64 * 1024 } });
    const leader = await cluster.leader();
    const clients = await connectQuiet(cluster);
    const hot = await cluster.connect(leader);
    await cluster.fill(hot, 1, 100, { number: 1 });
    const slow = cluster.others(leader)[0]!;
    const before = { elections: elections(cluster), terms: terms(cluster) };
    setAppendsRead(cluster, slow, leader, false);
    const beganMs = cluster.world.nowMs;
    for (let number = 2; cluster.world.nowMs - beganMs < 4 * electionMsMin; number++) {
      await cluster.fill(hot, 1, 16_000, { number });
      expect(await slowestPutMs(cluster, clients, number)).toBeLessThan(50);
      await cluster.runFor(100);
      // It knows the leader of each range: none of its replicas asks for votes.
      expect(slow.store.ready).toBe(true);
    }
    const { lastIndex } = leader.log!.group(firstRange)!;
    expect(slow.log!.group(firstRange)!.lastIndex).toBeLessThan(lastIndex);
    expect({ elections: elections(cluster), terms: terms(cluster) }).toEqual(before);
    setAppendsRead(cluster, slow, leader, true);
    await cluster.world.until("it is level", () => slow.log!.group(firstRange)!.lastIndex >= lastIndex, 10_000);
    expect({ elections: elections(cluster), terms: terms(cluster) }).toEqual(before);
  });

  test("E26 of which a large range snapshot is under way holds up no heartbeat: no range elects", async () => {
    const cluster = await TestCluster.start({
      splitAt,
      settings: { flushBytes: 8 * 1024, snapshotBytesPerSecond: 64 * 1024 },
      engine: { writeBufferBytes: 8 * 1024 },
    });
    const leader = await cluster.leader();
    const behind = cluster.others(leader).at(-1)!;
    const hot = await cluster.connect(leader);
    await cluster.fill(hot, 1, 100, { number: 1 });
    for (const other of cluster.others(behind)) cluster.network.cut(behind.host, other.host);
    await cluster.fill(hot, 40, 8000, { number: 2 });
    await cluster.world.until(
      "the log begins behind the follower",
      () => leader.log!.group(firstRange)!.truncatedIndex > behind.log!.group(firstRange)!.lastIndex,
    );
    cluster.network.heal();
    await cluster.world.until("it is sent", () => leader.store.statistics().status.snapshotsSending === 1);
    const clients = await connectQuiet(cluster);
    const before = { elections: elections(cluster), terms: terms(cluster) };
    const beganMs = cluster.world.nowMs;
    let number = 0;
    while (behind.store.statistics().snapshotsInstalled === 0) {
      expect(await slowestPutMs(cluster, clients, ++number)).toBeLessThan(50);
      await cluster.runFor(200);
    }
    expect(cluster.world.nowMs - beganMs).toBeGreaterThan(6 * electionMsMin);
    expect({ elections: elections(cluster), terms: terms(cluster) }).toEqual(before);
  });
});

test("I5 an engine that hangs, with reads and writes, holds up neither the log nor a leadership", async () => {
  const hanging: { store: TestStore | undefined } = { store: undefined };
  const cluster = await TestCluster.start({
    settings: { flushBytes: 10_000 },
    wrapEngine: (engine, store) => {
      const unstuck = async (): Promise<void> => {
        while (hanging.store === store) await store.disk.wait(100);
      };
      const batches = wrapped(engine, "batch", () => {
        const batch = engine.batch();
        return wrapped(batch, "write", async () => {
          await unstuck();
          await batch.write();
        });
      });
      return wrapped(batches, "getMany", async (keys: readonly Uint8Array[]) => {
        await unstuck();
        return engine.getMany(keys);
      });
    },
  });
  const leader = await cluster.leader();
  const client = await cluster.connect(leader);
  await cluster.fill(client, 5, 1000, { number: 1 });
  const before = elections(cluster);
  hanging.store = leader;
  for (let number = 6; number < 86; number++) {
    const startedMs = cluster.world.nowMs;
    await cluster.fill(client, 1, 1000, { number });
    expect(cluster.world.nowMs - startedMs).toBeLessThan(50);
    await cluster.runFor(50);
  }
  expect(elections(cluster)).toBe(before);
  expect(await cluster.leader()).toBe(leader);
  hanging.store = undefined;
  await cluster.runFor(1000);
  await cluster.fill(client, 5, 1000, { number: 86 });
  expect(leader.halted).toBeUndefined();
});
