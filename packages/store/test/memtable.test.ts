import { key } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Memtable } from "../src/replica/memtable.ts";
import type { FrozenRecords } from "../src/replica/memtable.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);
const put = (table: Memtable, name: string, value: string, index: number): void =>
  table.apply(key(name), bytes(value), 0, value.length, index);
const text = (table: Memtable, name: string): string | undefined => {
  const cell = table.committed(key(name));
  return cell?.bytes === undefined
    ? undefined
    : Buffer.from(cell.bytes.subarray(cell.offset, cell.offset + cell.length)).toString();
};
const pend = (table: Memtable, name: string, index: number, version: number): void => {
  const cell = table.cellForWrite(key(name));
  cell.pendingIndex = index;
  cell.pendingVersion = version;
};
const scan = (table: Memtable, start: string, end: string): Record<string, string> => {
  const { keys, cells } = table.snapshot(key(start), key(end));
  return Object.fromEntries(
    keys.map((name: Key, i) => [name, Buffer.from(cells[i]!.bytes!.subarray(0, cells[i]!.length)).toString()]),
  );
};

describe("the memtable", () => {
  test("hides pending records from reads until they are applied", () => {
    const table = new Memtable();
    pend(table, "a", 7, 100);
    expect(text(table, "a")).toBeUndefined();
    expect(scan(table, "a", "z")).toEqual({});
    put(table, "a", "one", 7);
    expect(text(table, "a")).toBe("one");
    expect(table.activeCell(key("a"))!.pendingIndex).toBe(0);
  });

  test("keeps the newest pending record pending when an older one is applied", () => {
    const table = new Memtable();
    pend(table, "a", 7, 100);
    pend(table, "a", 8, 101);
    put(table, "a", "one", 7);
    expect(table.activeCell(key("a"))!.pendingIndex).toBe(8);
    expect(table.activeCell(key("a"))!.pendingVersion).toBe(101);
    expect(text(table, "a")).toBe("one");
  });

  test("forgets pending records with the term and keeps committed ones", () => {
    const table = new Memtable();
    put(table, "a", "one", 7);
    pend(table, "a", 8, 101);
    pend(table, "b", 8, 102);
    table.dropPending();
    expect(table.activeCell(key("a"))!.pendingIndex).toBe(0);
    expect(table.activeCell(key("b"))).toBeUndefined();
    expect(text(table, "a")).toBe("one");
  });

  test("stays readable while it is flushed, and newer records go in front", () => {
    const table = new Memtable();
    put(table, "a", "one", 1);
    put(table, "b", "two", 2);
    pend(table, "c", 3, 9);
    const frozen = table.freeze();
    expect([...frozen.records.keys()]).toEqual(["a", "b"]);
    expect(table.activeCell(key("c"))!.pendingIndex).toBe(3);
    put(table, "a", "uno", 4);
    put(table, "c", "three", 3);
    expect(text(table, "a")).toBe("uno");
    expect(text(table, "b")).toBe("two");
    expect(scan(table, "a", "z")).toEqual({ a: "uno", b: "two", c: "three" });
    frozen.written = true;
    expect(text(table, "a")).toBe("uno");
    expect(text(table, "b")).toBeUndefined();
  });

  test("counts bytes up with records and down after the flush", () => {
    const table = new Memtable();
    put(table, "a", "0123456789", 1);
    const once = table.bytes;
    put(table, "a", "0123456789", 2);
    expect(table.bytes).toBe(once);
    const frozen = table.freeze();
    expect(table.activeBytes).toBe(0);
    expect(table.bytes).toBe(once);
    frozen.written = true;
    expect(table.bytes).toBe(0);
  });

  test("a snapshot is not changed by later records", () => {
    const table = new Memtable();
    put(table, "a", "one", 1);
    const taken = table.snapshot(key("a"), key("z"));
    put(table, "a", "two", 2);
    put(table, "b", "new", 3);
    expect(taken.keys).toEqual(["a"]);
    expect(Buffer.from(taken.cells[0]!.bytes!).toString()).toBe("one");
  });

  test("a snapshot taken after keys were dropped and others added has the right keys", () => {
    const table = new Memtable();
    put(table, "m", "1", 1);
    pend(table, "a", 2, 5);
    expect(Object.keys(scan(table, "a", "z"))).toEqual(["m"]);
    table.dropPending();
    put(table, "b", "2", 3);
    expect(Object.keys(scan(table, "a", "z"))).toEqual(["b", "m"]);
  });

  test("H9 counts the memory that overwritten records' entries keep, until they are flushed", () => {
    const table = new Memtable();
    for (let index = 1; index <= 1000; index++) {
      put(table, "counter", `${index}`, index);
      if (index % 100 === 0) put(table, `k${index}`, "x", index);
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
    const table = new Memtable();
    for (const name of ["a", "m", "z"]) put(table, name, `old ${name}`, 1);
    const frozen = table.freeze();
    for (const name of ["b", "m", "y"]) put(table, name, `new ${name}`, 2);
    const right = table.split(key("m"));
    expect(scan(table, "a", "m")).toEqual({ a: "old a", b: "new b" });
    expect(scan(right, "m", "~")).toEqual({ m: "new m", y: "new y", z: "old z" });
    frozen.written = true;
    expect(scan(table, "a", "m")).toEqual({ b: "new b" });
    expect(scan(right, "m", "~")).toEqual({ m: "new m", y: "new y" });
    expect([...right.freeze().records.keys()].sort()).toEqual(["m", "y"]);
  });

  test("takes in another one, also what is being flushed of both, until that is written", () => {
    const left = new Memtable();
    const right = new Memtable();
    for (const name of ["a", "b"]) put(left, name, `old ${name}`, 1);
    for (const name of ["m", "n"]) put(right, name, `old ${name}`, 1);
    const frozen = [left.freeze(), right.freeze()];
    put(left, "b", "new b", 2);
    put(right, "n", "new n", 2);
    left.absorb(right);
    expect(scan(left, "a", "~")).toEqual({ a: "old a", b: "new b", m: "old m", n: "new n" });
    expect(scan(right, "a", "~")).toEqual({});
    for (const each of frozen) each.written = true;
    expect(scan(left, "a", "~")).toEqual({ b: "new b", n: "new n" });
    expect([...left.freeze().records.keys()].sort()).toEqual(["b", "n"]);
  });

  test("refuses one in which something is pending", () => {
    const right = new Memtable();
    pend(right, "m", 7, 70);
    expect(() => new Memtable().absorb(right)).toThrow("a record pending at 7");
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
        const halves: { start: string; table: Memtable }[] = [{ start: "", table: new Memtable() }];
        const model = new Map<string, string>();
        let frozen: FrozenRecords[] = [];
        const finish = (): void => {
          for (const each of frozen) {
            for (const [name, cell] of each.records) engine.set(name, Buffer.from(cell.bytes!).toString());
            each.written = true;
          }
          frozen = [];
        };
        for (const [i, { kind, name }] of steps.entries()) {
          const at = halves.findLastIndex(({ start }) => start <= name);
          const half = halves[at]!;
          if (kind === "put") {
            put(half.table, name, `${i}`, i + 1);
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
