import { MalformedError, key, logIndex, rangeId, replicaId, storeId, term } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import { nodeByteOperations as operations } from "@flotilla/platform";
import { describe, expect, test } from "vitest";
import {
  decodeCancel,
  decodeMergeEntry,
  decodeSeal,
  decodeUnseal,
  encodeCancel,
  encodeMergeEntry,
  encodeSeal,
  encodeUnseal,
} from "../src/replica/merge-entry.ts";
import { cancelRefusal, mergeRefusal, sealRefusal, unsealRefusal } from "../src/replica/merge-machine.ts";

const replicas = [
  { left: replicaId(21), right: replicaId(31) },
  { left: replicaId(22), right: replicaId(32) },
];
const seal = { epoch: { bounds: 4, members: 2 }, leftRangeId: rangeId(6), leftBounds: 9, replicas };
const unseal = { bounds: 4, leftRangeId: rangeId(6), provenBounds: 10 };
const merge = {
  epoch: { bounds: 9, members: 3 },
  rightRangeId: rangeId(7),
  rightBounds: 4,
  sealIndex: logIndex(12),
  sealTerm: term(5),
  end: key("\x01z"),
  replicas,
};
const cancel = { bounds: 9 };
const entries = [
  { name: "seal", entry: seal, bytes: encodeSeal(seal, operations), decode: decodeSeal },
  { name: "unseal", entry: unseal, bytes: encodeUnseal(unseal, operations), decode: decodeUnseal },
  {
    name: "merge",
    entry: merge,
    bytes: encodeMergeEntry(merge, operations),
    decode: (bytes: Uint8Array) => decodeMergeEntry(bytes, operations),
  },
  { name: "cancel", entry: cancel, bytes: encodeCancel(cancel, operations), decode: decodeCancel },
];

describe("the entries of a merge", () => {
  test("keep their layout", () => {
    expect(entries.map(({ name, bytes }) => `${name} ${Buffer.from(bytes).toString("hex")}`)).toMatchInlineSnapshot(`
      [
        "seal 010400000000000000040000000000000002000000000000000600000000000000090002000000000000001f000000000000001500000000000000200000000000000016",
        "unseal 010500000000000000040000000000000006000000000000000a",
        "merge 01060000000000000009000000000000000300000000000000070000000000000004000000000000000c00000000000000050002017a0002000000000000001f000000000000001500000000000000200000000000000016",
        "cancel 01070000000000000009",
      ]
    `);
  });

  for (const { name, entry, bytes, decode } of entries) {
    test(`${name} reads back as what was written; cut short, lengthened or of another kind it is malformed`, () => {
      expect(decode(bytes)).toEqual(entry);
      for (let length = 0; length < bytes.length; length++)
        expect(() => decode(bytes.subarray(0, length))).toThrow(MalformedError);
      expect(() => decode(new Uint8Array([...bytes, 0]))).toThrow(MalformedError);
      for (const at of [0, 1]) {
        const other = Uint8Array.from(bytes);
        other[at]! += 1;
        expect(() => decode(other)).toThrow(MalformedError);
      }
    });
  }
});

describe("whether an entry of a merge comes into force", () => {
  const configuration = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const shape = (id: number, epoch: RangeDescriptor["epoch"], ids: readonly number[], sealed?: object): never =>
    ({
      configuration,
      sealed,
      descriptor: {
        rangeId: rangeId(id),
        start: key(id === 6 ? "\x01a" : "\x01m"),
        end: key(id === 6 ? "\x01m" : "\x01z"),
        epoch,
        replicas: ids.map((replica) => ({ replicaId: replicaId(replica), storeId: storeId(1), role: "voter" })),
      },
    }) as never;
  const right = shape(7, seal.epoch, [31, 32]);
  const left = shape(6, merge.epoch, [21, 22]);
  const sealedRight = shape(7, seal.epoch, [31, 32], { leftRangeId: rangeId(6), leftBounds: 9 });
  const sealedLeft = shape(6, merge.epoch, [21, 22], { leftRangeId: rangeId(5), leftBounds: 1 });

  test("follows from the epoch and the members that it was proposed for", () => {
    expect(sealRefusal(right, seal)).toBeUndefined();
    expect(sealRefusal(shape(7, { bounds: 5, members: 2 }, [31, 32]), seal)).toContain("bounds 5");
    expect(sealRefusal(shape(7, { bounds: 4, members: 3 }, [31, 32]), seal)).toContain("members 3");
    expect(sealRefusal(shape(7, seal.epoch, [31, 33]), seal)).toContain("replicas 31, 33");
    expect(mergeRefusal(left, merge)).toBeUndefined();
    expect(mergeRefusal(shape(6, { bounds: 10, members: 3 }, [21, 22]), merge)).toContain("bounds 10");
    expect(mergeRefusal(shape(6, { bounds: 9, members: 4 }, [21, 22]), merge)).toContain("members 4");
    expect(mergeRefusal(shape(6, merge.epoch, [21]), merge)).toContain("replicas 21,");
    expect(mergeRefusal(left, { ...merge, end: key("\x01m") })).toContain("to the right");
    expect(cancelRefusal(left, cancel)).toBeUndefined();
    expect(cancelRefusal(left, { bounds: 8 })).toContain("bounds 9");
  });

  test("a sealed range is not sealed twice, takes nothing in and cancels nothing", () => {
    expect(sealRefusal(sealedRight, seal)).toContain("sealed already");
    expect(mergeRefusal(sealedLeft, merge)).toContain("sealed itself");
    expect(cancelRefusal(sealedLeft, cancel)).toContain("sealed itself");
  });

  test("a seal ends by higher bounds of the very range that it is for, and by nothing else", () => {
    expect(unsealRefusal(sealedRight, unseal)).toBeUndefined();
    expect(unsealRefusal(sealedRight, { ...unseal, provenBounds: 9 })).toContain("proven are 9");
    expect(unsealRefusal(sealedRight, { ...unseal, leftRangeId: rangeId(5) })).toContain("sealed for range 6");
    expect(unsealRefusal(sealedRight, { ...unseal, bounds: 3 })).toContain("bounds 4");
    expect(unsealRefusal(right, unseal)).toBeUndefined();
  });
});
