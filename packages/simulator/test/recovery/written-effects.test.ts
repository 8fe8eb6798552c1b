import { BinaryWriter, logIndex, rangeId, term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Entry } from "@flotilla/raft";
import { describe, expect, test } from "vitest";
import { WrittenEffects } from "../../src/recovery/written-effects.ts";

/** packages/store, split-entry.ts: format 1, kind 2, an epoch, the right range, an empty key, no replicas. */
function split(at: number, index: number, right: number): Entry {
  const writer = new BinaryWriter(nodeByteOperations, 64);
  writer.uint8(1);
  writer.uint8(2);
  for (const number of [1, 1, right]) writer.uint53(number);
  writer.uint16(0);
  writer.uint16(0);
  return { term: term(at), index: logIndex(index), kind: "normal", data: writer.finish() };
}

describe("what was written", () => {
  test("a range is found by every split that may have made it, once however many replicas append it", () => {
    const written = new WrittenEffects();
    const twice = split(2, 7, 9);
    written.note(rangeId(3), [twice]);
    written.note(rangeId(3), [twice, split(4, 8, 9), split(4, 9, 10)]);
    expect(written.splitsThatMade(rangeId(9))).toEqual([
      { rangeId: 3, term: 2, index: 7 },
      { rangeId: 3, term: 4, index: 8 },
    ]);
    expect(written.splitsThatMade(rangeId(3))).toEqual([]);
  });
});
