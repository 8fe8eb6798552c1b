/**
 * What a range keeps of merges, under `02 rangeId "merge"`: that it is sealed, to be taken in by its left neighbour, and
 * which range it took in last. A sealed value (`sealed-value.ts`) of format number 1:
 *
 *     sealed 1 (0, 1); when 1: left range 8, left bounds 8, index 8, term 8, count 2, then by rising replica id:
 *                              replica id 8, the left range's replica on the same store 8
 *     merged 1 (0, 1); when 1: range taken in 8, bounds before that 8
 */
import { MalformedError, assert, logIndex, term } from "@flotilla/base";
import type { BinaryReader, ByteOperations, LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import { replicasPerRangeMax } from "./range-records.ts";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** Nothing is written to the range or read from it until its left neighbour has taken it in, or is proven not to. */
export interface SealRecord {
  readonly leftRangeId: RangeId;
  /** Of the left range's epoch: a merge under any other bounds does not concern this seal. */
  readonly leftBounds: number;
  /** Where the seal stands in the range's log. */
  readonly index: LogIndex;
  readonly term: Term;
  /** For each replica of the range the left range's on the same store. */
  readonly replicas: readonly { readonly right: ReplicaId; readonly left: ReplicaId }[];
}

export interface MergedRecord {
  readonly rangeId: RangeId;
  /** Of this range's epoch, before it took the other in. */
  readonly bounds: number;
}

export interface MergeRecord {
  readonly sealed: SealRecord | undefined;
  readonly merged: MergedRecord | undefined;
}

const mergeFormat = 1;

export function encodeMerge(
  engineKey: Uint8Array,
  { sealed, merged }: MergeRecord,
  operations: ByteOperations,
): Uint8Array {
  const writer = beginSealed(mergeFormat, operations, 128);
  writer.uint8(sealed === undefined ? 0 : 1);
  if (sealed !== undefined) {
    writer.uint53(sealed.leftRangeId);
    writer.uint53(sealed.leftBounds);
    writer.uint53(sealed.index);
    writer.uint53(sealed.term);
    const { length } = sealed.replicas;
    assert(length <= replicasPerRangeMax, () => `${length} replicas, at most ${replicasPerRangeMax}`);
    writer.uint16(length);
    for (const { right, left } of sealed.replicas.toSorted((a, b) => a.right - b.right)) {
      writer.uint53(right);
      writer.uint53(left);
    }
  }
  writer.uint8(merged === undefined ? 0 : 1);
  if (merged !== undefined) {
    writer.uint53(merged.rangeId);
    writer.uint53(merged.bounds);
  }
  return seal(engineKey, writer, operations);
}

/** Throws `MalformedError`. */
export function decodeMerge(engineKey: Uint8Array, value: Uint8Array, operations: ByteOperations): MergeRecord {
  const reader = openSealed(engineKey, value, mergeFormat, operations);
  const sealed = readFlag(reader) ? readSeal(reader) : undefined;
  const merged = readFlag(reader) ? { rangeId: reader.uint53() as RangeId, bounds: reader.uint53() } : undefined;
  expectEnd(reader);
  return { sealed, merged };
}

function readSeal(reader: BinaryReader): SealRecord {
  const leftRangeId = reader.uint53() as RangeId;
  const leftBounds = reader.uint53();
  const index = logIndex(reader.uint53());
  const sealTerm = term(reader.uint53());
  const count = reader.uint16();
  if (count > replicasPerRangeMax) throw new MalformedError(`${count} replicas, at most ${replicasPerRangeMax}`);
  const replicas: SealRecord["replicas"][number][] = [];
  for (let i = 0; i < count; i++)
    replicas.push({ right: reader.uint53() as ReplicaId, left: reader.uint53() as ReplicaId });
  return { leftRangeId, leftBounds, index, term: sealTerm, replicas };
}

function readFlag(reader: BinaryReader): boolean {
  const flag = reader.uint8();
  if (flag > 1) throw new MalformedError(`a flag must be 0 or 1, is ${flag}`);
  return flag === 1;
}
