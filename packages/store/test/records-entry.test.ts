import { MalformedError, key, rangeId, term, version } from "@flotilla/base";
import type { Term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { recordKind, recordValue, recordVersion, verifyRecord } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { PendingAnswers } from "../src/replica/pending-answers.ts";
import { decodeRecordsEntry, encodeRecordsEntry } from "../src/replica/records-entry.ts";

const operations = nodeByteOperations;
const changes = [
  { key: key("\x00next/store"), value: new Uint8Array([1, 2, 3]) },
  { key: key("\x00range/\xff"), value: undefined },
  { key: key("\x00setting/x"), value: new Uint8Array(0) },
];
const entry = encodeRecordsEntry(changes, 7, version(99), operations);

describe("an entry of records", () => {
  test("reads back as what was written, each record with its own checksum", () => {
    const { bounds, version: given, effects } = decodeRecordsEntry(entry);
    expect([bounds, given]).toEqual([7, 99]);
    const names = effects.map(({ keyAt, keyLength }) => operations.binaryString(entry, keyAt, keyAt + keyLength));
    expect(names).toEqual(changes.map((change) => change.key));
    for (const [i, { recordAt, recordLength }] of effects.entries()) {
      const name = changes[i]!.key;
      expect(verifyRecord(name, entry, recordAt, recordLength, operations)).toBe(true);
      expect(recordVersion(entry, recordAt)).toBe(99);
      expect(recordKind(entry, recordAt)).toBe(changes[i]!.value === undefined ? "delete" : "value");
    }
    expect([...recordValue(entry, effects[0]!.recordAt, effects[0]!.recordLength)]).toEqual([1, 2, 3]);
  });

  test("cut short, lengthened or of another kind it is malformed", () => {
    for (let length = 0; length < entry.length; length++)
      expect(() => decodeRecordsEntry(entry.subarray(0, length))).toThrow();
    expect(() => decodeRecordsEntry(new Uint8Array([...entry, 0]))).toThrow(MalformedError);
    for (const at of [0, 1]) {
      const other = Uint8Array.from(entry);
      other[at]! += 1;
      expect(() => decodeRecordsEntry(other)).toThrow(MalformedError);
    }
  });

  test("keeps its layout", () => {
    expect(Buffer.from(entry.subarray(0, 42)).toString("hex")).toMatchInlineSnapshot(
      `"01030000000000000007000000000000006300000003000b00000012006e6578742f73746f7265010100"`,
    );
  });
});

describe("what the store itself has proposed", () => {
  const one: Term = term(3);

  function waiting(indexes: readonly number[]): { readonly answers: PendingAnswers; readonly settled: string[] } {
    const answers = new PendingAnswers(rangeId(1));
    const settled: string[] = [];
    for (const index of indexes) {
      answers.add({ index, term: one, answers: [], commands: 0, settle: (outcome) => settled.push(outcome) });
    }
    return { answers, settled };
  }

  test("waits for its own entry, and is lost when the term ends", () => {
    const { answers, settled } = waiting([5, 7, 8]);
    expect(answers.take(4, one)).toBeUndefined();
    answers.take(5, one)!.settle!("applied");
    expect(answers.take(6, one)).toBeUndefined();
    answers.take(7, one)!.settle!("fallen");
    answers.answerUnknown(version(1));
    expect(settled).toEqual(["applied", "fallen", "lost"]);
    expect(answers.take(8, term(4))).toBeUndefined();
  });

  test("finds an entry of another term at its index a broken invariant", () => {
    expect(() => waiting([5]).answers.take(5, term(4))).toThrow("waiting for 5 of 3");
  });
});
