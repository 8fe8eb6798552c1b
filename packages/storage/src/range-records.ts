/**
 * The records that a range keeps about itself, under `02 rangeId name` in the engine. They travel with the range in
 * snapshots and are written in the same batch as the data they speak of (hazard F10). Each is a sealed value
 * (`sealed-value.ts`) of format number 1; integers are big-endian, 53-bit ones take 8 bytes. Bodies:
 *
 *     descriptor      rangeId 8, start (length 2, bytes), end (length 2, bytes), bounds 8, members 8,
 *                     count 2, then by rising replica id: replicaId 8, storeId 8, role 1
 *     configuration   autoLeave 1, then voters, votersOutgoing, learners, learnersNext: count 2, rising ids of 8
 *     applied         index 8, term 8, lastVersion 8
 *     merge           see `merge-record.ts`; absent where it would say nothing
 *     session + id    see `session-record.ts`
 *
 * Decoders throw `MalformedError`; whoever read the bytes from a store reports that as corruption.
 */
import { MalformedError, assert, keyBytesMax, logIndex, term, version } from "@flotilla/base";
import type {
  BinaryReader,
  BinaryWriter,
  ByteOperations,
  Key,
  LogIndex,
  RangeDescriptor,
  RangeId,
  ReplicaDescriptor,
  ReplicaId,
  ReplicaRole,
  StoreId,
  Term,
  Version,
} from "@flotilla/base";
import { beginSealed, expectEnd, openSealed, seal } from "./sealed-value.ts";

/** The names, for `rangeRecordKey`. */
export const rangeRecordNames = {
  descriptor: "descriptor",
  configuration: "configuration",
  applied: "applied",
  merge: "merge",
  /** A prefix: the client's id follows (`sessionRecordName`). */
  session: "session",
} as const;

/** More replicas than any range can have: a bound for decoders. */
export const replicasPerRangeMax = 64;

/** A bound is a logical key, which has one byte in front of the user's key, or the key right after one. */
const boundBytesMax: number = keyBytesMax + 2;

const descriptorFormat = 1;
const configurationFormat = 1;
const appliedFormat = 1;

/** Members of the range's Raft group, as Raft itself has them; each list rises and has no duplicates. */
export interface MemberConfiguration {
  readonly voters: readonly ReplicaId[];
  /** Empty unless joint. */
  readonly votersOutgoing: readonly ReplicaId[];
  readonly learners: readonly ReplicaId[];
  readonly learnersNext: readonly ReplicaId[];
  readonly autoLeave: boolean;
}

/** What the engine holds of a range: everything up to and with the entry at `index`. */
export interface AppliedState {
  readonly index: LogIndex;
  readonly term: Term;
  /** The highest version given to a command in or before that entry. */
  readonly lastVersion: Version;
}

export function encodeDescriptor(
  engineKey: Uint8Array,
  descriptor: RangeDescriptor,
  operations: ByteOperations,
): Uint8Array {
  const writer = beginSealed(descriptorFormat, operations, 256);
  writeDescriptor(writer, descriptor);
  return seal(engineKey, writer, operations);
}

export function decodeDescriptor(
  engineKey: Uint8Array,
  value: Uint8Array,
  operations: ByteOperations,
): RangeDescriptor {
  const reader = openSealed(engineKey, value, descriptorFormat, operations);
  const descriptor = readDescriptor(reader, operations);
  expectEnd(reader);
  return descriptor;
}

/** The body alone, for formats that hold a descriptor among other things. */
export function writeDescriptor(writer: BinaryWriter, descriptor: RangeDescriptor): void {
  writer.uint53(descriptor.rangeId);
  writeBound(writer, descriptor.start);
  writeBound(writer, descriptor.end);
  writer.uint53(descriptor.epoch.bounds);
  writer.uint53(descriptor.epoch.members);
  const replicas = descriptor.replicas.toSorted((a, b) => a.replicaId - b.replicaId);
  writeCount(writer, replicas.length);
  for (const replica of replicas) {
    writer.uint53(replica.replicaId);
    writer.uint53(replica.storeId);
    writer.uint8(roles.indexOf(replica.role));
  }
}

export function readDescriptor(reader: BinaryReader, operations: ByteOperations): RangeDescriptor {
  const rangeId = reader.uint53() as RangeId;
  const start = readBound(reader, operations);
  const end = readBound(reader, operations);
  if (start >= end) throw new MalformedError("a range whose start is not below its end");
  const epoch = { bounds: reader.uint53(), members: reader.uint53() };
  const count = readCount(reader);
  const replicas: ReplicaDescriptor[] = [];
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const replicaId = reader.uint53() as ReplicaId;
    if (replicaId <= previous) throw new MalformedError(`replica id ${replicaId} after ${previous}`);
    previous = replicaId;
    const storeId = reader.uint53() as StoreId;
    replicas.push({ replicaId, storeId, role: readRole(reader) });
  }
  return { rangeId, start, end, epoch, replicas };
}

export function encodeConfiguration(
  engineKey: Uint8Array,
  configuration: MemberConfiguration,
  operations: ByteOperations,
): Uint8Array {
  const writer = beginSealed(configurationFormat, operations, 128);
  writer.uint8(configuration.autoLeave ? 1 : 0);
  writeMembers(writer, configuration.voters);
  writeMembers(writer, configuration.votersOutgoing);
  writeMembers(writer, configuration.learners);
  writeMembers(writer, configuration.learnersNext);
  return seal(engineKey, writer, operations);
}

export function decodeConfiguration(
  engineKey: Uint8Array,
  value: Uint8Array,
  operations: ByteOperations,
): MemberConfiguration {
  const reader = openSealed(engineKey, value, configurationFormat, operations);
  const autoLeave = reader.uint8();
  if (autoLeave > 1) throw new MalformedError(`autoLeave must be 0 or 1, is ${autoLeave}`);
  const configuration = {
    voters: readMembers(reader),
    votersOutgoing: readMembers(reader),
    learners: readMembers(reader),
    learnersNext: readMembers(reader),
    autoLeave: autoLeave === 1,
  };
  expectEnd(reader);
  return configuration;
}

export function encodeApplied(engineKey: Uint8Array, applied: AppliedState, operations: ByteOperations): Uint8Array {
  const writer = beginSealed(appliedFormat, operations, 32);
  writer.uint53(applied.index);
  writer.uint53(applied.term);
  writer.uint53(applied.lastVersion);
  return seal(engineKey, writer, operations);
}

export function decodeApplied(engineKey: Uint8Array, value: Uint8Array, operations: ByteOperations): AppliedState {
  const reader = openSealed(engineKey, value, appliedFormat, operations);
  const applied = {
    index: logIndex(reader.uint53()),
    term: term(reader.uint53()),
    lastVersion: version(reader.uint53()),
  };
  expectEnd(reader);
  return applied;
}

/** Their place in the list is their number on disk. */
const roles: readonly ReplicaRole[] = ["voter", "learner", "incoming", "outgoing"];

function readRole(reader: BinaryReader): ReplicaRole {
  const number = reader.uint8();
  const role = roles[number];
  if (role === undefined) throw new MalformedError(`unknown replica role ${number}`);
  return role;
}

export function writeBound(writer: BinaryWriter, bound: Key): void {
  assert(bound.length <= boundBytesMax, () => `a bound of ${bound.length} bytes, at most ${boundBytesMax}`);
  writer.uint16(bound.length);
  writer.binaryString(bound);
}

export function readBound(reader: BinaryReader, operations: ByteOperations): Key {
  const length = reader.uint16();
  if (length > boundBytesMax) throw new MalformedError(`a bound of ${length} bytes, at most ${boundBytesMax}`);
  return reader.binaryString(length, operations) as Key;
}

function writeMembers(writer: BinaryWriter, members: readonly ReplicaId[]): void {
  const sorted = members.toSorted((a, b) => a - b);
  writeCount(writer, sorted.length);
  for (const member of sorted) writer.uint53(member);
}

function readMembers(reader: BinaryReader): ReplicaId[] {
  const count = readCount(reader);
  const members: ReplicaId[] = [];
  let previous = 0;
  for (let i = 0; i < count; i++) {
    const member = reader.uint53() as ReplicaId;
    if (member <= previous) throw new MalformedError(`replica id ${member} after ${previous}`);
    previous = member;
    members.push(member);
  }
  return members;
}

function writeCount(writer: BinaryWriter, count: number): void {
  assert(count <= replicasPerRangeMax, () => `${count} replicas, at most ${replicasPerRangeMax}`);
  writer.uint16(count);
}

function readCount(reader: BinaryReader): number {
  const count = reader.uint16();
  if (count > replicasPerRangeMax) throw new MalformedError(`${count} replicas, at most ${replicasPerRangeMax}`);
  return count;
}
