/**
 * The data of a `normal` Raft entry that splits a range in two (rule: split). Nobody evaluates anything behind it under
 * the old bounds; whether it comes into force is decided where it is applied, by what every replica has there.
 *
 *     format number (1)                1        kind (2 = split)                1
 *     epoch bounds                     8        epoch members                   8
 *     right range's id                 8
 *     key length                       2        key: the right half begins here
 *     number of replicas               2
 *     per replica: its id              8        its counterpart's id            8
 *
 * Rejected: a descriptor of the right half in the entry (it could contradict the left one it is applied to).
 */
import { BinaryReader, BinaryWriter, MalformedError, rangeId, replicaId } from "@flotilla/base";
import type { ByteOperations, Epoch, Key, RangeId } from "@flotilla/base";
import type { SplitPart } from "@flotilla/transport";
import { entryFormat, entryKinds } from "./entry-format.ts";

export interface SplitEntry extends SplitPart {
  readonly rangeId: RangeId;
  /** Of the range when it was proposed. */
  readonly epoch: Epoch;
}

const replicasMax = 1024;

export function encodeSplit(split: SplitEntry, operations: ByteOperations): Uint8Array {
  const writer = new BinaryWriter(operations, 64 + split.key.length + 16 * split.replicas.length);
  writer.uint8(entryFormat);
  writer.uint8(entryKinds.split);
  writer.uint53(split.epoch.bounds);
  writer.uint53(split.epoch.members);
  writer.uint53(split.rangeId);
  writer.uint16(split.key.length);
  writer.binaryString(split.key);
  writer.uint16(split.replicas.length);
  for (const { left, right } of split.replicas) {
    writer.uint53(left);
    writer.uint53(right);
  }
  return writer.finish();
}

/** Throws `MalformedError`. */
export function decodeSplit(data: Uint8Array, operations: ByteOperations): SplitEntry {
  const reader = new BinaryReader(data);
  if (reader.uint8() !== entryFormat || reader.uint8() !== entryKinds.split) {
    throw new MalformedError(`not a split of format ${entryFormat}: first bytes ${data[0]}, ${data[1]}`);
  }
  const epoch = { bounds: reader.uint53(), members: reader.uint53() };
  const right = rangeId(reader.uint53());
  const key = reader.binaryString(reader.uint16(), operations) as Key;
  const count = reader.uint16();
  if (count > replicasMax) throw new MalformedError(`a split with ${count} replicas, at most ${replicasMax}`);
  const replicas: SplitPart["replicas"][number][] = [];
  for (let i = 0; i < count; i++) {
    replicas.push({ left: replicaId(reader.uint53()), right: replicaId(reader.uint53()) });
  }
  if (reader.remaining > 0) throw new MalformedError(`a split with ${reader.remaining} bytes behind its end`);
  return { epoch, rangeId: right, key, replicas };
}
