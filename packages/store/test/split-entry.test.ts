import { MalformedError, key, rangeId, replicaId } from "@flotilla/base";
import { nodeByteOperations as operations } from "@flotilla/platform";
import { expect, test } from "vitest";
import { decodeSplit, encodeSplit } from "../src/replica/split-entry.ts";

const split = {
  epoch: { bounds: 3, members: 5 },
  rangeId: rangeId(77),
  key: key("\x01m\xff"),
  replicas: [
    { left: replicaId(11), right: replicaId(21) },
    { left: replicaId(12), right: replicaId(22) },
  ],
};
const entry = encodeSplit(split, operations);

test("a split entry reads back as what was written", () => {
  expect(decodeSplit(entry, operations)).toEqual(split);
});

test("a split entry keeps its layout", () => {
  expect(Buffer.from(entry).toString("hex")).toMatchInlineSnapshot(
    `"010200000000000000030000000000000005000000000000004d0003016dff0002000000000000000b0000000000000015000000000000000c0000000000000016"`,
  );
});

test("a split entry cut short, lengthened or of another format or kind is malformed", () => {
  for (let length = 0; length < entry.length; length++)
    expect(() => decodeSplit(entry.subarray(0, length), operations)).toThrow();
  expect(() => decodeSplit(new Uint8Array([...entry, 0]), operations)).toThrow(MalformedError);
  for (const at of [0, 1]) {
    const other = Uint8Array.from(entry);
    other[at]! += 1;
    expect(() => decodeSplit(other, operations)).toThrow(MalformedError);
  }
});
