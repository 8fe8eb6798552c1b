import { noVersion } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { CommandBatch, PeerMessage } from "@flotilla/transport";
import { describe, expect, test } from "vitest";
import { ifVersion, isRefusal, put, remove } from "./support/raw-client.ts";
import type { Answer, RawConnection } from "./support/raw-client.ts";
import { TestCluster, firstRange } from "./support/test-cluster.ts";
import type { TestStore } from "./support/test-cluster.ts";
import { wrapped } from "./support/wrapped.ts";

const codec = createCodec(nodeByteOperations);
const statuses = (answers: readonly Answer[]): unknown[] =>
  answers.map((answer) => (isRefusal(answer) ? answer.reason : answer.status));
const versionOf = (answer: Answer | undefined): number => (answer as { version: number }).version;

/** Loses messages between stores for which it says so. */
function lose(cluster: TestCluster, lost: (message: PeerMessage, from: string, to: string) => boolean): void {
  cluster.network.intercept = (from, to, purpose, payload) => {
    if (purpose === "client") return payload;
    const kept = codec.decodePeer(payload).filter((message) => !lost(message, from, to));
    return kept.length === 0 ? undefined : codec.encodePeer(kept);
  };
}

const isolate = (cluster: TestCluster, store: TestStore): void => {
  for (const other of cluster.others(store)) cluster.network.cut(store.host, other.host);
};

describe("writes, reads and scans", () => {
  test("what was put is read and scanned by everybody, what was deleted by nobody", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    const answers = await client.write(
      client.batch(firstRange, [put(1, "a", "1"), put(2, "b", "2"), put(3, "c", "3")]),
    );
    expect(statuses(answers)).toEqual(["applied", "applied", "applied"]);
    const [deleted, nothing] = await client.write(
      client.batch(firstRange, [remove(4, "b"), remove(5, "zz")], { floor: 4 }),
    );
    expect(deleted).toMatchObject({ status: "applied", existed: true });
    expect(nothing).toMatchObject({ status: "applied", existed: false });
    const read = await client.read(client.reads(firstRange, ["a", "b", "c"]));
    expect(isRefusal(read) ? read : read.results).toMatchObject([
      { version: versionOf(answers[0]), value: Buffer.from("1") },
      { version: 0 },
      { version: versionOf(answers[2]), value: Buffer.from("3") },
    ]);
    await cluster.runFor(200);
    for (const store of cluster.stores) {
      const other = await cluster.connect(store);
      const scan = other.scan(firstRange, { consistency: "stale" });
      const back = other.scan(firstRange, { consistency: "stale", reverse: true, limit: 1 });
      other.send(scan, back);
      expect(await other.scanned(scan)).toEqual(["a", "c"]);
      expect(await other.scanned(back)).toEqual(["c"]);
    }
  });

  test("a scan gives every record once, in order, while memtables are flushed under it", async () => {
    const cluster = await TestCluster.start({
      stores: 1,
      settings: { flushBytes: 4096, scanPageBytes: 512 },
      engine: { writeBufferBytes: 4096 },
    });
    const client = await cluster.connect(cluster.store(1));
    const writer = await cluster.connect(cluster.store(1));
    const name = (i: number): string => `k${String(i).padStart(3, "0")}`;
    let number = 0;
    for (let i = 0; i < 120; i += 2)
      await writer.write(writer.batch(firstRange, [put(++number, name(i), "x".repeat(100))], { floor: number }));
    const expected = Array.from({ length: 60 }, (_, i) => name(2 * i));
    for (const reverse of [false, true]) {
      const scans = [];
      for (let round = 0; round < 12; round++) {
        const scan = client.scan(firstRange, { creditBytes: 600, reverse });
        client.send(scan);
        scans.push(scan);
        // Overwritten, and others added and taken away again, while the scans are on their way.
        const batch = [
          put(++number, name(2 * ((round * 7) % 60)), "y".repeat(150)),
          put(++number, "zz", "z".repeat(300)),
          remove(++number, "zz"),
        ];
        await writer.write(writer.batch(firstRange, batch, { floor: number - 2 }));
        for (const open of scans) client.send({ type: "scan-credit", scanId: open.scanId, creditBytes: 700 });
      }
      for (const open of scans) client.send({ type: "scan-credit", scanId: open.scanId, creditBytes: 1_000_000 });
      for (const scan of scans) expect(await client.scanned(scan)).toEqual(reverse ? expected.toReversed() : expected);
    }
    expect(cluster.store(1).store.statistics().flushes).toBeGreaterThan(3);
  });

  test("limits, keys alone and counts agree with what a whole scan gives", async () => {
    const cluster = await TestCluster.start({ stores: 1, settings: { flushBytes: 2048 } });
    const client = await cluster.connect(cluster.store(1));
    await cluster.fill(client, 30, 200, { number: 1 });
    const scans = [
      client.scan(firstRange, { limit: 7 }),
      client.scan(firstRange, { keysOnly: true }),
      client.scan(firstRange, { countOnly: true }),
      client.scan(firstRange, { start: "\x01fill-00010" as Key, end: "\x01fill-00013" as Key }),
    ] as const;
    client.send(...scans);
    expect(await client.scanned(scans[0])).toHaveLength(7);
    expect(await client.scanned(scans[1])).toHaveLength(30);
    expect(client.pages(scans[1]).every(({ records }) => records.every(({ value }) => value.length === 0))).toBe(true);
    expect(await client.scanned(scans[2])).toEqual([]);
    expect(client.pages(scans[2]).at(-1)!.count).toBe(30);
    expect(await client.scanned(scans[3])).toEqual(["fill-00010", "fill-00011", "fill-00012"]);
  });

  test("closed streams and cancelled scans free what they held, also while a page is read", async () => {
    const open = { views: 0, iterators: 0 };
    const cluster = await TestCluster.start({
      stores: 1,
      settings: { flushBytes: 1000 },
      wrapEngine: (engine, store) =>
        wrapped(
          wrapped(engine, "readView", () => {
            const view = engine.readView();
            open.views++;
            // Closed behind its iterator.
            return Object.assign(view, { close: wrappedClose(view, () => open.views--) });
          }),
          "iterate",
          (options: Parameters<typeof engine.iterate>[0]) => {
            const iterator = engine.iterate(options);
            if (options.view === undefined) return iterator;
            open.iterators++;
            const slow = wrapped(iterator, "next", async () => {
              await store.disk.wait(50);
              return iterator.next(1, 1);
            });
            return wrapped(slow, "close", async () => {
              open.iterators--;
              await iterator.close();
            });
          },
        ),
    });
    const only = cluster.store(1);
    const client = await cluster.connect(only);
    await cluster.fill(client, 30, 100, { number: 1 });
    const leaving = await cluster.connect(only);
    const scans = Array.from({ length: 6 }, () => client.scan(firstRange));
    client.send(...scans);
    leaving.send(leaving.scan(firstRange), leaving.scan(firstRange, { creditBytes: 1 }));
    await cluster.runFor(120);
    expect(only.halted).toBeUndefined();
    expect(open).toEqual({ views: 8, iterators: 8 });
    leaving.stream!.close();
    for (const scan of scans) client.send({ type: "scan-cancel", scanId: scan.scanId });
    await cluster.runFor(200);
    expect(open).toEqual({ views: 0, iterators: 0 });
    expect(only.halted).toBeUndefined();
  });
});

function wrappedClose(view: { close(): Promise<void> }, onClose: () => void): () => Promise<void> {
  const close = view.close.bind(view);
  return () => {
    onClose();
    return close();
  };
}

describe("routing", () => {
  test("a store that does not lead says who does, one without the range says so", async () => {
    const cluster = await TestCluster.start({ stores: 4, replicas: 3, splitAt: ["m"] });
    const leader = await cluster.leader();
    for (const store of cluster.others(leader)) {
      const client = await cluster.connect(store);
      const [answer] = await client.write(client.batch(firstRange, [put(1, "a", "1")]));
      const has = cluster.plan.ranges[1]!.replicas.some(({ storeId }) => storeId === store.number);
      const ranges = has ? [{ leader: leader.number }] : [];
      expect(answer).toMatchObject({ reason: "not-leader", ranges });
      expect(await client.read(client.reads(firstRange, ["a"]))).toMatchObject({ reason: "not-leader", ranges });
      const scan = client.scan(firstRange);
      client.send(scan);
      await cluster.runFor(5);
      expect(client.refusal("scan", scan.scanId)).toMatchObject({ reason: "not-leader", ranges });
    }
  });

  test("other bounds than the range's are refused with the range as it is, keys outside of it always", async () => {
    const cluster = await TestCluster.start({ stores: 1, splitAt: ["m"] });
    const client = await cluster.connect(cluster.store(1));
    const own: unknown = expect.objectContaining({
      descriptor: expect.objectContaining({ rangeId: firstRange, epoch: { bounds: 1, members: 1 } }),
    });
    // Ranges to the right of it, which this store has, too, come behind its own.
    const current: unknown = expect.arrayContaining([own]);
    const [write] = await client.write(client.batch(firstRange, [put(1, "a", "1")], { bounds: 2 }));
    expect(write).toMatchObject({ reason: "epoch-mismatch", ranges: current });
    const read = await client.read(client.reads(firstRange, ["a"], { bounds: 2 }));
    expect(read).toMatchObject({ reason: "epoch-mismatch", ranges: current });
    expect(await client.read(client.reads(firstRange, ["z"]))).toMatchObject({ reason: "epoch-mismatch" });
    const [outside] = await client.write(client.batch(firstRange, [put(2, "z", "1")]));
    expect(outside).toMatchObject({ status: "refused" });
  });

  test("without a majority a range answers that, and names the stores that are gone", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    for (const other of cluster.others(leader)) other.crash();
    await cluster.runFor(5000);
    const client = await cluster.connect(leader);
    const [answer] = await client.write(client.batch(firstRange, [put(1, "a", "1")]));
    expect(answer).toMatchObject({ reason: "not-leader", code: "NoQuorum" });
    expect((answer as { message: string }).message).toContain("do not answer");
  });
});

describe("every command has exactly one answer", () => {
  const everyNumberOnce = (client: RawConnection, batch: CommandBatch): void => {
    for (const { number } of batch.commands)
      expect([number, client.answers(batch, number).length]).toEqual([number, 1]);
  };

  test("also when a batch goes over several entries, and some of its commands are refused", async () => {
    const cluster = await TestCluster.start({ splitAt: ["m"] });
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    const commands = Array.from({ length: 40 }, (_, i) =>
      put(i + 1, `${i % 10 === 3 ? "z" : "a"}${i}`, "x".repeat(10_000)),
    );
    const before = leader.store.statistics().entriesProposed;
    const batch = client.batch(firstRange, commands);
    const answers = await client.write(batch);
    await cluster.runFor(500);
    expect(leader.store.statistics().entriesProposed - before).toBeGreaterThan(3);
    expect(statuses(answers).filter((status) => status === "applied")).toHaveLength(36);
    everyNumberOnce(client, batch);
  });

  test("also when its leader is deposed between the entries, or before any of them is committed", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    isolate(cluster, leader);
    const batches = [0, 1, 2].map((b) =>
      client.batch(
        firstRange,
        Array.from({ length: 30 }, (_, i) => put(1 + 30 * b + i, `a${i}`, "x".repeat(9000))),
      ),
    );
    for (const batch of batches) {
      client.send(batch);
      await cluster.runFor(30);
    }
    await cluster.runFor(3000);
    for (const batch of batches) {
      everyNumberOnce(client, batch);
      const answers = batch.commands.map(({ number }) => client.answers(batch, number)[0]!);
      expect(new Set(statuses(answers))).toEqual(new Set(["unknown"]));
    }
    const late = client.batch(firstRange, [put(200, "a", "1")]);
    expect(statuses(await client.write(late))).toEqual(["not-leader"]);
    cluster.network.heal();
    await cluster.runFor(3000);
    for (const batch of [...batches, late]) everyNumberOnce(client, batch);
  });

  test("H9 also when more comes than Raft takes", async () => {
    const cluster = await TestCluster.start({ settings: { uncommittedBytesMax: 100_000, entryTargetBytes: 20_000 } });
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    lose(cluster, (message) => message.type === "raft" && message.message.type === "append");
    const batches = Array.from({ length: 10 }, (_, b) =>
      client.batch(
        firstRange,
        Array.from({ length: 4 }, (_value, i) => put(1 + 4 * b + i, `a${i}`, "x".repeat(9000))),
      ),
    );
    client.send(...batches);
    await cluster.runFor(10);
    const busy = batches.flatMap((batch) => batch.commands.flatMap(({ number }) => client.answers(batch, number)));
    expect(busy.length).toBeGreaterThan(20);
    expect(busy.every((answer) => ("code" in answer ? answer.code : undefined) === "Busy")).toBe(true);
    expect(leader.store.statistics().pendingCommands).toBeLessThan(16);
    cluster.network.heal();
    await cluster.runFor(6000);
    for (const batch of batches) everyNumberOnce(client, batch);
  });

  test("H9 when the memtables are over their bound writes are Busy, followers take no more, and both recover", async () => {
    const stuck = { on: true };
    const cluster = await TestCluster.start({
      settings: { flushBytes: 10_000, memtableBytesMax: 60_000 },
      wrapEngine: (engine, store) =>
        wrapped(engine, "batch", () => {
          const batch = engine.batch();
          return wrapped(batch, "write", async () => {
            while (stuck.on && store.api !== undefined) await store.disk.wait(100);
            await batch.write();
          });
        }),
    });
    const leader = await cluster.leader();
    const client = await cluster.connect(leader);
    let number = 0;
    const next = async (): Promise<Answer> =>
      (
        await client.write(client.batch(firstRange, [put(++number, `k${number}`, "x".repeat(5000))], { floor: number }))
      )[0]!;
    let answer = await next();
    for (let i = 0; i < 30 && !isRefusal(answer); i++) answer = await next();
    expect(answer).toMatchObject({ reason: "error", code: "Busy" });
    expect(number).toBeGreaterThan(8);
    for (const store of cluster.stores) expect(store.store.statistics().memtableBytes).toBeLessThan(80_000);
    stuck.on = false;
    await cluster.runFor(1000);
    expect(statuses([await next()])).toEqual(["applied"]);
  });

  test("H6 a follower whose disk stands still for 10 s catches up by itself, and nobody waited for it", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const slow = cluster.others(leader)[0]!;
    const client = await cluster.connect(leader);
    await cluster.fill(client, 20, 1000, { number: 1 });
    slow.disk.stuck = true;
    slow.disk.stuckWrites = true;
    const beganMs = cluster.world.nowMs;
    for (let number = 21; cluster.world.nowMs - beganMs < 10_000; number += 10) {
      const startedMs = cluster.world.nowMs;
      await cluster.fill(client, 10, 1000, { number });
      expect(cluster.world.nowMs - startedMs).toBeLessThan(200);
      await cluster.runFor(200);
    }
    expect(await cluster.leader()).toBe(leader);
    const { lastIndex } = leader.log!.group(firstRange)!;
    expect(slow.log!.group(firstRange)!.lastIndex).toBeLessThan(lastIndex);
    slow.disk.release();
    await cluster.world.until("it is level", () => slow.log!.group(firstRange)!.lastIndex >= lastIndex, 5_000);
    expect(slow.halted).toBeUndefined();
    expect(await cluster.leader()).toBe(leader);
  });

  test("H9 a follower whose engine hangs takes no more than its bound, and catches up later", async () => {
    const stuck: { store: TestStore | undefined } = { store: undefined };
    const cluster = await TestCluster.start({
      settings: { flushBytes: 10_000, memtableBytesMax: 60_000 },
      wrapEngine: (engine, store) =>
        wrapped(engine, "batch", () => {
          const batch = engine.batch();
          return wrapped(batch, "write", async () => {
            while (stuck.store === store) await store.disk.wait(100);
            await batch.write();
          });
        }),
    });
    const leader = await cluster.leader();
    const slow = cluster.others(leader)[0]!;
    stuck.store = slow;
    const client = await cluster.connect(leader);
    await cluster.fill(client, 60, 5000, { number: 1 });
    await cluster.runFor(1000);
    expect(slow.store.statistics().memtableBytes).toBeLessThan(100_000);
    stuck.store = undefined;
    await cluster.world.until(
      "it is level",
      () => slow.log!.group(firstRange)!.lastIndex === leader.log!.group(firstRange)!.lastIndex,
    );
    expect(slow.halted).toBeUndefined();
  });
});

describe("apply once", () => {
  test("H1 a command whose answer was lost is applied once, whoever leads when it comes again", async () => {
    const cluster = await TestCluster.start();
    const first = await cluster.leader();
    let client = await cluster.connect(first, { clientId: 5 });
    let version = 0;
    for (let round = 1; round <= 6; round++) {
      const condition = version === 0 ? ({ condition: "if-absent" } as const) : ifVersion(version);
      const commands = [put(round, "counter", `${round}`, condition)];
      const leader = await cluster.leader();
      client = await cluster.connect(leader, { clientId: 5 });
      client.send(client.batch(firstRange, commands, { floor: round }));
      // The answer is lost with the stream; every other time the leader goes, too, before or after it has committed.
      await cluster.runFor([0.5, 1, 1.5, 2.5, 4, 20][round - 1]!);
      client.stream!.close();
      if (round % 2 === 0) {
        isolate(cluster, leader);
        await cluster.runFor(3000);
        cluster.network.heal();
      }
      for (;;) {
        const again = await cluster.connect(await cluster.leader(), { clientId: 5 });
        const [answer] = await again.write(again.batch(firstRange, commands, { floor: round }));
        if (isRefusal(answer) || !("status" in answer!) || answer.status === "unknown") continue;
        expect(answer.status).toBe("applied");
        version = answer.version;
        const twice = await again.write(again.batch(firstRange, commands, { floor: round }));
        expect(twice[0]).toMatchObject({ status: "applied", version });
        break;
      }
    }
    const reader = await cluster.connect(await cluster.leader());
    const read = await reader.read(reader.reads(firstRange, ["counter"]));
    expect(isRefusal(read) ? read : read.results[0]).toMatchObject({ version, value: Buffer.from("6") });
  });

  test("H1 a failed condition stays failed when it is asked again, whatever the key holds by then", async () => {
    const cluster = await TestCluster.start();
    const client = await cluster.connect(await cluster.leader());
    const losing = put(2, "a", "b", { condition: "if-absent" });
    await client.write(client.batch(firstRange, [put(1, "a", "a")]));
    const [failed] = await client.write(client.batch(firstRange, [losing]));
    expect(failed).toMatchObject({ status: "condition-failed" });
    await client.write(client.batch(firstRange, [remove(3, "a")]));
    const [again] = await client.write(client.batch(firstRange, [losing]));
    expect(again).toMatchObject({ status: "condition-failed", version: versionOf(failed) });
  });

  test("of commands that race for one condition exactly one is applied", async () => {
    const cluster = await TestCluster.start();
    const leader = await cluster.leader();
    const racers: RawConnection[] = [];
    for (let i = 0; i < 8; i++) racers.push(await cluster.connect(leader));
    let winner = 0;
    for (let round = 1; round <= 10; round++) {
      const condition = winner === 0 ? ({ condition: "if-absent" } as const) : ifVersion(winner);
      const batches = racers.map((racer) =>
        racer.batch(firstRange, [put(round, "lock", `${round}`, condition)], { floor: round }),
      );
      racers.forEach((racer, i) => racer.send(batches[i]!));
      const answers = [];
      for (const [i, racer] of racers.entries()) answers.push((await racer.outcome(batches[i]!))[0]!);
      const applied = answers.filter((answer) => "status" in answer && answer.status === "applied");
      expect(applied).toHaveLength(1);
      winner = versionOf(applied[0]);
      for (const answer of answers) expect(versionOf(answer)).toBe(winner);
    }
  });

  test("commands below their client's floor are refused, and versions only rise, also under a wrong clock", async () => {
    const cluster = await TestCluster.start();
    const client = await cluster.connect(await cluster.leader());
    const [first] = await client.write(client.batch(firstRange, [put(5, "a", "1")], { floor: 5 }));
    const [below] = await client.write(client.batch(firstRange, [put(4, "a", "2")], { floor: 1 }));
    expect(below).toMatchObject({ status: "refused", code: "Refused" });
    const seen = versionOf(first) + 5000 * 4096;
    const [second] = await client.write(
      client.batch(firstRange, [put(6, "a", "2")], { floor: 5, seen: seen as never }),
    );
    expect(versionOf(second)).toBeGreaterThan(seen);
    const [third] = await client.write(client.batch(firstRange, [put(7, "a", "2")], { floor: 5, seen: noVersion }));
    expect(versionOf(third)).toBeGreaterThan(versionOf(second));
    const far = versionOf(third) + 60_000 * 4096;
    const [refused] = await client.write(
      client.batch(firstRange, [put(8, "a", "2")], { floor: 5, seen: far as never }),
    );
    expect(refused).toMatchObject({ code: "Refused" });
  });
});

describe("a restart", () => {
  test("replays exactly what is not in the engine: nothing twice, nothing lost, the applied index never back", async () => {
    const cluster = await TestCluster.start({
      stores: 1,
      settings: { flushBytes: 3000 },
      engine: { writeBufferBytes: 6000 },
    });
    const only = cluster.store(1);
    let version = 0;
    let number = 0;
    for (let round = 0; round < 8; round++) {
      const client = await cluster.connect(only, { clientId: 9 });
      for (let i = 0; i < 7; i++) {
        const condition = version === 0 ? ({ condition: "if-absent" } as const) : ifVersion(version);
        const padding = "x".repeat(400);
        const [answer] = await client.write(
          client.batch(firstRange, [put(++number, "counter", `${number} ${padding}`, condition)], { floor: number }),
        );
        expect(answer).toMatchObject({ status: "applied" });
        version = versionOf(answer);
      }
      await cluster.runFor(round * 3);
      only.crash(round % 4);
      await only.start();
      await cluster.world.until("it leads again", () => only.store.ready);
      const again = await cluster.connect(only, { clientId: 9 });
      const read = await again.read(again.reads(firstRange, ["counter"]));
      expect(isRefusal(read) ? read : read.results[0]!.version).toBe(version);
      // The last one once more: it is known.
      const [repeated] = await again.write(
        again.batch(firstRange, [put(number, "counter", "never", { condition: "if-absent" })], { floor: number }),
      );
      expect(repeated).toMatchObject({ status: "applied", version });
    }
    expect(only.halted).toBeUndefined();
  });
});
