import { logIndex, term } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { decodeApplied, newestKey, rangeRecordKey, rangeRecordNames, rangeRecordsEnd } from "@flotilla/storage";
import type { SnapshotChunk } from "@flotilla/transport";
import { SnapshotEncoder } from "../../src/snapshot/snapshot-stream.ts";
import { firstRange } from "./test-cluster.ts";
import type { TestCluster, TestStore } from "./test-cluster.ts";

/** A snapshot of the store's first range as it is in its engine now, as the chunks of a transfer. */
export async function snapshotChunks(
  cluster: TestCluster,
  store: TestStore,
): Promise<(transferId: number) => SnapshotChunk[]> {
  const operations = nodeByteOperations;
  const engine = store.engine!;
  const appliedKey = rangeRecordKey(firstRange, rangeRecordNames.applied, operations);
  const applied = decodeApplied(appliedKey, engine.getNow(appliedKey)!, operations);
  const encoder = new SnapshotEncoder(operations);
  const parts = [
    encoder.header({
      rangeId: firstRange,
      index: logIndex(applied.index),
      term: term(applied.term),
      bounds: 1,
      members: 1,
    }),
  ];
  const intervals = [
    { start: rangeRecordKey(firstRange, "", operations), end: rangeRecordsEnd(firstRange, operations) },
    { start: newestKey("\x01" as Key, operations), end: newestKey("\x02" as Key, operations) },
  ];
  const iterators = intervals.map((interval) => engine.iterate(interval));
  for (const iterator of iterators) {
    const records = await cluster.world.settled("a page", iterator.next(100_000, 100_000_000));
    if (records.length > 0) parts.push(encoder.chunk(records));
    await iterator.close();
  }
  parts.push(encoder.trailer());
  const last = parts.length - 1;
  return (transferId) =>
    parts.map((bytes, sequence) => ({ type: "snapshot-chunk", transferId, sequence, bytes, last: sequence === last }));
}
