/** Sleeping ranges on real stores in virtual time: who wakes whom (rule: sleep). */
import { describe, expect, it } from "vitest";
import { metaRangeId } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { PeerMessage } from "@flotilla/transport";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { isRefusal, put } from "./support/raw-client.ts";

const codec = createCodec(nodeByteOperations);
const ranges = 3;
/** Ten minutes in a long run; nothing counts further than what one of them shows. */
const silenceMs = process.env["FLOTILLA_TEST_LONG"] === "1" ? 600_000 : 60_000;

const sleepers = (store: TestStore): number => store.store.statistics().replicasAsleep;

/** Whoever leads the range as far as its members know, without asking any of them. */
const leads = (store: TestStore): boolean =>
  store.store.replicas().some(({ descriptor, serves }) => descriptor.rangeId === firstRange && serves);

async function untilAsleep(cluster: TestCluster, stores: readonly TestStore[] = cluster.stores): Promise<void> {
  await cluster.world.until("every range sleeps", () => stores.every((store) => sleepers(store) === ranges));
}

async function sleepingCluster(): Promise<{ cluster: TestCluster; leader: TestStore; followers: TestStore[] }> {
  const cluster = await TestCluster.start({ splitAt: ["h", "p"], settings: { sleepTicks: 8 } });
  await untilAsleep(cluster);
  const leader = cluster.stores.find(leads)!;
  return { cluster, leader, followers: cluster.others(leader) };
}

/** Raft messages of the first range from now on; those for which `lose` says true are lost. */
function watch(cluster: TestCluster, lose: (message: PeerMessage, from: string, to: string) => boolean): PeerMessage[] {
  const seen: PeerMessage[] = [];
  cluster.network.intercept = (from, to, purpose, payload) => {
    if (purpose === "client") return payload;
    const messages = codec.decodePeer(payload);
    for (const message of messages) if (message.type === "raft" && message.rangeId === firstRange) seen.push(message);
    const kept = messages.filter((message) => !lose(message, from, to));
    if (kept.length === messages.length) return payload;
    return kept.length === 0 ? undefined : codec.encodePeer(kept);
  };
  return seen;
}

const nothing = (): boolean => false;

describe("a sleeping range", () => {
  it("sends nothing and holds no election, on any store, for as long as nothing is asked of it", async () => {
    const { cluster } = await sleepingCluster();
    const elections = cluster.stores.map(({ store }) => store.statistics().elections);
    const seen = watch(cluster, nothing);
    await cluster.runFor(silenceMs);
    expect(seen).toEqual([]);
    expect(cluster.stores.map(({ store }) => store.statistics().elections)).toEqual(elections);
  });

  it("wakes for a write and a read of its leader, and sleeps again", async () => {
    const { cluster, leader } = await sleepingCluster();
    const client = await cluster.connect(leader);
    expect(await client.write(client.batch(firstRange, [put(1, "a", "1")]))).toMatchObject([{ status: "applied" }]);
    expect(sleepers(leader)).toBe(ranges - 1);
    await untilAsleep(cluster);
    const seen = watch(cluster, nothing);
    expect(isRefusal(await client.read(client.reads(firstRange, ["a"])))).toBe(false);
    // It asked a majority first: it had no lease.
    expect(
      seen.filter((each) => each.type === "raft" && each.message.type === "heartbeat-response").length,
    ).toBeGreaterThan(0);
    await untilAsleep(cluster);
  });

  it("C14 E21 is led again within two election timeouts of its leader's death, after minutes of silence", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    const client = await cluster.connect(leader);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    await untilAsleep(cluster);
    await cluster.runFor(silenceMs);
    leader.crash();
    // One second until a store counts as dead, then at most one timeout of 500 to 1000 ms, and the campaign.
    await cluster.runFor(2500);
    const next = followers.find(leads)!;
    expect(next).toBeDefined();
    const reader = await cluster.connect(next);
    expect(await reader.read(reader.reads(firstRange, ["a"]))).toMatchObject({ type: "read-results" });
    // With one store dead, the others sleep all the same.
    await untilAsleep(cluster, followers);
    await leader.start();
    await untilAsleep(cluster);
  });

  it("notices that its leader's store was started again, however short it was away", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    leader.crash();
    await leader.start();
    await cluster.runFor(3000);
    expect(cluster.stores.filter(leads)).toHaveLength(1);
    await untilAsleep(cluster);
    expect(followers.every((store) => store.store.statistics().rangesWithoutLeader === 0)).toBe(true);
  });

  it("H4 is led by another store when the log of its leader's store hangs", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    // Its heartbeats arrive, and say so.
    watch(cluster, nothing);
    const { intercept } = cluster.network;
    cluster.network.intercept = (from, to, purpose, payload) => {
      if (from !== leader.host || purpose !== "heartbeat") return intercept!(from, to, purpose, payload);
      const messages = codec.decodePeer(payload).filter(({ type }) => type !== "raft");
      if (messages.length === 0) return undefined;
      return codec.encodePeer(
        messages.map((each) => (each.type === "store-heartbeat" ? { ...each, logHangs: true } : each)),
      );
    };
    await cluster.world.until("another store leads", () => followers.some(leads));
  });

  it("wakes when a client asks a follower, because its leader may be unknown to the client or gone", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    const client = await cluster.connect(followers[0]!);
    const seen = watch(cluster, nothing);
    const answer = await client.read(client.reads(firstRange, ["a"]));
    expect(isRefusal(answer)).toBe(true);
    await cluster.runFor(50);
    expect(sleepers(leader)).toBe(ranges - 1);
    expect(seen.some((each) => each.type === "raft" && each.message.type === "heartbeat")).toBe(true);
  });

  it("knows what it woke of: what was to be done, a store that died, or one that was started again", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    const reason = (store: TestStore): string =>
      store.store.replicas().find(({ descriptor }) => descriptor.rangeId === firstRange)!.wokenBy;
    const client = await cluster.connect(leader);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    expect(cluster.stores.map(reason)).toEqual(["work", "work", "work"]);
    await untilAsleep(cluster);
    followers[0]!.crash();
    await followers[0]!.start();
    await cluster.world.until("the leader woke", () => reason(leader) !== "work");
    expect(reason(leader)).toBe("started");
    await untilAsleep(cluster);
    leader.crash();
    await cluster.world.until("another store leads", () => followers.some(leads));
    expect(followers.some((store) => reason(store) === "dead")).toBe(true);
  });

  it("E20 is not left half asleep when one follower does not hear that the leader rests", async () => {
    const cluster = await TestCluster.start({ splitAt: ["h", "p"], settings: { sleepTicks: 8 } });
    const deaf = cluster.stores.find((store) => !leads(store))!;
    let lost = 0;
    watch(cluster, (message, _, to) => {
      if (message.type !== "raft" || message.rangeId !== firstRange || to !== deaf.host || lost >= 2) return false;
      if (message.message.type !== "heartbeat" || !message.message.rests) return false;
      lost++;
      return true;
    });
    const elections = cluster.stores.map(({ store }) => store.statistics().elections);
    await cluster.world.until("the leader's word is lost", () => lost === 2);
    await untilAsleep(cluster);
    expect(cluster.stores.map(({ store }) => store.statistics().elections)).toEqual(elections);
  });

  it("wakes for an order of the placement driver, and sleeps again when it is done", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    const driver = await cluster.connect(await cluster.leader(metaRangeId));
    const order = { rangeId: firstRange, to: followers[0]!.number };
    const answer = await driver.admin("range-transfer-leader", order);
    expect(answer.error).toBeUndefined();
    await cluster.world.until("the other one leads", () => leads(followers[0]!) && !leads(leader));
    await untilAsleep(cluster);
  });

  it("wakes where it has a member on a store that comes back, and brings that level", async () => {
    const { cluster, leader, followers } = await sleepingCluster();
    const [away, stays] = followers;
    away!.crash();
    const client = await cluster.connect(leader);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    await untilAsleep(cluster, [leader, stays!]);
    await away!.start();
    const applied = (store: TestStore): number =>
      store.store.replicas().find(({ descriptor }) => descriptor.rangeId === firstRange)!.appliedIndex;
    await cluster.world.until("it has what was written", () => applied(away!) === applied(leader));
    await untilAsleep(cluster);
  });

  it("is in no report to the placement driver, which knows it all the same", async () => {
    const { cluster } = await sleepingCluster();
    // What is said of rates and sizes fades.
    await cluster.runFor(20_000);
    let reports = 0;
    const named = new Set<number>();
    cluster.network.intercept = (_from, _to, purpose, payload) => {
      if (purpose === "client") return payload;
      for (const message of codec.decodePeer(payload)) {
        if (message.type !== "store-report") continue;
        reports++;
        for (const { descriptor } of message.ranges) named.add(descriptor.rangeId);
        for (const rangeId of message.gone) named.add(rangeId);
      }
      return payload;
    };
    await cluster.runFor(60_000);
    expect(reports).toBeGreaterThan(200);
    expect([...named]).toEqual([]);
    const { result } = await (await cluster.connect(await cluster.leader(metaRangeId))).admin("range-list", {});
    expect((result as { leaderStoreId: number | null }[]).every((range) => range.leaderStoreId !== null)).toBe(true);
  });
});
