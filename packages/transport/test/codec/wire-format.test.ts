/**
 * Pins every layout. A difference here is a change of the wire format: raise `protocolNumber`, say in `protocol.ts` what
 * changed, and run `vitest run packages/transport --update`, which writes the file of the new number. The files of older
 * numbers stay as they are.
 */
import { describe, expect, it } from "vitest";
import type {
  Incarnation,
  Key,
  LogIndex,
  NodeId,
  RangeDescriptor,
  RangeId,
  ReplicaId,
  StoreId,
  Term,
  Version,
} from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Message, MessageType } from "@flotilla/raft";
import { createCodec, encodeHello, payloadFormat, protocolNumber, typeNumber } from "@flotilla/transport";
import type { ClientMessage, Hello, PeerMessage, ServerMessage } from "@flotilla/transport";
import { confirmationBytes, frameKind, helloMessage, refusalMessage } from "../../src/grpc/frames.ts";

const codec = createCodec(nodeByteOperations);
const version = 0x1_2345_6789 as Version;
const value = Uint8Array.of(0xca, 0xfe);
const descriptor: RangeDescriptor = {
  rangeId: 7 as RangeId,
  start: "\x01a" as Key,
  end: "\x02" as Key,
  epoch: { bounds: 3, members: 4 },
  replicas: [
    { replicaId: 71 as ReplicaId, storeId: 1 as StoreId, role: "voter" },
    { replicaId: 72 as ReplicaId, storeId: 2 as StoreId, role: "learner" },
  ],
};
const header = { from: 71 as ReplicaId, to: 72 as ReplicaId, term: 5 as Term };
const error = { code: "Busy", message: "später", hint: "h", details: { a: 1 } } as const;

const raft: { [Type in MessageType]: Extract<Message, { type: Type }> | Message } = {
  append: {
    type: "append",
    ...header,
    prevIndex: 10 as LogIndex,
    prevTerm: 4 as Term,
    commit: 9 as LogIndex,
    entries: [
      { index: 11 as LogIndex, term: 5 as Term, kind: "normal", data: value },
      { index: 12 as LogIndex, term: 5 as Term, kind: "configuration", data: Uint8Array.of(1) },
    ],
  },
  "append-response": {
    type: "append-response",
    ...header,
    index: 12 as LogIndex,
    reject: true,
    hintIndex: 8 as LogIndex,
    hintTerm: 3 as Term,
  },
  heartbeat: {
    type: "heartbeat",
    ...header,
    commit: 12 as LogIndex,
    commitTerm: 4 as Term,
    context: 33,
    leaseMs: 1600,
    rests: true,
  },
  "heartbeat-response": { type: "heartbeat-response", ...header, context: 33 },
  "pre-vote": { type: "pre-vote", ...header, lastIndex: 12 as LogIndex, lastTerm: 5 as Term, transfer: false },
  vote: { type: "vote", ...header, lastIndex: 12 as LogIndex, lastTerm: 5 as Term, transfer: true },
  "pre-vote-response": { type: "pre-vote-response", ...header, reject: true },
  "vote-response": { type: "vote-response", ...header, reject: false },
  "timeout-now": { type: "timeout-now", ...header },
  snapshot: {
    type: "snapshot",
    ...header,
    label: {
      index: 100 as LogIndex,
      term: 4 as Term,
      configuration: {
        voters: [71, 72] as ReplicaId[],
        votersOutgoing: [71] as ReplicaId[],
        learners: [73] as ReplicaId[],
        learnersNext: [],
        autoLeave: true,
      },
    },
  },
};

const peer: { [Type in Exclude<PeerMessage["type"], "raft">]: Extract<PeerMessage, { type: Type }> } = {
  "replica-absent": { type: "replica-absent", rangeId: 7 as RangeId, replicaId: 71 as ReplicaId, term: 5 as Term },
  "replica-gone": {
    type: "replica-gone",
    rangeId: 7 as RangeId,
    replicaId: 71 as ReplicaId,
    epoch: descriptor.epoch,
  },
  "replica-check": {
    type: "replica-check",
    rangeId: 7 as RangeId,
    replicaId: 71 as ReplicaId,
    epoch: descriptor.epoch,
    start: descriptor.start,
  },
  "replica-verdict": {
    type: "replica-verdict",
    rangeId: 7 as RangeId,
    replicaId: 70 as ReplicaId,
    gone: true,
    descriptor,
  },
  "store-directory": {
    type: "store-directory",
    revision: 8,
    stores: [
      {
        storeId: 4 as StoreId,
        nodeId: 5 as NodeId,
        address: "a:1",
        httpAddress: "a:2",
        storeKey: "0f".repeat(16),
        state: "decommissioning",
        labels: { zone: "z1" },
      },
    ],
  },
  "store-heartbeat": {
    type: "store-heartbeat",
    wallMs: 1_700_000_000_000,
    nodeId: 1 as NodeId,
    address: "127.0.0.1:7400",
    httpAddress: "127.0.0.1:7480",
    metaRange: descriptor,
    metaLeader: 2 as StoreId,
    directoryRevision: 8,
    logHangs: true,
  },
  "store-report": {
    type: "store-report",
    incarnation: 6 as Incarnation,
    sequence: 12,
    base: 11,
    more: true,
    gone: [8 as RangeId],
    status: {
      storeId: 1 as StoreId,
      nodeId: 1 as NodeId,
      address: "a:1",
      httpAddress: "a:2",
      pid: 4711,
      serverVersion: "0.1.0",
      uptimeMs: 5.5,
      dataDir: "/d",
      replicas: 3,
      leaders: 2,
      sizeBytes: 1000,
      freeBytes: 2000,
      logBytes: 3000,
      fsyncs: 4,
      snapshotsSending: 1,
      snapshotsReceiving: 2,
      intervalsClearing: 3,
      stopping: true,
      labels: { zone: "z1" },
    },
    ranges: [
      {
        descriptor,
        term: 5 as Term,
        leaderStoreId: 1 as StoreId,
        sizeBytes: 10,
        sizeKnown: true,
        keys: null,
        writesPerSecond: 1.5,
        readsPerSecond: 0,
        bytesPerSecond: 700,
        load: {
          operationsPerSecond: 2,
          bytesPerSecond: 650,
          loopPercent: 0.5,
          splitKey: "\x01m" as Key,
          splitReason: "none",
        },
        asleep: false,
        configurationPending: true,
        sealedFor: { rangeId: 6 as RangeId, bounds: 4 },
        replicas: [
          {
            replicaId: 71 as ReplicaId,
            storeId: 1 as StoreId,
            match: 12 as LogIndex,
            state: "replicate",
            active: true,
          },
        ],
      },
    ],
  },
  "report-receipt": { type: "report-receipt", incarnation: 6 as Incarnation, sequence: 12 },
  "operator-step": {
    type: "operator-step",
    operatorId: 9,
    stepId: 2,
    rangeId: 7 as RangeId,
    epoch: { bounds: 3, members: 4 },
    action: {
      kind: "change-members",
      add: [{ replicaId: 73 as ReplicaId, storeId: 3 as StoreId, role: "learner" }],
      remove: [71 as ReplicaId],
    },
  },
  "step-outcome": {
    type: "step-outcome",
    operatorId: 9,
    stepId: 2,
    rangeId: 7 as RangeId,
    state: "refused",
    reason: "overlap",
    keys: ["\x01m" as Key],
    seal: { index: 12 as LogIndex, term: 4 as Term },
    descriptor: undefined,
  },
  "replica-hash-request": { type: "replica-hash-request", requestId: 9, rangeId: 7 as RangeId },
  "replica-hash": {
    type: "replica-hash",
    requestId: 9,
    rangeId: 7 as RangeId,
    replicaId: 71 as ReplicaId,
    index: 12 as LogIndex,
    checksum: 0xfedcba98,
    keys: 1000,
    bytes: 65_536,
  },
  "seal-check": {
    type: "seal-check",
    rangeId: 7 as RangeId,
    replicaId: 71 as ReplicaId,
    leftRangeId: 6 as RangeId,
    leftReplicaId: 61 as ReplicaId,
    bounds: 3,
    index: 12 as LogIndex,
  },
  "seal-state": {
    type: "seal-state",
    rangeId: 7 as RangeId,
    replicaId: 71 as ReplicaId,
    bounds: 3,
    index: 12 as LogIndex,
    ready: false,
    reason: "behind",
  },
  "snapshot-offer": { type: "snapshot-offer", transferId: 1, rangeId: 7 as RangeId, ...header, descriptor },
  "snapshot-chunk": { type: "snapshot-chunk", transferId: 1, sequence: 2, bytes: value, last: true },
  "snapshot-answer": {
    type: "snapshot-answer",
    transferId: 1,
    state: "refused",
    takenBytes: 10,
    creditBytes: 20,
    reason: "overlap",
  },
};

const client: { [Type in ClientMessage["type"]]: Extract<ClientMessage, { type: Type }> } = {
  commands: {
    type: "commands",
    batchId: 1,
    rangeId: 7 as RangeId,
    bounds: 3,
    clientId: 0xabcdef,
    floor: 40,
    seen: version,
    commands: [
      {
        number: 41,
        kind: "put",
        condition: "none",
        expected: 0 as Version,
        firstSent: version,
        key: "\x01k" as Key,
        value,
      },
      {
        number: 42,
        kind: "delete",
        condition: "if-version",
        expected: version,
        firstSent: version,
        key: "\x01\xff" as Key,
        value: new Uint8Array(0),
      },
    ],
  },
  reads: {
    type: "reads",
    batchId: 2,
    rangeId: 7 as RangeId,
    bounds: 3,
    consistency: "stale",
    keys: ["\x01k" as Key, "\x01\xff" as Key],
  },
  scan: {
    type: "scan",
    scanId: 3,
    rangeId: 7 as RangeId,
    bounds: 3,
    consistency: "linearizable",
    start: "\x01a" as Key,
    end: "\x01b" as Key,
    reverse: true,
    limit: 100,
    keysOnly: false,
    countOnly: true,
    creditBytes: 65536,
  },
  "scan-credit": { type: "scan-credit", scanId: 3, creditBytes: 4096 },
  "scan-cancel": { type: "scan-cancel", scanId: 3 },
  route: { type: "route", requestId: 4, start: "\x01" as Key, end: "\x02" as Key, limit: 10 },
  admin: { type: "admin", requestId: 5, name: "status", arguments: { a: [1, "x", null, true, 2.5] } },
};

const server: { [Type in ServerMessage["type"]]: Extract<ServerMessage, { type: Type }> } = {
  "command-results": {
    type: "command-results",
    batchId: 1,
    seen: version,
    results: [
      { number: 41, status: "applied", version, existed: false, code: undefined, message: "" },
      { number: 42, status: "condition-failed", version, existed: true, code: undefined, message: "" },
      { number: 43, status: "refused", version: 0 as Version, existed: false, code: "Busy", message: "später" },
    ],
  },
  "read-results": {
    type: "read-results",
    batchId: 2,
    seen: version,
    results: [
      { version, value },
      { version: 0 as Version, value: new Uint8Array(0) },
    ],
  },
  "scan-page": {
    type: "scan-page",
    scanId: 3,
    records: [{ key: "\x01k" as Key, version, value }],
    count: 1,
    last: true,
  },
  "range-refused": {
    type: "range-refused",
    kind: "reads",
    id: 2,
    reason: "not-leader",
    code: undefined,
    message: "",
    retryAfterMs: 0,
    ranges: [{ descriptor, leader: 2 as StoreId }],
  },
  "route-response": {
    type: "route-response",
    requestId: 4,
    clusterId: "00112233445566778899aabbccddeeff",
    ranges: [{ descriptor, leader: 0 as StoreId }],
    stores: [{ storeId: 1 as StoreId, address: "127.0.0.1:7400" }],
  },
  "admin-response": { type: "admin-response", requestId: 5, result: null, error },
  "going-away": { type: "going-away" },
};

const hello: Hello = {
  protocolMin: 1,
  protocolMax: 2,
  clusterId: "00112233445566778899aabbccddeeff",
  nodeId: 1 as NodeId,
  storeId: 2 as StoreId,
  storeKey: "0badcafe",
  incarnation: 3 as never,
  wallMs: 1_700_000_000_000,
  leaseMs: 1600,
  purpose: "append",
  address: "127.0.0.1:7400",
};

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function wireFormat(): string {
  const lines = [`protocol ${protocolNumber}`, `payload format ${payloadFormat}`];
  for (const [type, message] of Object.entries(raft)) {
    lines.push(`raft ${type} ${hex(codec.encodePeer([{ type: "raft", rangeId: 7 as RangeId, message }]))}`);
  }
  for (const [type, message] of Object.entries(peer)) lines.push(`peer ${type} ${hex(codec.encodePeer([message]))}`);
  for (const [type, message] of Object.entries(client))
    lines.push(`client ${type} ${hex(codec.encodeClient([message]))}`);
  for (const [type, message] of Object.entries(server))
    lines.push(`server ${type} ${hex(codec.encodeServer([message]))}`);
  const encodedHello = encodeHello(hello, nodeByteOperations);
  lines.push(`hello ${hex(encodedHello)}`);
  lines.push(`frame hello ${hex(helloMessage(encodedHello, nodeByteOperations))}`);
  lines.push(`frame refusal ${hex(refusalMessage({ code: "WrongCluster", message: "nein, ü" }, nodeByteOperations))}`);
  lines.push(
    `frame payload kind ${frameKind.payload}`,
    `frame confirmation kind ${frameKind.confirmation}, ${confirmationBytes} bytes`,
  );
  return lines.join("\n") + "\n";
}

describe("the wire format", () => {
  it("is that of this protocol number, byte for byte", async () => {
    await expect(wireFormat()).toMatchFileSnapshot(`wire-format-${protocolNumber}.txt`);
  });

  it("has a pinned example of every message", () => {
    const pinned = ["raft", ...Object.keys(peer), ...Object.keys(client), ...Object.keys(server)];
    expect(pinned.sort()).toEqual(Object.keys(typeNumber).sort());
  });

  it("gives no number to two messages", () => {
    const numbers = Object.values(typeNumber);
    expect(new Set(numbers).size).toBe(numbers.length);
  });
});
