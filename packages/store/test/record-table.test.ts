import { key } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RecordTable } from "../src/replica/record-table.ts";

const put = (table: RecordTable, name: Uint8Array, record: string, before = 3): number => {
  const bytes = Buffer.concat([Buffer.alloc(before), name, Buffer.from(record)]);
  return table.put(bytes, before, name.length, before + name.length, record.length);
};
const recordOf = (table: RecordTable, name: string): string | undefined => {
  const cell = table.find(key(name));
  return cell === undefined
    ? undefined
    : Buffer.from(cell.bytes).toString("latin1", cell.offset, cell.offset + cell.length);
};

describe("the table of records", () => {
  test("agrees with a map from key to record, for keys of any bytes and lengths", () => {
    const names = fc.uint8Array({ minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(fc.array(names, { maxLength: 120 }), fc.nat(200), (written, expected) => {
        const table = new RecordTable(expected);
        const model = new Map<string, string>();
        for (const [i, name] of written.entries()) {
          const binary = Buffer.from(name).toString("latin1");
          const before = model.get(binary);
          expect(put(table, name, `record ${i}`, i % 7)).toBe(before === undefined ? -1 : before.length);
          model.set(binary, `record ${i}`);
        }
        expect(table.size).toBe(model.size);
        for (const [name, record] of model) {
          expect(recordOf(table, name)).toBe(record);
          expect(recordOf(table, `${name}\x00`)).toBe(model.get(`${name}\x00`));
        }
        expect(table.sortedKeys(nodeByteOperations)).toEqual([...model.keys()].sort());
      }),
    );
  });

  test("finds every one of many keys that differ little, and none that was not put", () => {
    const table = new RecordTable();
    for (let i = 0; i < 5000; i++) put(table, Buffer.from(`user/${i}`), `${i}`);
    for (let i = 0; i < 5000; i += 7) expect(recordOf(table, `user/${i}`)).toBe(`${i}`);
    for (let i = 5000; i < 5100; i++) expect(recordOf(table, `user/${i}`)).toBeUndefined();
  });

  test("costs nothing before its first record", () => {
    const table = new RecordTable(100_000);
    expect(table.find(key("a"))).toBeUndefined();
    expect(table.sortedKeys(nodeByteOperations)).toEqual([]);
    expect(() => table.bytes(0)).toThrow("row 0 of 0");
  });
});
