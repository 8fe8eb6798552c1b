import { MalformedError, compareKeys, incarnation, key, rangeId, replicaId, storeId, version } from "@flotilla/base";
import type { LogIndex, RangeDescriptor, Term } from "@flotilla/base";
import { nodeByteOperations as operations } from "@flotilla/platform";
import {
  decodeApplied,
  decodeConfiguration,
  decodeDescriptor,
  decodeIncarnation,
  decodeMerge,
  decodeSession,
  encodeApplied,
  encodeConfiguration,
  encodeDescriptor,
  encodeIncarnation,
  encodeMerge,
  encodeSession,
  rangeRecordKey,
  rangeRecordNames,
  rangeRecordsEnd,
  replicasPerRangeMax,
  sessionClientId,
  sessionRecordKey,
  sessionRecordsEnd,
  storeRecordKey,
  storeRecordNames,
} from "../src/index.ts";
import type { MemberConfiguration, SessionEntry, SessionRow } from "../src/index.ts";
import { describe, expect, test } from "vitest";

const range = rangeId(7);
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const descriptor: RangeDescriptor = {
  rangeId: range,
  start: key("\x01a"),
  end: key("\x01\xff\x00"),
  epoch: { bounds: 3, members: 9007199254740991 },
  replicas: [
    { replicaId: replicaId(11), storeId: storeId(1), role: "voter" },
    { replicaId: replicaId(12), storeId: storeId(2), role: "learner" },
    { replicaId: replicaId(13), storeId: storeId(3), role: "incoming" },
    { replicaId: replicaId(14), storeId: storeId(4), role: "outgoing" },
  ],
};
const configuration: MemberConfiguration = {
  voters: [11, 12, 13].map(replicaId),
  votersOutgoing: [11, 14].map(replicaId),
  learners: [15].map(replicaId),
  learnersNext: [14].map(replicaId),
  autoLeave: true,
};
const applied = { index: 5 as LogIndex, term: 2 as Term, lastVersion: version(2 ** 52 + 1) };
const row: SessionRow = {
  floor: 40,
  lastUsed: version(99),
  entries: new Map<number, SessionEntry>([
    [43, { status: "condition-failed", version: version(0), existed: false, firstSent: version(8) }],
    [40, { status: "applied", version: version(77), existed: true, firstSent: version(7) }],
    [41, { status: "condition-failed", version: version(3), existed: true, firstSent: version(8) }],
  ]),
};

const merge = {
  sealed: {
    leftRangeId: rangeId(6),
    leftBounds: 9,
    index: 12 as LogIndex,
    term: 5 as Term,
    replicas: [
      { right: replicaId(11), left: replicaId(21) },
      { right: replicaId(12), left: replicaId(22) },
    ],
  },
  merged: { rangeId: rangeId(8), bounds: 2 },
};

const keys = {
  merge: rangeRecordKey(range, rangeRecordNames.merge, operations),
  descriptor: rangeRecordKey(range, rangeRecordNames.descriptor, operations),
  configuration: rangeRecordKey(range, rangeRecordNames.configuration, operations),
  applied: rangeRecordKey(range, rangeRecordNames.applied, operations),
  session: sessionRecordKey(range, 2 ** 53 - 1, operations),
  incarnation: storeRecordKey(storeRecordNames.incarnation, operations),
};

/** Every codec: what it encodes to, and its decoder. */
const codecs: Record<
  string,
  { at: Uint8Array; value: Uint8Array; decode: (at: Uint8Array, value: Uint8Array) => unknown; decoded: unknown }
> = {
  descriptor: {
    at: keys.descriptor,
    value: encodeDescriptor(keys.descriptor, descriptor, operations),
    decode: (at, value) => decodeDescriptor(at, value, operations),
    decoded: descriptor,
  },
  configuration: {
    at: keys.configuration,
    value: encodeConfiguration(keys.configuration, configuration, operations),
    decode: (at, value) => decodeConfiguration(at, value, operations),
    decoded: configuration,
  },
  applied: {
    at: keys.applied,
    value: encodeApplied(keys.applied, applied, operations),
    decode: (at, value) => decodeApplied(at, value, operations),
    decoded: applied,
  },
  merge: {
    at: keys.merge,
    value: encodeMerge(keys.merge, merge, operations),
    decode: (at, value) => decodeMerge(at, value, operations),
    decoded: merge,
  },
  unsealed: {
    at: keys.merge,
    value: encodeMerge(keys.merge, { sealed: undefined, merged: undefined }, operations),
    decode: (at, value) => decodeMerge(at, value, operations),
    decoded: { sealed: undefined, merged: undefined },
  },
  session: {
    at: keys.session,
    value: encodeSession(keys.session, row, operations),
    decode: (at, value) => decodeSession(at, value, operations),
    decoded: row,
  },
  incarnation: {
    at: keys.incarnation,
    value: encodeIncarnation(keys.incarnation, incarnation(12), operations),
    decode: (at, value) => decodeIncarnation(at, value, operations),
    decoded: 12,
  },
};

describe.each(Object.entries(codecs))("%s", (_name, { at, value, decode, decoded }) => {
  test("decodes to what was encoded", () => {
    expect(decode(at, value)).toEqual(decoded);
  });

  test("F16 a flipped bit is refused, wherever it is", () => {
    const damaged = Uint8Array.from(value);
    for (let bit = 0; bit < value.length * 8; bit++) {
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      expect(() => decode(at, damaged)).toThrow(MalformedError);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("is refused when cut short, lengthened or found under another key", () => {
    for (let length = 0; length < value.length; length++) {
      expect(() => decode(at, value.subarray(0, length))).toThrow(MalformedError);
    }
    expect(() => decode(at, Uint8Array.of(...value, 0))).toThrow(MalformedError);
    expect(() => decode(rangeRecordKey(rangeId(8), "applied", operations), value)).toThrow(MalformedError);
  });
});

test("the bytes of each record are those of format 1", () => {
  // A change here is a change of the format on disk: it takes a new format number, and a decoder for both.
  const bytes = Object.fromEntries(Object.entries(codecs).map(([name, { value }]) => [name, hex(value)]));
  expect(bytes).toMatchInlineSnapshot(`
    {
      "applied": "0100000000000000050000000000000002001000000000000125336d01",
      "configuration": "01010003000000000000000b000000000000000c000000000000000d0002000000000000000b000000000000000e0001000000000000000f0001000000000000000e6fed45da",
      "descriptor": "01000000000000000700020161000301ff000000000000000003001fffffffffffff0004000000000000000b000000000000000100000000000000000c000000000000000201000000000000000d000000000000000302000000000000000e00000000000000040354818368",
      "incarnation": "01000000000000000c34b9b544",
      "merge": "010100000000000000060000000000000009000000000000000c00000000000000050002000000000000000b0000000000000015000000000000000c000000000000001601000000000000000800000000000000027131cd48",
      "session": "010000000000000028000000000000006300000003000000000000002881000000000000004d000000000000000700000000000000298200000000000000030000000000000008000000000000002b0200000000000000000000000000000008b6b6d42a",
      "unsealed": "0100008b10b00a",
    }
  `);
});

test("encoders give the same bytes whatever the order they were handed", () => {
  const reversed = { ...descriptor, replicas: descriptor.replicas.toReversed() };
  expect(hex(encodeDescriptor(keys.descriptor, reversed, operations))).toBe(hex(codecs["descriptor"]!.value));
  const shuffled = { ...configuration, voters: configuration.voters.toReversed() };
  expect(hex(encodeConfiguration(keys.configuration, shuffled, operations))).toBe(hex(codecs["configuration"]!.value));
  const entries = new Map([...row.entries].toReversed());
  expect(hex(encodeSession(keys.session, { ...row, entries }, operations))).toBe(hex(codecs["session"]!.value));
});

/** A sealed value with a true checksum around any body. */
function sealed(at: Uint8Array, body: string): Uint8Array {
  const bytes = Buffer.from(`01${body}00000000`, "hex");
  const crc = operations.crc32(bytes, 0, bytes.length - 4, operations.crc32(at, 0, at.length, 0));
  bytes.writeUInt32BE(crc, bytes.length - 4);
  return bytes;
}

const id = (value: number): string => value.toString(16).padStart(16, "0");

test("bodies that break a bound are refused though their checksum holds", () => {
  const decodeBody = (body: string): unknown =>
    decodeConfiguration(keys.configuration, sealed(keys.configuration, body), operations);
  const none = "0000";
  expect(decodeBody(`00${none.repeat(4)}`)).toMatchObject({ voters: [], autoLeave: false });
  expect(() => decodeBody(`02${none.repeat(4)}`)).toThrow(/autoLeave/);
  expect(() => decodeBody(`00${none.repeat(4)}00`)).toThrow(/behind the body/);
  expect(() => decodeBody(`000002${id(2)}${id(2)}${none.repeat(3)}`)).toThrow(/after 2/);
  expect(() => decodeBody(`000001${id(0)}${none.repeat(3)}`)).toThrow(/after 0/);
  expect(() => decodeBody(`00ffff${none.repeat(3)}`)).toThrow(/at most 64/);
  expect(() => decodeBody(`000001ff${id(0).slice(2)}${none.repeat(3)}`)).toThrow(/2\^53/);

  const descriptorOf = (start: string, end: string, rest: string): unknown => {
    const bound = (text: string): string =>
      Buffer.from([0, text.length]).toString("hex") + Buffer.from(text).toString("hex");
    const body = id(7) + bound(start) + bound(end) + id(1) + id(1) + rest;
    return decodeDescriptor(keys.descriptor, sealed(keys.descriptor, body), operations);
  };
  expect(descriptorOf("a", "b", none)).toMatchObject({ start: "a", end: "b", replicas: [] });
  expect(() => descriptorOf("b", "a", none)).toThrow(/not below/);
  expect(() => descriptorOf("a", "a", none)).toThrow(/not below/);
  expect(() => descriptorOf("a", "b", `0001${id(1)}${id(1)}04`)).toThrow(/role 4/);

  const session = (body: string): unknown => decodeSession(keys.session, sealed(keys.session, body), operations);
  expect(session(id(1) + id(1) + "00000000")).toMatchObject({ floor: 1 });
  expect(() => session(id(1) + id(1) + "00000001")).toThrow(/in 0 bytes/);
  expect(() => session(id(1) + id(1) + "ffffffff")).toThrow(/at most 65536/);
  expect(() => session(`${id(5)}${id(1)}00000001${id(4)}01${id(1)}${id(1)}`)).toThrow(/number 4/);
  expect(() => session(`${id(1)}${id(1)}00000001${id(4)}03${id(1)}${id(1)}`)).toThrow(/status 3/);
});

test("an encoder refuses what its decoder would", () => {
  const many = Array.from({ length: replicasPerRangeMax + 1 }, (_, i) => replicaId(i + 1));
  expect(() => encodeConfiguration(keys.configuration, { ...configuration, voters: many }, operations)).toThrow(
    /at most 64/,
  );
  const end = key("\x01".repeat(5000));
  expect(() => encodeDescriptor(keys.descriptor, { ...descriptor, end }, operations)).toThrow(/at most 4098/);
});

test("all records of a range lie between the range's bounds, and sessions between theirs", () => {
  const inOrder = [
    rangeRecordKey(range, "", operations),
    keys.applied,
    keys.configuration,
    keys.descriptor,
    rangeRecordKey(range, rangeRecordNames.session, operations),
    sessionRecordKey(range, 0, operations),
    sessionRecordKey(range, 1, operations),
    sessionRecordKey(range, 2 ** 32, operations),
    keys.session,
    sessionRecordsEnd(range, operations),
    rangeRecordsEnd(range, operations),
    rangeRecordKey(rangeId(8), "applied", operations),
  ].map((bytes) => Buffer.from(bytes).toString("latin1"));
  expect(inOrder.toSorted(compareKeys)).toEqual(inOrder);
});

test("a session's key gives its client id back", () => {
  for (const clientId of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    expect(sessionClientId(sessionRecordKey(range, clientId, operations))).toBe(clientId);
  }
  expect(() => sessionClientId(keys.applied)).toThrow(MalformedError);
});
