import { storeId } from "@flotilla/base";
import { describe, expect, it } from "vitest";
import { harness, logical, text } from "./support/harness.ts";
import type { Harness } from "./support/harness.ts";

const names = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${String(i).padStart(3, "0")}`);

async function filled(count: number, options: Parameters<typeof harness>[0] = {}): Promise<Harness> {
  const made = harness(options);
  await made.run(made.client.putMany(names(count).map((name) => [name, `value of ${name}`] as const)));
  return made;
}

describe("scan", () => {
  it("yields every record in order across ranges, keys and values decoded", async () => {
    const { client, cluster, run } = await filled(60);
    cluster.split("k010", "k011", "k030", "k055");
    for (const [i, at] of ["k010", "k011", "k030", "k055"].entries()) cluster.moveLeader(1 + (i % 3), at);
    const entries = await run(client.scan().toArray());
    expect(entries.map((entry) => text(entry.key))).toEqual(names(60));
    expect(text(entries[7]!.value)).toBe("value of k007");
    expect(entries[7]!.version).toBeGreaterThan(0);
  });

  it("E29 every record exactly once while ranges split, merge and move under it, in both directions", async () => {
    for (const reverse of [false, true]) {
      for (let seed = 1; seed <= 8; seed++) {
        const { client, cluster, run, world } = await filled(80, {});
        cluster.split("k020", "k040", "k060");
        const found: string[] = [];
        const scanAll = async (): Promise<void> => {
          for await (const entry of client.scan({ reverse })) {
            found.push(text(entry.key)!);
            if (found.length % 4 !== 0) continue;
            const at = `k${String((found.length * 7 * seed) % 80).padStart(3, "0")}`;
            if (found.length % 12 === 0) cluster.merge(at);
            else if (found.length % 8 === 0) cluster.moveLeader(1 + ((found.length / 8 + seed) % 3), at);
            else cluster.split(at);
            if (found.length % 20 === 0) cluster.network.break(`s${1 + (seed % 3)}:7400`);
            await new Promise<void>((resolve) => void world.after(5, resolve));
          }
        };
        await run(scanAll());
        expect(found).toEqual(reverse ? names(80).reverse() : names(80));
      }
    }
  });

  it("keeps to prefix, start, end, limit and direction", async () => {
    const { client, cluster, run } = await filled(40);
    cluster.split("k015", "k025");
    const keys = async (options: Parameters<typeof client.scan>[0]): Promise<string[]> =>
      (await run(client.scan(options).toArray())).map((entry) => text(entry.key)!);
    expect(await keys({ prefix: "k01" })).toEqual(names(40).slice(10, 20));
    expect(await keys({ start: "k012", end: "k027" })).toEqual(names(40).slice(12, 27));
    expect(await keys({ prefix: "k01", start: "k018", end: "k9" })).toEqual(["k018", "k019"]);
    expect(await keys({ limit: 17 })).toEqual(names(40).slice(0, 17));
    expect(await keys({ reverse: true, limit: 18 })).toEqual(names(40).reverse().slice(0, 18));
    expect(await keys({ reverse: true, start: "k012", end: "k016" })).toEqual(["k015", "k014", "k013", "k012"]);
    expect(await keys({ start: "x", end: "b" })).toEqual([]);
    expect(await keys({ prefix: "none" })).toEqual([]);
    const [first] = await run(client.scan({ keysOnly: true, limit: 1 }).toArray());
    expect(first!.value).toBeUndefined();
  });

  it("I8 keys come in the order of their bytes, which is not JavaScript's", async () => {
    const { client, cluster, run } = harness();
    const keys = ["\u{10000}", "\uffff", "\uff5e", "a\u0000", "a", "\u0000", "\u007f", "é"];
    await run(client.putMany(keys.map((key) => [key, "x"] as const)));
    await run(client.put(new Uint8Array([0xff, 0xff]), "x"));
    cluster.split("\xef\xbf\xbf", "\xf0");
    const sorted = [...keys.map((key) => Buffer.from(key)), Buffer.from([0xff, 0xff])]
      .sort(Buffer.compare)
      .map((key) => key.toString("hex"));
    expect(sorted).not.toEqual([...keys].sort().map((key) => Buffer.from(key).toString("hex")));
    const found = await run(client.scan().toArray());
    expect(found.map((entry) => Buffer.from(entry.key).toString("hex"))).toEqual(sorted);
    const reversed = await run(client.scan({ reverse: true }).toArray());
    expect(reversed.map((entry) => Buffer.from(entry.key).toString("hex"))).toEqual(sorted.reverse());
    for (const key of keys) expect(text(await run(client.get(key)))).toBe("x");
    expect(await run(client.scan({ prefix: new Uint8Array([0xff]) }).toArray())).toHaveLength(1);
  });

  it("frees the server's cursor when the loop is left", async () => {
    const { client, cluster, run, world } = await filled(200, { scanCreditBytes: 1_000 });
    const leave = async (): Promise<void> => {
      for await (const entry of client.scan()) if (text(entry.key) === "k005") return;
    };
    await run(leave());
    await world.pass(10);
    expect(cluster.cursors.size).toBe(0);
    const fail = async (): Promise<void> => {
      for await (const page of client.scan().pages()) if (page.length > 0) throw new Error("mine");
    };
    await expect(run(fail())).rejects.toThrow("mine");
    await world.pass(10);
    expect(cluster.cursors.size).toBe(0);
  });

  it("does nothing before somebody iterates", async () => {
    const { client, cluster, world } = harness();
    client.scan();
    client.scan().pages();
    await world.pass(1_000);
    expect(cluster.network.dials).toEqual([]);
  });

  it("a slow reader holds back the server by credit", async () => {
    const { client, cluster, run, world } = await filled(300, { scanCreditBytes: 1_000 });
    const iterator = client.scan()[Symbol.asyncIterator]();
    await run(iterator.next());
    await world.pass(10_000);
    const cursor = [...cluster.cursors][0]!;
    expect(cursor.at).toBeLessThan(40);
    const rest = async (): Promise<number> => {
      let count = 1;
      while ((await iterator.next()).done !== true) count++;
      return count;
    };
    expect(await run(rest())).toBe(300);
  });

  it("answers overlapping calls of next in order, and nothing after the end", async () => {
    const { client, run } = await filled(10);
    const iterator = client.scan()[Symbol.asyncIterator]();
    const results = await run(Promise.all(Array.from({ length: 12 }, () => iterator.next())));
    expect(results.map((result) => (result.done === true ? "end" : text(result.value.key)))).toEqual([
      ...names(10),
      "end",
      "end",
    ]);
    expect((await run(iterator.next())).done).toBe(true);
  });

  it("goes on elsewhere when a store is silent", async () => {
    const { client, cluster, run, world } = await filled(30, { scanCreditBytes: 300 });
    cluster.dropAnswer = (store, message) => {
      if (message.type !== "scan-page" || message.records.length === 0 || store.id !== 1) return false;
      if (message.records[0]!.key < logical("k009")) return false;
      store.silent = true;
      cluster.moveLeader(2);
      return true;
    };
    const before = world.nowMs;
    const entries = await run(client.scan().toArray());
    expect(entries.map((entry) => text(entry.key))).toEqual(names(30));
    expect(world.nowMs - before).toBeLessThan(4_000);
  });

  it("ends with Timeout when there is no progress for the call's time", async () => {
    const { client, cluster, failure, world } = await filled(5);
    for (const store of cluster.stores.values()) store.silent = true;
    const before = world.nowMs;
    expect((await failure(client.scan({ timeoutMs: 3_000 }).toArray())).code).toBe("NoQuorum");
    expect(world.nowMs - before).toBeLessThan(3_200);
  });

  it("refuses records outside the interval or out of order", async () => {
    const { client, cluster, failure } = await filled(5);
    const { send } = cluster;
    cluster.send = function (store, stream, message) {
      if (message.type === "scan-page") message = { ...message, records: [...message.records].reverse() };
      send.call(cluster, store, stream, message);
    };
    expect((await failure(client.scan().toArray())).code).toBe("Internal");
  });

  it("waits out a store that is busy", async () => {
    const { client, cluster, run } = await filled(5);
    let refusals = 0;
    cluster.interceptRange = () =>
      refusals++ < 3 ? { reason: "error", code: "Busy", message: "", retryAfterMs: 50 } : undefined;
    expect(await run(client.scan().toArray())).toHaveLength(5);
  });

  it("counts without sending records", async () => {
    const { client, cluster, run } = await filled(50);
    cluster.split("k020", "k040");
    expect(await run(client.count())).toBe(50);
    expect(await run(client.count({ prefix: "k02" }))).toBe(10);
    expect(await run(client.count({ start: "k010", end: "k045" }))).toBe(35);
    cluster.split("k005");
    cluster.moveLeader(2, "k007");
    expect(await run(client.count())).toBe(50);
  });

  it("opens the next range's cursor while this one's records are consumed", async () => {
    const { client, cluster, run, world } = await filled(20, { scanCreditBytes: 100_000 });
    cluster.split("k010");
    await run(client.count());
    const iterator = client.scan()[Symbol.asyncIterator]();
    await run(iterator.next());
    await world.pass(50);
    for (let i = 0; i < 9; i++) await run(iterator.next());
    const before = world.nowMs;
    expect(text((await run(iterator.next())).value!.key)).toBe("k010");
    expect(world.nowMs).toBe(before);
    await iterator.return!();
  });
});

describe("deleteRange", () => {
  it("deletes what a scan finds and counts it", async () => {
    const { client, cluster, run } = await filled(40, { bulkInFlightMax: 4 });
    cluster.split("k015");
    cluster.moveLeader(storeId(2), "k020");
    expect(await run(client.deleteRange({ prefix: "k01" }))).toEqual({ deleted: 10 });
    expect(await run(client.deleteRange({ start: "k000", end: "k005" }))).toEqual({ deleted: 5 });
    expect(await run(client.count())).toBe(25);
  });

  it("needs an interval, and says how far it came when it fails", async () => {
    const { client, cluster, failure } = await filled(10, { bulkInFlightMax: 1 });
    expect((await failure(client.deleteRange({}))).code).toBe("InvalidArgument");
    cluster.interceptCommand = (_store, command) =>
      command.key === logical("k004") ? { status: "refused", code: "Refused", message: "" } : undefined;
    const error = await failure(client.deleteRange({ prefix: "k" }));
    expect([error.code, error.details["deleted"]]).toEqual(["Refused", 4]);
  });
});
