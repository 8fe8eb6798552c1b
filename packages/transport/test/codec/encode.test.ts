import { describe, expect, it } from "vitest";
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, Key, LogIndex, RangeId, ReplicaId, Term, Version } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import {
  commandBatchBytes,
  createCodec,
  messageHeaderBytes,
  payloadHeaderBytes,
  raftBodyBytes,
} from "@flotilla/transport";
import type { Command, CommandBatch, RaftEnvelope } from "@flotilla/transport";

const codec = createCodec(nodeByteOperations);

const command: Command = {
  number: 1,
  kind: "put",
  condition: "none",
  expected: 0 as Version,
  firstSent: 5 as Version,
  key: "\x01key" as Key,
  value: Uint8Array.of(1, 2, 3),
};

const batch = (commands: Command[]): CommandBatch => ({
  type: "commands",
  batchId: 1,
  rangeId: 7 as RangeId,
  bounds: 1,
  clientId: 2,
  floor: 1,
  seen: 5 as Version,
  commands,
});

const append = (entries: readonly { index: number; data: Uint8Array }[]): RaftEnvelope => ({
  type: "raft",
  rangeId: 7 as RangeId,
  message: {
    type: "append",
    from: 1 as ReplicaId,
    to: 2 as ReplicaId,
    term: 3 as Term,
    prevIndex: 10 as LogIndex,
    prevTerm: 3 as Term,
    commit: 10 as LogIndex,
    entries: entries.map(({ index, data }) => ({ index: index as LogIndex, term: 3 as Term, kind: "normal", data })),
  },
});

describe("encoding", () => {
  it("allocates exactly once, for exactly the payload", () => {
    const lengths: number[] = [];
    const counting: ByteOperations = {
      ...nodeByteOperations,
      allocate(length) {
        lengths.push(length);
        return nodeByteOperations.allocate(length);
      },
    };
    const payload = createCodec(counting).encodeClient([
      batch(Array.from({ length: 50 }, () => command)),
      batch([command]),
    ]);
    expect(lengths).toEqual([payload.length]);
  });

  it("says the size of hot messages before they are encoded, so that bundles can be bounded", () => {
    const commands = batch([command, { ...command, expected: 9 as Version, condition: "if-version" }]);
    const entries = append([{ index: 11, data: new Uint8Array(100) }]);
    expect(codec.encodeClient([commands])).toHaveLength(
      payloadHeaderBytes + messageHeaderBytes + commandBatchBytes(commands),
    );
    expect(codec.encodePeer([entries])).toHaveLength(payloadHeaderBytes + messageHeaderBytes + raftBodyBytes(entries));
  });

  it("gives views of the payload to the receiver, no copies", () => {
    const payload = codec.encodePeer([append([{ index: 11, data: Uint8Array.of(1, 2, 3) }])]);
    const [envelope] = codec.decodePeer(payload) as RaftEnvelope[];
    const message = envelope!.message as Extract<RaftEnvelope["message"], { type: "append" }>;
    expect(message.entries[0]!.data.buffer).toBe(payload.buffer);
  });

  it("refuses entries that do not follow the previous index", () => {
    expect(() => codec.encodePeer([append([{ index: 12, data: new Uint8Array(1) }])])).toThrow(InvariantError);
  });

  it("I4 refuses numbers that are no 53-bit integers", () => {
    for (const number of [2 ** 53, -1, 1.5, NaN]) {
      expect(() => codec.encodeClient([batch([{ ...command, number }])])).toThrow(/must be an integer/);
    }
  });

  it("refuses a lease with a fraction: it would arrive shorter than the leader counts with", () => {
    const heartbeat: RaftEnvelope = {
      type: "raft",
      rangeId: 7 as RangeId,
      message: {
        type: "heartbeat",
        from: 1 as ReplicaId,
        to: 2 as ReplicaId,
        term: 3 as Term,
        commit: 1 as LogIndex,
        commitTerm: 1 as Term,
        context: 0,
        leaseMs: 1600.8,
        rests: false,
      },
    };
    expect(() => codec.encodePeer([heartbeat])).toThrow(InvariantError);
  });

  it("refuses a key that is too long, a delete with a value, and a payload that is too large", () => {
    expect(() => codec.encodeClient([batch([{ ...command, key: "x".repeat(4098) as Key }])])).toThrow(
      /key of 4098 bytes/,
    );
    expect(() => codec.encodeClient([batch([{ ...command, kind: "delete" }])])).toThrow(/carries a value/);
    expect(() => codec.encodeClient([batch([{ ...command, value: new Uint8Array(20 * 1024 * 1024) }])])).toThrow(
      /payload of \d+ bytes/,
    );
  });

  it("cuts off a message text that is too long instead of losing the answer", () => {
    const [results] = codec.decodeServer(
      codec.encodeServer([
        {
          type: "command-results",
          batchId: 1,
          seen: 0 as Version,
          results: [
            {
              number: 1,
              status: "refused",
              version: 0 as Version,
              existed: false,
              code: "Busy",
              message: "ü".repeat(100_000),
            },
          ],
        },
      ]),
    );
    const { message } = (results as Extract<typeof results, { type: "command-results" }>)!.results[0]!;
    expect(message).toMatch(/^ü+$/);
    expect(message.length).toBeGreaterThan(5_000);
  });

  it("encodes as before after a message that could not be encoded", () => {
    const admin = { type: "admin", requestId: 1, name: "x", arguments: [] } as const;
    const before = codec.encodeClient([admin]);
    expect(() =>
      codec.encodeClient([admin, batch([{ ...command, value: new Uint8Array(20 * 1024 * 1024) }])]),
    ).toThrow();
    const other = { ...admin, requestId: 2 };
    expect(() => codec.encodeClient([batch([{ ...command, number: -1 }]), other])).toThrow();
    expect(codec.encodeClient([admin])).toEqual(before);
  });
});
