/** What every engine promises about batches, views and its end. */
import { assert } from "@flotilla/base";
import type { Engine } from "../engine.ts";
import { bytes, drain, expectEqual, expectRejection, scan, text, write } from "./expectations.ts";
import type { EngineCase } from "./reading-cases.ts";

export const writingCases: readonly EngineCase[] = [
  {
    name: "puts, overwrites and deletes are seen once their batch is written",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", "2"]);
      await write(engine, ["a", "11"], ["b", undefined], ["c", "3"], ["never there", undefined]);
      expectEqual(text(engine.getNow(bytes("a"))), "11", "overwritten");
      expectEqual(engine.getNow(bytes("b")), undefined, "deleted");
      expectEqual(await scan(engine), ["a=11", "c=3"], "all");
      await write(engine, ["b", "22"]);
      expectEqual(await scan(engine), ["a=11", "b=22", "c=3"], "put again");
    },
  },
  {
    name: "the last operation on a key wins inside a batch",
    async check(engine) {
      await write(engine, ["a", "1"], ["a", "2"], ["b", "1"], ["b", undefined], ["c", undefined], ["c", "3"]);
      expectEqual(await scan(engine), ["a=2", "c=3"], "all");
    },
  },
  {
    name: "a batch is seen whole or not at all",
    async check(engine) {
      const ends = [bytes("a"), bytes("z")] as const;
      for (let round = 1; round <= 20; round++) {
        const batch = engine.batch();
        for (const key of ["a", "m", "z"]) batch.put(bytes(key), bytes(String(round)));
        const written = batch.write();
        for (let look = 0; look < 3; look++) {
          const view = engine.readView();
          const [first, last] = await engine.getMany(ends, view);
          expectEqual(text(first), text(last), `both ends in round ${round}`);
          expectEqual(text(view.getNow(ends[0])), text(first), "the view itself");
          await view.close();
        }
        await written;
        expectEqual(text(engine.getNow(ends[1])), String(round), "after the write");
      }
    },
  },
  {
    name: "a discarded batch leaves nothing, and neither does one that was not written",
    async check(engine) {
      const discarded = engine.batch();
      discarded.put(bytes("a"), bytes("1"));
      discarded.discard();
      const open = engine.batch();
      open.put(bytes("b"), bytes("1"));
      await write(engine, ["c", "1"]);
      expectEqual(await scan(engine), ["c=1"], "all");
      discarded.discard();
      open.discard();
      await expectRejection("a put into a discarded batch", () => discarded.put(bytes("a"), bytes("1")));
    },
  },
  {
    name: "a batch is written once and counts what is in it",
    async check(engine) {
      const batch = engine.batch();
      expectEqual([batch.operations, batch.bytes], [0, 0], "at first");
      batch.put(bytes("abc"), bytes("12345"));
      batch.delete(bytes("de"));
      expectEqual([batch.operations, batch.bytes], [2, 10], "filled");
      await batch.write();
      await expectRejection("the second write", () => batch.write());
      await expectRejection("a put after the write", () => batch.put(bytes("a"), bytes("1")));
      await engine.batch().write();
      expectEqual(await scan(engine), ["abc=12345"], "all");
    },
  },
  {
    name: "batches are written in the order of the write calls, without waiting in between",
    async check(engine) {
      const writes: Promise<void>[] = [];
      for (let i = 0; i < 100; i++) writes.push(write(engine, ["k", String(i)], [`k${i % 7}`, String(i)]));
      await Promise.all(writes);
      expectEqual(text(engine.getNow(bytes("k"))), "99", "the last one");
      expectEqual(text(engine.getNow(bytes("k3"))), "94", "the last one of another key");
    },
  },
  {
    name: "the caller may change its bytes after put",
    async check(engine) {
      const key = bytes("a");
      const value = bytes("1");
      const batch = engine.batch();
      batch.put(key, value);
      key[0] = 120;
      value[0] = 120;
      await batch.write();
      value[0] = 121;
      expectEqual(await scan(engine), ["a=1"], "all");
    },
  },
  {
    name: "a batch of 20 000 operations is one batch",
    async check(engine) {
      const batch = engine.batch();
      for (let i = 0; i < 20000; i++) batch.put(bytes(`k${i % 5000}`), bytes(String(i)));
      await batch.write();
      expectEqual((await scan(engine)).length, 5000, "keys");
      expectEqual(text(engine.getNow(bytes("k4999"))), "19999", "the last one");
    },
  },
  {
    name: "a view is not changed by later batches",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", "2"], ["c", "3"]);
      const view = engine.readView();
      await write(engine, ["a", "changed"], ["b", undefined], ["bb", "new"]);
      const second = engine.readView();
      await write(engine, ["a", "again"], ["c", undefined]);
      await engine.settle();
      expectEqual(await scan(engine, { view }), ["a=1", "b=2", "c=3"], "scan of the first view");
      expectEqual(await scan(engine, { view, reverse: true }), ["c=3", "b=2", "a=1"], "backwards");
      expectEqual(await scan(engine, { view: second }), ["a=changed", "bb=new", "c=3"], "scan of the second view");
      expectEqual(text(view.getNow(bytes("a"))), "1", "getNow of the view");
      expectEqual((await engine.getMany(["b", "bb"].map(bytes), view)).map(text), ["2", undefined], "getMany");
      await view.close();
      expectEqual(await scan(engine, { view: second }), ["a=changed", "bb=new", "c=3"], "without the first view");
      await second.close();
      expectEqual(await scan(engine), ["a=again", "bb=new"], "without a view");
      await expectRejection("a read through a closed view", () => view.getNow(bytes("a")));
    },
  },
  {
    name: "an iterator sees what was written when it was made, not when it is read",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", "2"]);
      const iterator = engine.iterate({ start: bytes("a"), end: bytes("z") });
      await write(engine, ["a", "changed"], ["b", undefined], ["c", "new"]);
      const first = await iterator.next(1, 1000);
      expectEqual(first.length, 1, "the first page");
      await write(engine, ["bb", "newer"]);
      expectEqual(await drain(iterator), ["b=2"], "the rest");
      expectEqual(await scan(engine), ["a=changed", "bb=newer", "c=new"], "a new one");
    },
  },
  {
    name: "F18 when every unsettled file of a moment is gone, names have moved on",
    async check(engine) {
      await write(engine, ["a", "1"]);
      const before = await engine.unsettledFiles();
      assert(before.length > 0, "a batch that was just written is in an unsettled file");
      await engine.settle();
      const after = await engine.unsettledFiles();
      expectEqual(
        before.filter((name) => after.includes(name)),
        [],
        "files that are still there",
      );
      expectEqual(await scan(engine), ["a=1"], "all");
      assert(engine.levelZeroFiles() >= 0, "the number of tables at level zero");
    },
  },
  {
    name: "compacting an interval keeps what is there, and gives back the room of what was deleted",
    async check(engine) {
      const value = noise(1000);
      const keys = Array.from({ length: 400 }, (_, i) => `k${String(i).padStart(4, "0")}`);
      await write(engine, ...keys.map((key) => [key, value(key)] as const));
      await engine.settle();
      const size = (): Promise<number> => engine.approximateBytes(bytes("k"), bytes("l"));
      const full = await size();
      assert(full > 200_000, () => `400 records of 1000 bytes are ${full} bytes`);
      await write(engine, ...keys.slice(10).map((key) => [key, undefined] as const));
      await engine.compact(bytes("k"), bytes("l"));
      const left = await size();
      assert(left < full / 10, () => `10 records are ${left} bytes, 400 were ${full}`);
      expectEqual(
        await scan(engine),
        keys.slice(0, 10).map((key) => `${key}=${value(key)}`),
        "what is left",
      );
      await engine.compact(bytes("x"), bytes("y"));
    },
  },
  {
    name: "closing ends everything that is open, and what comes later is refused",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", "2"]);
      const iterator = engine.iterate({ start: bytes("a"), end: bytes("z") });
      const untouched = engine.iterate({ start: bytes("a"), end: bytes("z"), reverse: true });
      const view = engine.readView();
      await iterator.next(1, 1);
      const last = Array.from({ length: 20 }, (_, i) => write(engine, ["c", String(i)]));
      await engine.close();
      await Promise.all(last);
      await engine.close();
      await expectRejection("iterator.next", () => iterator.next(1, 1));
      await expectRejection("view.getNow", () => view.getNow(bytes("a")));
      await iterator.close();
      await untouched.close();
      await view.close();
      await expectClosed(engine);
    },
  },
];

/** Text that does not compress, other for each name. */
function noise(length: number): (name: string) => string {
  return (name) => {
    let state = 1;
    for (let i = 0; i < name.length; i++) state = (state * 31 + name.charCodeAt(i)) % 2_147_483_647;
    let value = "";
    while (value.length < length) {
      state = (state * 48_271) % 2_147_483_647;
      value += String.fromCharCode(32 + (state % 90));
    }
    return value;
  };
}

async function expectClosed(engine: Engine): Promise<void> {
  const calls: Record<string, () => unknown> = {
    getNow: () => engine.getNow(bytes("a")),
    getMany: () => engine.getMany([bytes("a")]),
    readView: () => engine.readView(),
    iterate: () => engine.iterate({ start: bytes("a"), end: bytes("z") }),
    batch: () => engine.batch(),
    unsettledFiles: () => engine.unsettledFiles(),
    settle: () => engine.settle(),
    compact: () => engine.compact(bytes("a"), bytes("z")),
    approximateBytes: () => engine.approximateBytes(bytes("a"), bytes("z")),
    levelZeroFiles: () => engine.levelZeroFiles(),
  };
  for (const [name, call] of Object.entries(calls)) {
    const error = await expectRejection(`${name} of a closed engine`, call);
    expectEqual((error as { code?: unknown }).code, "Closed", `the code of ${name}`);
  }
}
