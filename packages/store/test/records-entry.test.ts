import { MalformedError, key, rangeId, term, version } from "@flotilla/base";
import type { Term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { recordKind, recordValue, recordVersion, verifyRecord } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { decodeRecordsEntry, encodeRecordsEntry } from "../src/replica/records-entry.ts";
import { RecordsWaiting } from "../src/replica/records-waiting.ts";

const operations = nodeByteOperations;
const changes = [
  { key: key("\x00next/store"), value: new Uint8Array([1, 2, 3]) },
  { key: key("\x00range/\xff"), value: undefined },
  { key: key("\x00setting/x"), value: new Uint8Array(0) },
];
const entry = encodeRecordsEntry(changes, 7, version(99), operations);

describe("an entry of records", () => {
  test("reads back as what was written, each record with its own checksum", () => {
    const { bounds, version: given, effects } = decodeRecordsEntry(entry, operations);
    expect([bounds, given]).toEqual([7, 99]);
    expect(effects.map((effect) => effect.key)).toEqual(changes.map((change) => change.key));
    for (const [i, { key: name, recordAt, recordLength }] of effects.entries()) {
      expect(verifyRecord(name, entry, recordAt, recordLength, operations)).toBe(true);
      expect(recordVersion(entry, recordAt)).toBe(99);
      expect(recordKind(entry, recordAt)).toBe(changes[i]!.value === undefined ? "delete" : "value");
    }
    expect([...recordValue(entry, effects[0]!.recordAt, effects[0]!.recordLength)]).toEqual([1, 2, 3]);
  });

  test("cut short, lengthened or of another kind it is malformed", () => {
    for (let length = 0; length < entry.length; length++)
      expect(() => decodeRecordsEntry(entry.subarray(0, length), operations)).toThrow();
    expect(() => decodeRecordsEntry(new Uint8Array([...entry, 0]), operations)).toThrow(MalformedError);
    for (const at of [0, 1]) {
      const other = entry.slice();
      other[at]! += 1;
      expect(() => decodeRecordsEntry(other, operations)).toThrow(MalformedError);
    }
  });

  test("keeps its layout", () => {
    expect(Buffer.from(entry.subarray(0, 42)).toString("hex")).toMatchInlineSnapshot(
      `"02040000000000000007000000000000006300000003000b00000012006e6578742f73746f7265010100"`,
    );
  });
});

describe("what waits for entries of records", () => {
  const one: Term = term(3);

  test("is told when its entry is applied, and of every other that it is lost when the term ends", async () => {
    const waiting = new RecordsWaiting(rangeId(1));
    const first = waiting.add(5, one);
    const second = waiting.add(7, one);
    const third = waiting.add(8, one);
    waiting.applied(4, one, true);
    waiting.applied(5, one, true);
    waiting.applied(6, one, true);
    waiting.applied(7, one, false);
    waiting.lose();
    expect(await Promise.all([first, second, third])).toEqual(["applied", "lost", "lost"]);
    waiting.applied(8, term(4), true);
  });

  test("finds an entry of another term at its index a broken invariant", () => {
    const waiting = new RecordsWaiting(rangeId(1));
    void waiting.add(5, one);
    expect(() => waiting.applied(5, term(4), true)).toThrow("waiting for 5 of 3");
  });
});
