/**
 * Body of a `raft` message, big-endian; ids, terms and indexes are 53-bit integers in 8 bytes.
 *
 *     kind                     1 byte, see `kindNumber`
 *     range id, from, to       8 bytes each, from 1
 *     term                     8 bytes, from 1
 *
 *     append                   previous index 8, previous term 8, commit 8, number of entries 4, then per entry:
 *                                  term 8, kind 1 (0 normal, 1 configuration), length 4, data
 *     append-response          index 8, hint index 8, hint term 8, reject 1 (0 or 1)
 *     heartbeat                commit 8, its term 8, context 8, lease in milliseconds 4, rests 1 (0 or 1)
 *     heartbeat-response       context 8
 *     pre-vote, vote           last index 8, last term 8, transfer 1 (0 or 1)
 *     pre-vote-response, vote-response   reject 1 (0 or 1)
 *     timeout-now              nothing
 *     snapshot                 index 8, term 8, automatic leave 1 (0 or 1), then voters, outgoing voters, learners,
 *                              next learners: number 2, ids 8 each, rising
 *
 * An entry's index is not sent: entries follow the previous index without a gap, and the writer asserts that they do.
 */
import { InvariantError, MalformedError, integerMax } from "@flotilla/base";
import type { BinaryReader, BinaryWriter, LogIndex, RangeId, ReplicaId, Term } from "@flotilla/base";
import type { Append, Configuration, Entry, InstallSnapshot, Message, MessageType } from "@flotilla/raft";
import type { RaftEnvelope } from "../peer-messages.ts";
import { membersMax } from "../protocol.ts";
import { count, positive, putInteger, putUint32 } from "./fields.ts";

const kindNumber: Readonly<Record<MessageType, number>> = {
  append: 1,
  "append-response": 2,
  heartbeat: 3,
  "heartbeat-response": 4,
  "pre-vote": 5,
  vote: 6,
  "pre-vote-response": 7,
  "vote-response": 8,
  "timeout-now": 9,
  snapshot: 10,
};

const headBytes = 33;
const appendBytes = 28;
const entryBytes = 13;

/** Bytes of the body. */
export function raftBodyBytes({ message }: RaftEnvelope): number {
  switch (message.type) {
    case "append": {
      const { entries } = message;
      let total = headBytes + appendBytes + entryBytes * entries.length;
      for (let i = 0; i < entries.length; i++) total += entries[i]!.data.length;
      return total;
    }
    case "append-response":
      return headBytes + 25;
    case "heartbeat":
      return headBytes + 29;
    case "heartbeat-response":
      return headBytes + 8;
    case "pre-vote":
    case "vote":
      return headBytes + 17;
    case "pre-vote-response":
    case "vote-response":
      return headBytes + 1;
    case "timeout-now":
      return headBytes;
    case "snapshot": {
      const { voters, votersOutgoing, learners, learnersNext } = message.label.configuration;
      return headBytes + 25 + 8 * (voters.length + votersOutgoing.length + learners.length + learnersNext.length);
    }
    default:
      throw new InvariantError(`no layout for raft message ${(message satisfies never as Message).type}`);
  }
}

export function writeRaft(writer: BinaryWriter, envelope: RaftEnvelope): void {
  const { message } = envelope;
  writer.uint8(kindNumber[message.type]);
  writer.uint53(envelope.rangeId);
  writer.uint53(message.from);
  writer.uint53(message.to);
  writer.uint53(message.term);
  switch (message.type) {
    case "append":
      return writeAppend(writer, message);
    case "append-response":
      writer.uint53(message.index);
      writer.uint53(message.hintIndex);
      writer.uint53(message.hintTerm);
      writer.uint8(message.reject ? 1 : 0);
      return;
    case "heartbeat":
      writer.uint53(message.commit);
      writer.uint53(message.commitTerm);
      putInteger(writer, message.context);
      // A lease that arrived shorter than the leader counts with would be unsafe: a fraction is refused, not cut off.
      putUint32(writer, message.leaseMs);
      writer.uint8(message.rests ? 1 : 0);
      return;
    case "heartbeat-response":
      putInteger(writer, message.context);
      return;
    case "pre-vote":
    case "vote":
      writer.uint53(message.lastIndex);
      writer.uint53(message.lastTerm);
      writer.uint8(message.transfer ? 1 : 0);
      return;
    case "pre-vote-response":
    case "vote-response":
      writer.uint8(message.reject ? 1 : 0);
      return;
    case "timeout-now":
      return;
    case "snapshot":
      return writeSnapshot(writer, message);
    default:
      throw new InvariantError(`no layout for raft message ${(message satisfies never as Message).type}`);
  }
}

function writeAppend(writer: BinaryWriter, { prevIndex, prevTerm, commit, entries }: Append): void {
  writer.uint53(prevIndex);
  writer.uint53(prevTerm);
  writer.uint53(commit);
  writer.uint32(entries.length);
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i]!;
    if (entry.index !== prevIndex + 1 + i) {
      throw new InvariantError(`entry ${i} of an append behind index ${prevIndex} has index ${entry.index}`);
    }
    writer.uint53(entry.term);
    writer.uint8(entry.kind === "normal" ? 0 : 1);
    writer.uint32(entry.data.length);
    writer.raw(entry.data);
  }
}

function writeSnapshot(writer: BinaryWriter, { label }: InstallSnapshot): void {
  const { configuration } = label;
  writer.uint53(label.index);
  writer.uint53(label.term);
  writer.uint8(configuration.autoLeave ? 1 : 0);
  writeMembers(writer, configuration.voters);
  writeMembers(writer, configuration.votersOutgoing);
  writeMembers(writer, configuration.learners);
  writeMembers(writer, configuration.learnersNext);
}

function writeMembers(writer: BinaryWriter, members: readonly ReplicaId[]): void {
  if (members.length > membersMax)
    throw new InvariantError(`${members.length} members, at most ${membersMax} are allowed`);
  writer.uint16(members.length);
  for (const member of members) writer.uint53(member);
}

export function readRaft(reader: BinaryReader): RaftEnvelope {
  const kind = reader.uint8();
  const rangeId = positive(reader, "range id") as RangeId;
  const from = positive(reader, "sender") as ReplicaId;
  const to = positive(reader, "receiver") as ReplicaId;
  const term = positive(reader, "term") as Term;
  return { type: "raft", rangeId, message: readMessage(reader, kind, from, to, term) };
}

function readMessage(reader: BinaryReader, kind: number, from: ReplicaId, to: ReplicaId, term: Term): Message {
  switch (kind) {
    case 1:
      return readAppend(reader, from, to, term);
    case 2: {
      const index = reader.uint53() as LogIndex;
      const hintIndex = reader.uint53() as LogIndex;
      const hintTerm = reader.uint53() as Term;
      return { type: "append-response", from, to, term, index, reject: flag(reader), hintIndex, hintTerm };
    }
    case 3: {
      const commit = reader.uint53() as LogIndex;
      const commitTerm = reader.uint53() as Term;
      const context = reader.uint53();
      const leaseMs = reader.uint32();
      return { type: "heartbeat", from, to, term, commit, commitTerm, context, leaseMs, rests: flag(reader) };
    }
    case 4:
      return { type: "heartbeat-response", from, to, term, context: reader.uint53() };
    case 5:
    case 6: {
      const lastIndex = reader.uint53() as LogIndex;
      const lastTerm = reader.uint53() as Term;
      return { type: kind === 5 ? "pre-vote" : "vote", from, to, term, lastIndex, lastTerm, transfer: flag(reader) };
    }
    case 7:
    case 8:
      return { type: kind === 7 ? "pre-vote-response" : "vote-response", from, to, term, reject: flag(reader) };
    case 9:
      return { type: "timeout-now", from, to, term };
    case 10: {
      const index = positive(reader, "snapshot index") as LogIndex;
      const labelTerm = positive(reader, "snapshot term") as Term;
      return {
        type: "snapshot",
        from,
        to,
        term,
        label: { index, term: labelTerm, configuration: readConfiguration(reader) },
      };
    }
    default:
      throw new MalformedError(`unknown raft message ${kind}`);
  }
}

function readAppend(reader: BinaryReader, from: ReplicaId, to: ReplicaId, term: Term): Append {
  const prevIndex = reader.uint53() as LogIndex;
  const prevTerm = reader.uint53() as Term;
  const commit = reader.uint53() as LogIndex;
  const length = count(reader, entryBytes, "entries");
  if (prevIndex + length > integerMax) throw new MalformedError(`${length} entries behind index ${prevIndex}`);
  const entries: Entry[] = [];
  for (let i = 1; i <= length; i++) {
    const entryTerm = positive(reader, "entry term") as Term;
    const kind = reader.uint8();
    if (kind > 1) throw new MalformedError(`unknown entry kind ${kind}`);
    const data = reader.subarray(reader.uint32());
    entries.push({
      index: (prevIndex + i) as LogIndex,
      term: entryTerm,
      kind: kind === 0 ? "normal" : "configuration",
      data,
    });
  }
  return { type: "append", from, to, term, prevIndex, prevTerm, entries, commit };
}

function readConfiguration(reader: BinaryReader): Configuration {
  const autoLeave = flag(reader);
  const voters = readMembers(reader);
  const votersOutgoing = readMembers(reader);
  const learners = readMembers(reader);
  const learnersNext = readMembers(reader);
  return { voters, votersOutgoing, learners, learnersNext, autoLeave };
}

function readMembers(reader: BinaryReader): ReplicaId[] {
  const length = reader.uint16();
  if (length > membersMax) throw new MalformedError(`${length} members, at most ${membersMax} are allowed`);
  const members: ReplicaId[] = [];
  let last = 0;
  for (let i = 0; i < length; i++) {
    const member = reader.uint53();
    if (member <= last) throw new MalformedError(`member ${member} does not rise above ${last}`);
    last = member;
    members.push(member as ReplicaId);
  }
  return members;
}

function flag(reader: BinaryReader): boolean {
  const value = reader.uint8();
  if (value > 1) throw new MalformedError(`a flag is ${value}, must be 0 or 1`);
  return value === 1;
}
