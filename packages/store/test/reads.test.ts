import { describe, expect, test } from "vitest";
import { ifVersion, isRefusal, put } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";

const isolate = (cluster: TestCluster, store: TestStore): void => {
  for (const other of cluster.others(store)) cluster.network.cut(store.host, other.host);
};

describe("linearizable reads", () => {
  for (const leasePercent of [80, 0]) {
    const how = leasePercent === 0 ? "by rounds" : "by its lease";
    test(`A10 a leader that is cut off and reads ${how} never answers what another one has overwritten`, async () => {
      const cluster = await TestCluster.start({ settings: { leasePercent } });
      const old = await cluster.leader();
      const client = await cluster.connect(old);
      const [first] = await client.write(client.batch(firstRange, [put(1, "a", "1")]));
      const oldVersion = (first as { version: number }).version;
      isolate(cluster, old);
      const others = cluster.others(old);
      const writers = [await cluster.connect(others[0]!), await cluster.connect(others[1]!)];
      let overwritten = Infinity;
      let number = 1;
      const pending: { atMs: number; batch: ReturnType<typeof client.reads> }[] = [];
      const writes: { writer: (typeof writers)[0]; batch: ReturnType<typeof client.batch> }[] = [];
      for (let ms = 0; ms < 2500; ms += 10) {
        const batch = client.reads(firstRange, ["a"]);
        pending.push({ atMs: cluster.world.nowMs, batch });
        client.send(batch);
        for (const writer of writers) {
          const write = writer.batch(firstRange, [put(++number, "a", "2", ifVersion(oldVersion))]);
          writes.push({ writer, batch: write });
          writer.send(write);
        }
        await cluster.runFor(10);
        const done = writes.some(({ writer, batch: write }) => {
          const [answer] = writer.answers(write, write.commands[0]!.number);
          return answer !== undefined && "status" in answer && answer.status === "applied";
        });
        if (done) overwritten = Math.min(overwritten, cluster.world.nowMs);
      }
      expect(overwritten).toBeLessThan(Infinity);
      let served = 0;
      for (const { atMs, batch } of pending) {
        const answer = client.readAnswer(batch);
        if (answer === undefined || isRefusal(answer)) continue;
        served++;
        // Asked before the other leader had written.
        expect(atMs).toBeLessThan(overwritten);
      }
      if (leasePercent > 0) expect(served).toBeGreaterThan(0);
    });
  }

  test("C6 a leader that was paused does not answer from its lease when it goes on", async () => {
    for (const pauseMs of [300, 600, 1500, 4000]) {
      const cluster = await TestCluster.start();
      const old = await cluster.leader();
      const client = await cluster.connect(old);
      const [first] = await client.write(client.batch(firstRange, [put(1, "a", "1")]));
      const oldVersion = (first as { version: number }).version;
      old.process.pause();
      const batch = client.reads(firstRange, ["a"]);
      await cluster.runFor(pauseMs - 50);
      // The paused one is asked only after the others may have written.
      let overwritten = false;
      for (const store of cluster.others(old)) {
        const writer = await cluster.connect(store);
        const write = writer.batch(firstRange, [put(1, "a", "2", ifVersion(oldVersion))]);
        writer.send(write);
        await cluster.runFor(20);
        const [answer] = writer.answers(write, 1);
        overwritten ||= answer !== undefined && "status" in answer && answer.status === "applied";
      }
      client.send(batch);
      await cluster.runFor(10);
      old.process.resume();
      await cluster.runFor(1500);
      const answer = client.readAnswer(batch);
      expect(answer).toBeDefined();
      if (overwritten) expect(isRefusal(answer!) || answer!.results[0]!.version > oldVersion).toBe(true);
      if (pauseMs === 4000) expect(overwritten).toBe(true);
    }
  });

  test("C1 a new leader answers nothing before its own first entry is applied", async () => {
    const cluster = await TestCluster.start();
    const old = await cluster.leader();
    const client = await cluster.connect(old);
    const [written] = await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    old.crash();
    // No append passes: somebody may be elected, but cannot commit.
    cluster.network.intercept = (_from, _to, purpose, payload) => (purpose === "append" ? undefined : payload);
    const readers = [];
    for (const store of cluster.others(old)) readers.push(await cluster.connect(store));
    const asked = readers.map(() => [] as ReturnType<typeof client.reads>[]);
    for (let i = 0; i < 60; i++) {
      readers.forEach((reader, r) => {
        const batch = reader.reads(firstRange, ["a"]);
        asked[r]!.push(batch);
        reader.send(batch);
      });
      await cluster.runFor(20);
    }
    const answers = readers.flatMap((reader, r) => asked[r]!.map((batch) => reader.readAnswer(batch)));
    expect(answers.filter((answer) => answer !== undefined && !isRefusal(answer))).toEqual([]);
    cluster.network.intercept = undefined;
    const next = await cluster.connect(await cluster.leader());
    const read = await next.read(next.reads(firstRange, ["a"]));
    expect(isRefusal(read) ? read : read.results[0]!.version).toBe((written as { version: number }).version);
  });

  test("C5 a read waits until what it must see is applied, also behind a slow log", async () => {
    const cluster = await TestCluster.start({ settings: { leasePercent: 0 } });
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    // The followers' disks are quick enough to commit it while the leader's own hangs: it is not applied here.
    leader.disk.stuck = true;
    const write = client.batch(firstRange, [put(2, "a", "2")]);
    client.send(write);
    await cluster.runFor(30);
    const batch = client.reads(firstRange, ["a"]);
    client.send(batch);
    await cluster.runFor(100);
    expect(client.readAnswer(batch)).toBeUndefined();
    leader.disk.release();
    await cluster.runFor(50);
    const answer = client.readAnswer(batch);
    const [applied] = client.answers(write, 2);
    expect(answer !== undefined && !isRefusal(answer) ? answer.results[0]!.version : answer).toBe(
      (applied as { version: number }).version,
    );
  });
});
