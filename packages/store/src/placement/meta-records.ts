/**
 * What the meta range holds, under logical keys `00 …`:
 *
 *     00 range/ + end bound   descriptor of the range that ends there: one seek finds a key's range
 *     00 store/ + id (8)      JSON: storeId, nodeId, address
 *     00 next/ + name         8 bytes: the next free id of that kind (range, replica, store, node)
 *
 * Values of descriptors: format number 1, then the descriptor's body (packages/storage, range-records.ts).
 */
import { BinaryReader, BinaryWriter, MalformedError, key } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor } from "@flotilla/base";
import type { ClusterPlan } from "@flotilla/placement";
import { readDescriptor, writeDescriptor } from "@flotilla/storage";

const descriptorFormat = 1;

export const metaRangesStart: Key = key("\x00range/");
export const metaRangesEnd: Key = key("\x00range0");

export const metaRangeKey = (end: Key): Key => key("\x00range/" + end);

export function encodeMetaDescriptor(descriptor: RangeDescriptor, operations: ByteOperations): Uint8Array {
  const writer = new BinaryWriter(operations);
  writer.uint8(descriptorFormat);
  writeDescriptor(writer, descriptor);
  return writer.finish();
}

export function decodeMetaDescriptor(value: Uint8Array, operations: ByteOperations): RangeDescriptor {
  const reader = new BinaryReader(value);
  const found = reader.uint8();
  if (found !== descriptorFormat)
    throw new MalformedError(`range descriptor of format ${found}, only ${descriptorFormat} is known`);
  return readDescriptor(reader, operations);
}

/** The meta range's content when a cluster begins. */
export function initialMetaRecords(plan: ClusterPlan, operations: ByteOperations): { key: Key; value: Uint8Array }[] {
  const records: { key: Key; value: Uint8Array }[] = [];
  let lastReplica = 0;
  for (const descriptor of plan.ranges) {
    records.push({ key: metaRangeKey(descriptor.end), value: encodeMetaDescriptor(descriptor, operations) });
    for (const { replicaId } of descriptor.replicas) lastReplica = Math.max(lastReplica, replicaId);
  }
  for (const { storeId, nodeId, address } of plan.stores) {
    const value = operations.encodeUtf8(JSON.stringify({ storeId, nodeId, address }));
    records.push({ key: key("\x00store/" + binaryUint53(storeId, operations)), value });
  }
  const next = {
    range: plan.ranges.length + 1,
    replica: lastReplica + 1,
    store: plan.stores.length + 1,
    node: plan.stores.length + 1,
  };
  for (const [name, id] of Object.entries(next)) {
    const writer = new BinaryWriter(operations, 8);
    writer.uint53(id);
    records.push({ key: key("\x00next/" + name), value: writer.finish() });
  }
  return records;
}

function binaryUint53(value: number, operations: ByteOperations): string {
  const writer = new BinaryWriter(operations, 8);
  writer.uint53(value);
  return operations.binaryString(writer.bytes, 0, 8);
}
