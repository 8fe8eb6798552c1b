/**
 * The data of the `normal` Raft entries by which two neighbours become one range (rule: merge; decision 0010). The first two
 * stand in the right range's log, the last two in the left one's, which alone decides.
 *
 *     format number (1)                1        kind                            1
 *
 *     4 seal:      epoch bounds 8, members 8, left range 8, its bounds 8, count 2,
 *                  then per replica: its id 8, the left range's replica on the same store 8
 *     5 unseal:    epoch bounds 8, left range 8, its bounds by which it is proven not to take this range in 8
 *     6 merge:     epoch bounds 8, members 8, right range 8, its bounds 8, index of its seal 8, term of that 8,
 *                  end (length 2, bytes), count 2, then per replica: right id 8, left id 8
 *     7 cancel:    epoch bounds 8
 *
 * A seal without its counterpart in the left log says nothing about what becomes of it; so nothing but what the left log
 * has committed ends it. Rejected: the right range's last entries inside the merge entry (every replica has them itself).
 */
import { BinaryReader, BinaryWriter, MalformedError, logIndex, rangeId, replicaId, term } from "@flotilla/base";
import type { ByteOperations, Epoch, Key, LogIndex, RangeId, Term } from "@flotilla/base";
import type { ReplicaPair } from "@flotilla/transport";
import { replicasPerRangeMax } from "@flotilla/storage";
import { entryFormat, entryKinds } from "./entry-format.ts";

export interface SealEntry {
  /** Of the range that is sealed, when this was proposed. */
  readonly epoch: Epoch;
  readonly leftRangeId: RangeId;
  readonly leftBounds: number;
  readonly replicas: readonly ReplicaPair[];
}

export interface UnsealEntry {
  /** Of the sealed range. */
  readonly bounds: number;
  readonly leftRangeId: RangeId;
  /** The left range has had these bounds, by what it committed, and not taken this range in: a seal under lower ones is void. */
  readonly provenBounds: number;
}

export interface MergeEntry {
  /** Of the left range. */
  readonly epoch: Epoch;
  readonly rightRangeId: RangeId;
  readonly rightBounds: number;
  readonly sealIndex: LogIndex;
  readonly sealTerm: Term;
  /** Of the right range. */
  readonly end: Key;
  readonly replicas: readonly ReplicaPair[];
}

export interface CancelEntry {
  /** Of the left range: they rise, so a merge proposed before falls. */
  readonly bounds: number;
}

export function encodeSeal(seal: SealEntry, operations: ByteOperations): Uint8Array {
  const writer = begin("seal", operations);
  writer.uint53(seal.epoch.bounds);
  writer.uint53(seal.epoch.members);
  writer.uint53(seal.leftRangeId);
  writer.uint53(seal.leftBounds);
  writePairs(writer, seal.replicas);
  return writer.finish();
}

/** Of the data of a `normal` entry. */
export const isSeal = (data: Uint8Array): boolean => data[0] === entryFormat && data[1] === entryKinds.seal;

/** As the others here: throws `MalformedError`. */
export function decodeSeal(data: Uint8Array): SealEntry {
  const reader = open(data, "seal");
  const epoch = { bounds: reader.uint53(), members: reader.uint53() };
  const seal = {
    epoch,
    leftRangeId: rangeId(reader.uint53()),
    leftBounds: reader.uint53(),
    replicas: readPairs(reader),
  };
  return end(reader, seal);
}

export function encodeUnseal(unseal: UnsealEntry, operations: ByteOperations): Uint8Array {
  const writer = begin("unseal", operations);
  writer.uint53(unseal.bounds);
  writer.uint53(unseal.leftRangeId);
  writer.uint53(unseal.provenBounds);
  return writer.finish();
}

export function decodeUnseal(data: Uint8Array): UnsealEntry {
  const reader = open(data, "unseal");
  const unseal = {
    bounds: reader.uint53(),
    leftRangeId: rangeId(reader.uint53()),
    provenBounds: reader.uint53(),
  };
  return end(reader, unseal);
}

export function encodeMergeEntry(merge: MergeEntry, operations: ByteOperations): Uint8Array {
  const writer = begin("merge", operations);
  writer.uint53(merge.epoch.bounds);
  writer.uint53(merge.epoch.members);
  writer.uint53(merge.rightRangeId);
  writer.uint53(merge.rightBounds);
  writer.uint53(merge.sealIndex);
  writer.uint53(merge.sealTerm);
  writer.uint16(merge.end.length);
  writer.binaryString(merge.end);
  writePairs(writer, merge.replicas);
  return writer.finish();
}

export function decodeMergeEntry(data: Uint8Array, operations: ByteOperations): MergeEntry {
  const reader = open(data, "merge");
  const merge = {
    epoch: { bounds: reader.uint53(), members: reader.uint53() },
    rightRangeId: rangeId(reader.uint53()),
    rightBounds: reader.uint53(),
    sealIndex: logIndex(reader.uint53()),
    sealTerm: term(reader.uint53()),
    end: reader.binaryString(reader.uint16(), operations) as Key,
    replicas: readPairs(reader),
  };
  return end(reader, merge);
}

export function encodeCancel({ bounds }: CancelEntry, operations: ByteOperations): Uint8Array {
  const writer = begin("cancel", operations);
  writer.uint53(bounds);
  return writer.finish();
}

export function decodeCancel(data: Uint8Array): CancelEntry {
  const reader = open(data, "cancel");
  return end(reader, { bounds: reader.uint53() });
}

type MergeKind = "seal" | "unseal" | "merge" | "cancel";

function begin(kind: MergeKind, operations: ByteOperations): BinaryWriter {
  const writer = new BinaryWriter(operations, 128);
  writer.uint8(entryFormat);
  writer.uint8(entryKinds[kind]);
  return writer;
}

function open(data: Uint8Array, kind: MergeKind): BinaryReader {
  const reader = new BinaryReader(data);
  if (reader.uint8() !== entryFormat || reader.uint8() !== entryKinds[kind])
    throw new MalformedError(`not a ${kind} of format ${entryFormat}: first bytes ${data[0]}, ${data[1]}`);
  return reader;
}

function end<T>(reader: BinaryReader, entry: T): T {
  if (reader.remaining > 0) throw new MalformedError(`${reader.remaining} bytes behind the end of the entry`);
  return entry;
}

function writePairs(writer: BinaryWriter, pairs: readonly ReplicaPair[]): void {
  writer.uint16(pairs.length);
  for (const { right, left } of pairs) {
    writer.uint53(right);
    writer.uint53(left);
  }
}

function readPairs(reader: BinaryReader): ReplicaPair[] {
  const count = reader.uint16();
  if (count > replicasPerRangeMax)
    throw new MalformedError(`${count} pairs of replicas, at most ${replicasPerRangeMax}`);
  const pairs: ReplicaPair[] = [];
  for (let i = 0; i < count; i++) pairs.push({ right: replicaId(reader.uint53()), left: replicaId(reader.uint53()) });
  return pairs;
}
