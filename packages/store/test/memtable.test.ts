import { key } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Memtable } from "../src/replica/memtable.ts";
import type { Cell, FrozenTable } from "../src/replica/memtable.ts";

const newTable = (): Memtable => new Memtable(nodeByteOperations);
/** As in an entry: the key, and the record behind it. */
const put = (table: Memtable, name: string, value: string): void =>
  table.apply(Buffer.from(`..${name}${value}`), 2, name.length, 2 + name.length, value.length);
const valueOf = ({ bytes, offset, length }: Cell): string =>
  Buffer.from(bytes.subarray(offset, offset + length)).toString();
const text = (table: Memtable, name: string): string | undefined => {
  const cell = table.committed(key(name));
  return cell === undefined ? undefined : valueOf(cell);
};
const scan = (table: Memtable, start: string, end: string): Record<string, string> => {
  const { keys, cells } = table.snapshot(key(start), key(end));
  return Object.fromEntries(keys.map((name: Key, i) => [name, valueOf(cells[i]!)]));
};
const keysOf = ({ table }: FrozenTable): Key[] => table.sortedKeys(nodeByteOperations);

describe("the memtable", () => {
  test("stays readable while it is flushed, and newer records go in front", () => {
    const table = newTable();
    put(table, "a", "one");
    put(table, "b", "two");
    const frozen = table.freeze();
    expect(keysOf(frozen)).toEqual(["a", "b"]);
    put(table, "a", "uno");
    put(table, "c", "three");
    expect(text(table, "a")).toBe("uno");
    expect(text(table, "b")).toBe("two");
    expect(scan(table, "a", "z")).toEqual({ a: "uno", b: "two", c: "three" });
    frozen.written = true;
    expect(text(table, "a")).toBe("uno");
    expect(text(table, "b")).toBeUndefined();
  });

  test("counts bytes up with records and down after the flush", () => {
    const table = newTable();
    put(table, "a", "0123456789");
    const once = table.bytes;
    put(table, "a", "0123456789");
    expect(table.bytes).toBe(once);
    const frozen = table.freeze();
    expect(table.activeBytes).toBe(0);
    expect(table.bytes).toBe(once);
    frozen.written = true;
    expect(table.bytes).toBe(0);
  });

  test("a snapshot is not changed by later records", () => {
    const table = newTable();
    put(table, "a", "one");
    const taken = table.snapshot(key("a"), key("z"));
    put(table, "a", "two");
    put(table, "b", "new");
    expect(taken.keys).toEqual(["a"]);
    expect(valueOf(taken.cells[0]!)).toBe("one");
  });

  test("a snapshot taken after others has the keys that came since", () => {
    const table = newTable();
    put(table, "m", "1");
    expect(Object.keys(scan(table, "a", "z"))).toEqual(["m"]);
    put(table, "b", "2");
    expect(Object.keys(scan(table, "a", "z"))).toEqual(["b", "m"]);
    table.clear();
    put(table, "c", "3");
    put(table, "d", "4");
    expect(Object.keys(scan(table, "a", "z"))).toEqual(["c", "d"]);
  });

  test("H9 counts the memory that overwritten records' entries keep, until they are flushed", () => {
    const table = newTable();
    for (let index = 1; index <= 1000; index++) {
      put(table, "counter", `${index}`);
      if (index % 100 === 0) put(table, `k${index}`, "x");
      table.noteEntry(10_000);
    }
    expect(table.activeBytes).toBe(5_000_000);
    const frozen = table.freeze();
    expect(table.activeBytes).toBe(0);
    expect(table.bytes).toBe(5_000_000);
    frozen.written = true;
    expect(table.bytes).toBe(0);
  });
});

describe("a memtable that is split or merged", () => {
  test("gives each half its records, also what is being flushed, until that is written", () => {
    const table = newTable();
    for (const name of ["a", "m", "z"]) put(table, name, `old ${name}`);
    const frozen = table.freeze();
    for (const name of ["b", "m", "y"]) put(table, name, `new ${name}`);
    const right = table.split(key("m"));
    expect(scan(table, "a", "m")).toEqual({ a: "old a", b: "new b" });
    expect(scan(right, "m", "~")).toEqual({ m: "new m", y: "new y", z: "old z" });
    frozen.written = true;
    expect(scan(table, "a", "m")).toEqual({ b: "new b" });
    expect(scan(right, "m", "~")).toEqual({ m: "new m", y: "new y" });
    expect(keysOf(right.freeze())).toEqual(["m", "y"]);
  });

  test("takes in another one, also what is being flushed of both, until that is written", () => {
    const left = newTable();
    const right = newTable();
    for (const name of ["a", "b"]) put(left, name, `old ${name}`);
    for (const name of ["m", "n"]) put(right, name, `old ${name}`);
    const frozen = [left.freeze(), right.freeze()];
    put(left, "b", "new b");
    put(right, "n", "new n");
    left.absorb(right);
    expect(scan(left, "a", "~")).toEqual({ a: "old a", b: "new b", m: "old m", n: "new n" });
    expect(scan(right, "a", "~")).toEqual({});
    for (const each of frozen) each.written = true;
    expect(scan(left, "a", "~")).toEqual({ b: "new b", n: "new n" });
    expect(keysOf(left.freeze())).toEqual(["b", "n"]);
  });

  test("refuses one in which something is pending", () => {
    const right = newTable();
    right.pending.begin(7);
    right.pending.add(key("m"), 70);
    expect(() => newTable().absorb(right)).toThrow("a record is pending in a range that is merged away");
  });

  test("agrees with a model, whatever was written, flushed, split and merged before", () => {
    const names = fc.constantFrom("a", "b", "c", "d", "e", "f");
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("put" as const), name: names }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("freeze" as const), name: names }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("written" as const), name: names }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("split" as const), name: names }) },
      { weight: 1, arbitrary: fc.record({ kind: fc.constant("merge" as const), name: names }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        // The engine and all halves in the order of their keys, each with its start.
        const engine = new Map<string, string>();
        const halves: { start: string; table: Memtable }[] = [{ start: "", table: newTable() }];
        const model = new Map<string, string>();
        let frozen: FrozenTable[] = [];
        const finish = (): void => {
          for (const each of frozen) {
            for (const name of keysOf(each)) engine.set(name, valueOf(each.table.find(name)!));
            each.written = true;
          }
          frozen = [];
        };
        for (const [i, { kind, name }] of steps.entries()) {
          const at = halves.findLastIndex(({ start }) => start <= name);
          const half = halves[at]!;
          if (kind === "put") {
            put(half.table, name, `${i}`);
            model.set(name, `${i}`);
          } else if (kind === "freeze") {
            finish();
            frozen = halves.map(({ table }) => table.freeze());
          } else if (kind === "written") finish();
          else if (kind === "merge") {
            const [next] = halves.splice(at + 1, 1);
            if (next !== undefined) half.table.absorb(next.table);
          } else if (half.start !== name) halves.splice(at + 1, 0, { start: name, table: half.table.split(key(name)) });
        }
        for (const name of "abcdef") {
          const { table } = halves.findLast(({ start }) => start <= name)!;
          expect(text(table, name) ?? engine.get(name)).toBe(model.get(name));
        }
        finish();
        expect(halves.reduce((bytes, { table }) => bytes + table.bytes, 0) > 0).toBe(
          halves.some(({ table, start }) => Object.keys(scan(table, start, "~")).length > 0),
        );
      }),
    );
  });
});
