import { MalformedError, logIndex, rangeId, term } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { EngineRecord } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { SnapshotDecoder, SnapshotEncoder } from "../src/snapshot/snapshot-stream.ts";

const header = { rangeId: rangeId(3), index: logIndex(9), term: term(2), bounds: 1, members: 1 };
const record = (key: string, value: string): EngineRecord => ({ key: Buffer.from(key), value: Buffer.from(value) });
const chunks = [[record("\x02a", "1"), record("\x02b", "")], [record("\x03key", "value".repeat(50))]];

function whole(): Buffer {
  const encoder = new SnapshotEncoder(nodeByteOperations);
  return Buffer.concat([encoder.header(header), ...chunks.map((records) => encoder.chunk(records)), encoder.trailer()]);
}

async function decode(bytes: Uint8Array): Promise<EngineRecord[]> {
  const decoder = new SnapshotDecoder(
    (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
    nodeByteOperations,
  );
  expect(await decoder.header()).toEqual(header);
  const records: EngineRecord[] = [];
  for (;;) {
    const more = await decoder.records();
    if (more === undefined) break;
    records.push(...more);
  }
  expect(decoder.offset).toBe(bytes.length);
  return records;
}

describe("the stream of a range snapshot", () => {
  test("gives back what went in", async () => {
    const records = await decode(whole());
    expect(records.map(({ key }) => Buffer.from(key).toString())).toEqual(["\x02a", "\x02b", "\x03key"]);
    expect(Buffer.from(records[2]!.value).toString()).toBe("value".repeat(50));
  });

  test("D7 one flipped bit anywhere is noticed", async () => {
    const bytes = whole();
    for (let at = 0; at < bytes.length; at++) {
      const bad = Buffer.from(bytes);
      bad[at]! ^= 1 << (at % 8);
      const outcome = decodeQuietly(bad);
      await expect(outcome, `byte ${at}`).rejects.toThrow(MalformedError);
    }
  });

  test("D7 a stream cut at any byte is noticed", async () => {
    const bytes = whole();
    for (let length = 0; length < bytes.length; length++) {
      await expect(decodeQuietly(bytes.subarray(0, length)), `length ${length}`).rejects.toThrow(MalformedError);
    }
  });

  test("a missing chunk is noticed by the trailer", async () => {
    const encoder = new SnapshotEncoder(nodeByteOperations);
    const head = encoder.header(header);
    encoder.chunk(chunks[0]!);
    const second = encoder.chunk(chunks[1]!);
    await expect(decodeQuietly(Buffer.concat([head, second, encoder.trailer()]))).rejects.toThrow(MalformedError);
  });
});

async function decodeQuietly(bytes: Uint8Array): Promise<void> {
  const decoder = new SnapshotDecoder(
    (offset, length) => Promise.resolve(bytes.subarray(offset, offset + length)),
    nodeByteOperations,
  );
  await decoder.header();
  while ((await decoder.records()) !== undefined);
}
