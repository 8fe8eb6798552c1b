/** A store whose event loop stands still for a while, as in a long garbage collection, and goes on. */
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const codec = createCodec(nodeByteOperations);

/** Of the settings that tests run with. */
const tickMs = 50;
const electionMsMin = 10 * tickMs;

const elections = (cluster: TestCluster): number =>
  cluster.stores.reduce((sum, { store }) => sum + store.statistics().elections, 0);
const termOn = (store: TestStore): number => store.log!.group(firstRange)!.hardState.term;

describe("a store that stood still", () => {
  test("I2 does not take the time that it missed for its leader's silence: it starts no election", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    await cluster.fill(client, 1, 100, { number: 1 });
    const before = elections(cluster);
    const term = termOn(leader);
    // One that leads nothing: nobody else has to lead meanwhile.
    const slow = cluster.stores.find(({ leads }) => leads === 0)!;
    for (const pauseMs of [1, 4, 10].map((timeouts) => timeouts * electionMsMin)) {
      slow.process.pause();
      await cluster.runFor(pauseMs);
      slow.process.resume();
      await cluster.runFor(4 * electionMsMin);
    }
    expect(elections(cluster)).toBe(before);
    expect(cluster.stores.map(termOn)).toEqual([term, term, term]);
    expect(await cluster.leader()).toBe(leader);
  });

  test("I2 makes up for no tick as a leader: one round of heartbeats follows, not one for each that it missed", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const [to] = cluster.others(leader);
    await cluster.runFor(1000);
    const before = elections(cluster);
    // Nobody's election timeout passes meanwhile.
    leader.process.pause();
    await cluster.runFor(electionMsMin - 3 * tickMs);
    let heartbeats = 0;
    cluster.network.intercept = (from, host, purpose, payload) => {
      if (from !== leader.host || host !== to!.host || purpose === "client") return payload;
      for (const message of codec.decodePeer(payload)) {
        if (message.type === "raft" && message.rangeId === firstRange && message.message.type === "heartbeat")
          heartbeats++;
      }
      return payload;
    };
    leader.process.resume();
    await cluster.runFor(tickMs - 5);
    expect(heartbeats).toBeLessThanOrEqual(1);
    await cluster.runFor(10 * tickMs);
    expect(heartbeats).toBeGreaterThanOrEqual(4);
    expect(heartbeats).toBeLessThanOrEqual(6);
    expect(elections(cluster)).toBe(before);
    const client = await cluster.connect(leader);
    expect(await client.write(client.batch(firstRange, [put(1, "a", "1")]))).toMatchObject([{ status: "applied" }]);
  });
});
