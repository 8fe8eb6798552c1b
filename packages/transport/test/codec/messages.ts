/** Random messages of every type: a message that is added to a union does not compile before it has a generator. */
import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import type {
  Incarnation,
  Key,
  LogIndex,
  NodeId,
  RangeDescriptor,
  RangeId,
  ReplicaId,
  ReplicaRole,
  StoreId,
  Term,
  Version,
} from "@flotilla/base";
import type { Append, Configuration, Entry, Message, MessageType } from "@flotilla/raft";
import type {
  ClientMessage,
  Command,
  CommandResult,
  PeerMessage,
  RouteEntry,
  ServerMessage,
  StepAction,
  WireError,
} from "@flotilla/transport";

type Generators<Union extends { type: string }> = {
  [Type in Union["type"]]: Arbitrary<Extract<Union, { type: Type }>>;
};

const max = Number.MAX_SAFE_INTEGER;
/** Small numbers, the neighbourhood of 2^32, and that of 2^53 (hazard I4). */
const integer = <T extends number>(min = 0, top: number = max): Arbitrary<T> =>
  fc.oneof(
    fc.integer({ min, max: Math.min(top, 300) }),
    ...(top > 0xffffffff
      ? [fc.integer({ min: 0xfffffffe, max: 0x100000001 }), fc.integer({ min: top - 5, max: top })]
      : []),
    fc.integer({ min, max: top }),
  ) as Arbitrary<T>;
const positive = <T extends number>(): Arbitrary<T> => integer<T>(1);
const key: Arbitrary<Key> = fc.uint8Array({ maxLength: 20 }).map((bytes) => String.fromCharCode(...bytes) as Key);
const bytes = fc.uint8Array({ maxLength: 40 });
/** Text that UTF-8 can carry: no lone surrogates. */
const text = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: "binary", maxLength: 8 }));
const quantity = fc.double({ min: 0, max: 1e12, noNaN: true }).map((value) => value + 0);
const code = fc.constantFrom("Busy", "Internal", "DiskFull", "InvalidArgument", "ProtocolMismatch" as const);
const optionalCode = fc.option(code, { nil: undefined });

const members: Arbitrary<ReplicaId[]> = fc
  .uniqueArray(positive<ReplicaId>(), { maxLength: 5 })
  .map((ids) => ids.sort((a, b) => a - b));
const configuration: Arbitrary<Configuration> = fc.record({
  voters: members,
  votersOutgoing: members,
  learners: members,
  learnersNext: members,
  autoLeave: fc.boolean(),
});

const header = { from: positive<ReplicaId>(), to: positive<ReplicaId>(), term: positive<Term>() };
const index = integer<LogIndex>();
const anyTerm = integer<Term>();

const append: Arbitrary<Append> = fc
  .record({
    ...header,
    prevIndex: integer<LogIndex>(0, max - 10),
    prevTerm: anyTerm,
    commit: index,
    entries: fc.array(
      fc.record({ term: positive<Term>(), kind: fc.constantFrom("normal", "configuration" as const), data: bytes }),
      { maxLength: 5 },
    ),
  })
  .map(({ entries, ...rest }) => ({
    type: "append" as const,
    ...rest,
    entries: entries.map((entry, i): Entry => ({ index: (rest.prevIndex + 1 + i) as LogIndex, ...entry })),
  }));

const vote = { ...header, lastIndex: index, lastTerm: anyTerm, transfer: fc.boolean() };
const voteResponse = { ...header, reject: fc.boolean() };

export const raftMessages: { [Type in MessageType]: Arbitrary<Message> } = {
  append,
  "append-response": fc.record({
    type: fc.constant("append-response" as const),
    ...header,
    index,
    reject: fc.boolean(),
    hintIndex: index,
    hintTerm: anyTerm,
  }),
  heartbeat: fc.record({
    type: fc.constant("heartbeat" as const),
    ...header,
    commit: index,
    commitTerm: anyTerm,
    context: integer(),
    leaseMs: fc.integer({ min: 0, max: 0xffffffff }),
    rests: fc.boolean(),
  }),
  "heartbeat-response": fc.record({ type: fc.constant("heartbeat-response" as const), ...header, context: integer() }),
  "pre-vote": fc.record({ type: fc.constant("pre-vote" as const), ...vote }),
  vote: fc.record({ type: fc.constant("vote" as const), ...vote }),
  "pre-vote-response": fc.record({ type: fc.constant("pre-vote-response" as const), ...voteResponse }),
  "vote-response": fc.record({ type: fc.constant("vote-response" as const), ...voteResponse }),
  "timeout-now": fc.record({ type: fc.constant("timeout-now" as const), ...header }),
  snapshot: fc.record({
    type: fc.constant("snapshot" as const),
    ...header,
    label: fc.record({ index: positive<LogIndex>(), term: positive<Term>(), configuration }),
  }),
};

const descriptor: Arbitrary<RangeDescriptor> = fc.record({
  rangeId: positive<RangeId>(),
  start: key,
  end: key,
  epoch: fc.record({ bounds: integer(), members: integer() }),
  replicas: fc.array(
    fc.record({
      replicaId: positive<ReplicaId>(),
      storeId: positive<StoreId>(),
      role: fc.constantFrom<ReplicaRole>("voter", "learner", "incoming", "outgoing"),
    }),
    { maxLength: 4 },
  ),
});
const optionalDescriptor = fc.option(descriptor, { nil: undefined });
const epoch = fc.record({ bounds: integer(), members: integer() });
const labels = fc.dictionary(
  fc.string({ maxLength: 5 }).filter((name) => name !== "__proto__"),
  text,
  { noNullPrototype: true, maxKeys: 3 },
);
const pairs = fc.array(fc.record({ left: positive<ReplicaId>(), right: positive<ReplicaId>() }), { maxLength: 3 });
const sealLabel = fc.record({ index: positive<LogIndex>(), term: positive<Term>() });
const action: Arbitrary<StepAction> = fc.oneof(
  fc.record({ kind: fc.constant("transfer-leader" as const), to: positive<StoreId>() }),
  fc.record({
    kind: fc.constant("change-members" as const),
    add: fc.array(
      fc.record({
        replicaId: positive<ReplicaId>(),
        storeId: positive<StoreId>(),
        role: fc.constantFrom("voter", "learner" as const),
      }),
      { maxLength: 3 },
    ),
    remove: fc.array(positive<ReplicaId>(), { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant("split" as const),
    parts: fc.array(
      fc.record({
        key,
        rangeId: positive<RangeId>(),
        replicas: pairs,
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant("find-split-keys" as const),
    parts: fc.integer({ min: 0, max: 1024 }),
    prefixes: fc.array(key, { maxLength: 3 }),
  }),
  fc.record({
    kind: fc.constant("seal" as const),
    leftRangeId: positive<RangeId>(),
    leftBounds: positive(),
    replicas: pairs,
  }),
  fc.record({
    kind: fc.constant("merge" as const),
    rightRangeId: positive<RangeId>(),
    rightBounds: positive(),
    end: key,
    seal: sealLabel,
    replicas: pairs,
  }),
  fc.record({ kind: fc.constant("cancel-merge" as const), rightRangeId: positive<RangeId>(), bounds: positive() }),
  fc.record({ kind: fc.constant("unseal" as const), leftRangeId: positive<RangeId>(), provenBounds: positive() }),
);
const routeEntry: Arbitrary<RouteEntry> = fc.record({ descriptor, leader: integer<StoreId>() });
/** Plain data as administrators send it. */
const data: Arbitrary<unknown> = fc
  .jsonValue({ maxDepth: 4 })
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown);
const wireError: Arbitrary<WireError> = fc.record({
  code,
  message: text,
  hint: text,
  details: fc.dictionary(
    fc.string({ minLength: 1, maxLength: 5 }).filter((name) => name !== "__proto__"),
    data,
    { noNullPrototype: true, maxKeys: 3 },
  ),
});

export const peerMessages: Generators<PeerMessage> = {
  raft: fc.record({
    type: fc.constant("raft" as const),
    rangeId: positive<RangeId>(),
    message: fc.oneof(...Object.values(raftMessages)),
  }),
  "replica-absent": fc.record({
    type: fc.constant("replica-absent" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    term: positive<Term>(),
  }),
  "replica-gone": fc.record({
    type: fc.constant("replica-gone" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    epoch,
  }),
  "replica-check": fc.record({
    type: fc.constant("replica-check" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    epoch,
    start: fc.option(key, { nil: undefined }),
  }),
  "replica-verdict": fc.record({
    type: fc.constant("replica-verdict" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    gone: fc.boolean(),
    descriptor: optionalDescriptor,
  }),
  "replica-hash-request": fc.record({
    type: fc.constant("replica-hash-request" as const),
    requestId: positive(),
    rangeId: positive<RangeId>(),
  }),
  "replica-hash": fc.record({
    type: fc.constant("replica-hash" as const),
    requestId: positive(),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    index: positive<LogIndex>(),
    checksum: positive(),
    keys: positive(),
    bytes: positive(),
  }),
  "store-directory": fc.record({
    type: fc.constant("store-directory" as const),
    revision: positive(),
    stores: fc.array(
      fc.record({
        storeId: positive<StoreId>(),
        nodeId: positive<NodeId>(),
        address: text,
        httpAddress: text,
        storeKey: text,
        state: fc.constantFrom("active", "draining", "decommissioning", "decommissioned" as const),
        labels,
      }),
      { maxLength: 3 },
    ),
  }),
  "store-heartbeat": fc.record({
    type: fc.constant("store-heartbeat" as const),
    wallMs: quantity,
    nodeId: integer<NodeId>(),
    address: text,
    httpAddress: text,
    metaRange: descriptor,
    metaLeader: integer<StoreId>(),
    directoryRevision: integer(),
    logHangs: fc.boolean(),
  }),
  "report-receipt": fc.record({
    type: fc.constant("report-receipt" as const),
    incarnation: positive<Incarnation>(),
    sequence: integer(),
  }),
  "store-report": fc.record({
    type: fc.constant("store-report" as const),
    incarnation: positive<Incarnation>(),
    sequence: positive(),
    base: integer(),
    more: fc.boolean(),
    gone: fc.array(positive<RangeId>(), { maxLength: 3 }),
    status: fc.record({
      storeId: integer<StoreId>(),
      nodeId: integer<NodeId>(),
      address: text,
      httpAddress: text,
      pid: integer(),
      serverVersion: text,
      uptimeMs: quantity,
      dataDir: text,
      replicas: integer(),
      leaders: integer(),
      sizeBytes: quantity,
      freeBytes: quantity,
      logBytes: quantity,
      fsyncs: integer(),
      snapshotsSending: integer(),
      snapshotsReceiving: integer(),
      intervalsClearing: integer(),
      stopping: fc.boolean(),
      labels,
    }),
    ranges: fc.array(
      fc.record({
        descriptor,
        term: anyTerm,
        leaderStoreId: integer<StoreId>(),
        sizeBytes: quantity,
        sizeKnown: fc.boolean(),
        keys: fc.option(integer(), { nil: null }),
        writesPerSecond: quantity,
        readsPerSecond: quantity,
        bytesPerSecond: quantity,
        load: fc.record({
          operationsPerSecond: quantity,
          bytesPerSecond: quantity,
          loopPercent: quantity,
          splitKey: fc.option(key, { nil: undefined }),
          splitReason: text,
        }),
        asleep: fc.boolean(),
        configurationPending: fc.boolean(),
        sealedFor: fc.option(fc.record({ rangeId: positive<RangeId>(), bounds: positive<number>() }), {
          nil: undefined,
        }),
        replicas: fc.array(
          fc.record({
            replicaId: positive<ReplicaId>(),
            storeId: positive<StoreId>(),
            match: index,
            state: fc.constantFrom("probe", "replicate", "snapshot" as const),
            active: fc.boolean(),
          }),
          { maxLength: 3 },
        ),
      }),
      { maxLength: 3 },
    ),
  }),
  "operator-step": fc.record({
    type: fc.constant("operator-step" as const),
    operatorId: integer(),
    stepId: integer(),
    rangeId: positive<RangeId>(),
    epoch,
    action,
  }),
  "step-outcome": fc.record({
    type: fc.constant("step-outcome" as const),
    operatorId: integer(),
    stepId: integer(),
    rangeId: positive<RangeId>(),
    state: fc.constantFrom("done", "refused", "failed" as const),
    reason: text,
    keys: fc.array(key, { maxLength: 3 }),
    seal: fc.option(sealLabel, { nil: undefined }),
    descriptor: optionalDescriptor,
  }),
  "seal-check": fc.record({
    type: fc.constant("seal-check" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    leftRangeId: positive<RangeId>(),
    leftReplicaId: positive<ReplicaId>(),
    bounds: positive(),
    index,
  }),
  "seal-state": fc.record({
    type: fc.constant("seal-state" as const),
    rangeId: positive<RangeId>(),
    replicaId: positive<ReplicaId>(),
    bounds: positive(),
    index,
    ready: fc.boolean(),
    reason: text,
  }),
  "snapshot-offer": fc.record({
    type: fc.constant("snapshot-offer" as const),
    transferId: integer(),
    rangeId: positive<RangeId>(),
    from: positive<ReplicaId>(),
    to: positive<ReplicaId>(),
    term: positive<Term>(),
    descriptor,
  }),
  "snapshot-chunk": fc.record({
    type: fc.constant("snapshot-chunk" as const),
    transferId: integer(),
    sequence: integer(),
    bytes,
    last: fc.boolean(),
  }),
  "snapshot-answer": fc.record({
    type: fc.constant("snapshot-answer" as const),
    transferId: integer(),
    state: fc.constantFrom("more", "done", "refused" as const),
    takenBytes: integer(),
    creditBytes: integer(),
    reason: text,
  }),
};

const command: Arbitrary<Command> = fc
  .record({
    number: positive(),
    kind: fc.constantFrom("put", "delete" as const),
    condition: fc.constantFrom("none", "if-absent", "if-version" as const),
    expected: integer<Version>(),
    firstSent: integer<Version>(),
    key,
    value: bytes,
  })
  .map((draft) => (draft.kind === "delete" ? { ...draft, value: new Uint8Array(0) } : draft));

const commandResult: Arbitrary<CommandResult> = fc.record({
  number: positive(),
  status: fc.constantFrom("applied", "condition-failed", "refused", "unknown" as const),
  version: integer<Version>(),
  existed: fc.boolean(),
  code: optionalCode,
  message: text,
});

const consistency = fc.constantFrom("linearizable", "stale" as const);

export const clientMessages: Generators<ClientMessage> = {
  commands: fc.record({
    type: fc.constant("commands" as const),
    batchId: integer(),
    rangeId: positive<RangeId>(),
    bounds: integer(),
    clientId: integer(),
    floor: integer(),
    seen: integer<Version>(),
    commands: fc.array(command, { maxLength: 5 }),
  }),
  reads: fc.record({
    type: fc.constant("reads" as const),
    batchId: integer(),
    rangeId: positive<RangeId>(),
    bounds: integer(),
    consistency,
    keys: fc.array(key, { maxLength: 5 }),
  }),
  scan: fc.record({
    type: fc.constant("scan" as const),
    scanId: integer(),
    rangeId: positive<RangeId>(),
    bounds: integer(),
    consistency,
    start: key,
    end: key,
    reverse: fc.boolean(),
    limit: integer(),
    keysOnly: fc.boolean(),
    countOnly: fc.boolean(),
    creditBytes: integer(),
  }),
  "scan-credit": fc.record({ type: fc.constant("scan-credit" as const), scanId: integer(), creditBytes: integer() }),
  "scan-cancel": fc.record({ type: fc.constant("scan-cancel" as const), scanId: integer() }),
  route: fc.record({
    type: fc.constant("route" as const),
    requestId: integer(),
    start: key,
    end: key,
    limit: integer(),
  }),
  admin: fc.record({ type: fc.constant("admin" as const), requestId: integer(), name: text, arguments: data }),
};

export const serverMessages: Generators<ServerMessage> = {
  "command-results": fc.record({
    type: fc.constant("command-results" as const),
    batchId: integer(),
    seen: integer<Version>(),
    results: fc.array(commandResult, { maxLength: 5 }),
  }),
  "read-results": fc.record({
    type: fc.constant("read-results" as const),
    batchId: integer(),
    seen: integer<Version>(),
    results: fc.array(fc.record({ version: integer<Version>(), value: bytes }), { maxLength: 5 }),
  }),
  "scan-page": fc.record({
    type: fc.constant("scan-page" as const),
    scanId: integer(),
    records: fc.array(fc.record({ key, version: integer<Version>(), value: bytes }), { maxLength: 5 }),
    count: integer(),
    last: fc.boolean(),
  }),
  "range-refused": fc.record({
    type: fc.constant("range-refused" as const),
    kind: fc.constantFrom("commands", "reads", "scan" as const),
    id: integer(),
    reason: fc.constantFrom("not-leader", "epoch-mismatch", "error" as const),
    code: optionalCode,
    message: text,
    retryAfterMs: quantity,
    ranges: fc.array(routeEntry, { maxLength: 3 }),
  }),
  "route-response": fc.record({
    type: fc.constant("route-response" as const),
    requestId: integer(),
    clusterId: fc.constantFrom("", "00112233445566778899aabbccddeeff"),
    ranges: fc.array(routeEntry, { maxLength: 3 }),
    stores: fc.array(fc.record({ storeId: integer<StoreId>(), address: text }), { maxLength: 3 }),
  }),
  "admin-response": fc.record({
    type: fc.constant("admin-response" as const),
    requestId: integer(),
    result: data,
    error: fc.option(wireError, { nil: undefined }),
  }),
  "going-away": fc.constant({ type: "going-away" as const }),
};

/** The same value with every byte array as text, so that arrays and views of buffers compare by content. */
export function comparable(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString("hex")}`;
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, comparable(field)]));
  }
  return value;
}
