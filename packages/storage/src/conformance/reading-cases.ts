/** What every engine promises to its readers. */
import { assert } from "@flotilla/base";
import type { Engine } from "../engine.ts";
import { bytes, drain, expectEqual, noise, scan, text, write } from "./expectations.ts";

export interface EngineCase {
  readonly name: string;
  check(engine: Engine): Promise<void>;
}

/** In the order of bytes. U+FFFF (EF BF BF) stands before U+10000 (F0 90 80 80), unlike in JavaScript's order of strings. */
const keysInOrder: readonly string[] = [
  "\x00",
  "\x00\x00",
  "\x00\xff",
  "\x01",
  "a",
  "a\x00",
  "a\x00b",
  "aa",
  "b",
  "\x7f",
  "\x80",
  "\xef\xbf\xbf",
  "\xf0\x90\x80\x80",
  "\xff",
  "\xff\x00",
  "\xff\xff",
];

export const readingCases: readonly EngineCase[] = [
  {
    name: "I8 keys are ordered by their bytes",
    async check(engine) {
      const shuffled = keysInOrder.toSorted((a, b) => ((a.length * 7) % 5) - ((b.length * 7) % 5) || (a < b ? 1 : -1));
      for (const key of shuffled) await write(engine, [key, "v"]);
      const expected = keysInOrder.map((key) => `${key}=v`);
      expectEqual(await scan(engine), expected, "forwards");
      expectEqual(await scan(engine, { reverse: true }), expected.toReversed(), "backwards");
    },
  },
  {
    name: "an interval holds its start and not its end",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", "2"], ["b\x00", "3"], ["c", "4"]);
      const interval = { start: bytes("b"), end: bytes("c") };
      expectEqual(await scan(engine, interval), ["b=2", "b\x00=3"], "forwards");
      expectEqual(await scan(engine, { ...interval, reverse: true }), ["b\x00=3", "b=2"], "backwards");
      const between = { start: bytes("aa"), end: bytes("b\x00\x00") };
      expectEqual(await scan(engine, between), ["b=2", "b\x00=3"], "bounds that are no keys");
      expectEqual(await scan(engine, { ...between, reverse: true }), ["b\x00=3", "b=2"], "the same backwards");
    },
  },
  {
    name: "an empty interval gives nothing, in both directions",
    async check(engine) {
      await write(engine, ["a", "1"], ["c", "2"]);
      for (const reverse of [false, true]) {
        expectEqual(await scan(engine, { start: bytes("a"), end: bytes("a"), reverse }), [], "start equals end");
        expectEqual(await scan(engine, { start: bytes("c"), end: bytes("a"), reverse }), [], "start behind end");
        expectEqual(await scan(engine, { start: bytes("b"), end: bytes("c"), reverse }), [], "no key in between");
        expectEqual(await scan(engine, { start: bytes("d"), end: bytes("e"), reverse }), [], "behind all keys");
        expectEqual(await scan(engine, { start: bytes(""), end: bytes("a"), reverse }), [], "before all keys");
      }
    },
  },
  {
    name: "an engine without records gives nothing",
    async check(engine) {
      expectEqual(await scan(engine), [], "scan");
      expectEqual(engine.getNow(bytes("a")), undefined, "getNow");
      expectEqual(await engine.getMany([bytes("a")]), [undefined], "getMany");
      expectEqual(await engine.getMany([]), [], "getMany of nothing");
    },
  },
  {
    name: "a page has at most recordsMax records, about bytesMax bytes, and at least one record",
    async check(engine) {
      const batch = engine.batch();
      for (let i = 0; i < 300; i++) batch.put(bytes(`k${String(i).padStart(3, "0")}`), noise(100, i));
      await batch.write();
      const whole = { start: bytes(""), end: bytes("\xff") };
      const iterator = engine.iterate(whole);
      expectEqual((await iterator.next(7, 1 << 20)).length, 7, "seven records asked for");
      expectEqual((await iterator.next(1000, 1)).length, 1, "one byte asked for");
      expectEqual((await iterator.next(3, 1 << 20)).length, 3, "three records asked for");
      const page = await iterator.next(1000, 520);
      assert(page.length >= 5 && page.length <= 6, () => `520 bytes asked for, got ${page.length} records of 104`);
      expectEqual((await drain(iterator)).length, 300 - 11 - page.length, "all others");
      const lengths = (await drain(engine.iterate(whole), 13, 777)).length;
      expectEqual(lengths, 300, "odd bounds lose nothing");
    },
  },
  {
    name: "many pages give every record once, in both directions",
    async check(engine) {
      const expected: string[] = [];
      const batch = engine.batch();
      for (let i = 0; i < 5000; i++) {
        const key = `key/${String(i).padStart(6, "0")}`;
        batch.put(bytes(key), bytes(String(i)));
        expected.push(`${key}=${i}`);
      }
      await batch.write();
      expectEqual(await scan(engine), expected, "forwards");
      expectEqual(await scan(engine, { reverse: true }), expected.toReversed(), "backwards");
    },
  },
  {
    name: "keysOnly gives the keys and empty values",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", ""], ["c", "3"]);
      expectEqual(await scan(engine, { keysOnly: true }), ["a=", "b=", "c="], "forwards");
      expectEqual(await scan(engine, { keysOnly: true, reverse: true }), ["c=", "b=", "a="], "backwards");
    },
  },
  {
    name: "getMany answers in the order asked, with repetitions and gaps",
    async check(engine) {
      await write(engine, ["a", "1"], ["b", ""]);
      const values = await engine.getMany(["b", "x", "a", "a"].map(bytes));
      expectEqual(values.map(text), ["", undefined, "1", "1"], "values");
    },
  },
  {
    name: "empty values and values of 8 MiB come back as they were",
    async check(engine) {
      const large = noise(8 * 1024 * 1024, 42);
      const batch = engine.batch();
      batch.put(bytes("empty"), bytes(""));
      batch.put(bytes("large"), large);
      await batch.write();
      expectEqual(engine.getNow(bytes("empty"))?.length, 0, "the empty one");
      assert(same(engine.getNow(bytes("large")), large), "getNow of the large one differs");
      assert(same((await engine.getMany([bytes("large")]))[0], large), "getMany of the large one differs");
      const iterator = engine.iterate({ start: bytes(""), end: bytes("\xff") });
      expectEqual((await iterator.next(1, 1)).length, 1, "the first page");
      const page = await iterator.next(10, 1);
      assert(page.length === 1 && same(page[0]!.value, large), "the page with the large one differs");
      await iterator.close();
    },
  },
  {
    name: "the size of an interval is roughly right once it has settled",
    async check(engine) {
      const batch = engine.batch();
      for (let i = 0; i < 256; i++) batch.put(bytes(`m${String(i).padStart(3, "0")}`), noise(4096, i));
      await batch.write();
      await engine.settle();
      const inside = await engine.approximateBytes(bytes("m"), bytes("n"));
      assert(
        inside > 512 * 1024 && inside < 4 * 1024 * 1024,
        () => `1 MiB was written, the engine says ${inside} bytes`,
      );
      const outside = await engine.approximateBytes(bytes("n"), bytes("z"));
      assert(outside < 64 * 1024, () => `nothing was written there, the engine says ${outside} bytes`);
    },
  },
];

function same(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i]);
}
