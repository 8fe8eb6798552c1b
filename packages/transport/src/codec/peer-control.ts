/**
 * Control messages between stores: msgpackr arrays of these fields, in this order.
 *
 *     replica-absent     range id, replica id, term
 *     replica-gone       range id, replica id, bounds, members
 *     replica-check      range id, replica id, bounds, members, start or nil
 *     replica-verdict    range id, replica id, gone, descriptor or nil
 *     store-heartbeat    wall ms, node id, address, HTTP address, descriptor of the meta range, its leader, directory revision,
 *                        log hangs
 *     store-directory    revision, list of [store id, node id, address, HTTP address, store key,
 *                        state (0 active, 1 draining, 2 decommissioning, 3 decommissioned), list of [label, value]]
 *     store-report       incarnation, sequence, base, more, status, list of range reports, list of [range id that is led no more]
 *         status         store id, node id, address, HTTP address, pid, server version, uptime ms, data directory, replicas,
 *                        leaders, size bytes, free bytes, log bytes, fsyncs, snapshots sending, snapshots receiving,
 *                        intervals clearing, stopping, list of [label, value]
 *         range report   descriptor, term, leader, size bytes, size known, keys or nil, writes/s, reads/s, bytes/s, load,
 *                        asleep, configuration pending, list of [replica id, store id, match, state (0 probe, 1 replicate, 2 snapshot), active]
 *         load           operations/s, bytes/s, percent of the loop, key that halves it or nil, reason
 *     report-receipt     incarnation, sequence
 *     operator-step,
 *     step-outcome       see operator-fields.ts
 *     replica-hash-request  request id, range id
 *     replica-hash       request id, range id, replica id, index, checksum, keys, bytes
 *     seal-check         range id, replica id, left range id, left replica id, bounds, index
 *     seal-state         range id, replica id, bounds, index, ready, reason
 *     snapshot-offer     transfer id, range id, from, to, term, descriptor
 *     snapshot-answer    transfer id, state (0 more, 1 done, 2 refused), taken bytes, credit bytes, reason
 */
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, Incarnation, LogIndex, NodeId, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type {
  LoadReport,
  PeerMessage,
  RangeReport,
  ReplicaAbsent,
  ReplicaCheck,
  ReplicaGone,
  ReplicaHash,
  ReplicaHashRequest,
  ReplicaReport,
  ReplicaVerdict,
  ReportReceipt,
  SealCheck,
  SealState,
  SealedFor,
  SnapshotAnswer,
  SnapshotOffer,
  StoreDirectory,
  StoreEntry,
  StoreHeartbeat,
  StoreMembership,
  StoreReport,
  StoreStatus,
} from "../peer-messages.ts";
import { controlValuesMax, membersMax, storesMax, typeNumber } from "../protocol.ts";
import {
  descriptorFields,
  descriptorLength,
  optionalDescriptorFields,
  readDescriptor,
  readEpoch,
  readOptionalDescriptor,
} from "./descriptor-fields.ts";
import { FieldReader, keyField, nameNumber } from "./field-reader.ts";
import { boundedText } from "./fields.ts";
import {
  operatorStepFields,
  operatorStepLength,
  readOperatorStep,
  readStepOutcome,
  stepOutcomeFields,
  stepOutcomeLength,
} from "./operator-fields.ts";

export type PeerControlMessage = Exclude<PeerMessage, { type: "raft" | "snapshot-chunk" }>;
type PeerControlType = PeerControlMessage["type"];

const replicaStates: readonly ReplicaReport["state"][] = ["probe", "replicate", "snapshot"];
const answerStates: readonly SnapshotAnswer["state"][] = ["more", "done", "refused"];
const memberships: readonly StoreMembership[] = ["active", "draining", "decommissioning", "decommissioned"];
const labelsMax = 64;

const controlTypes: Readonly<Record<PeerControlType, true>> = {
  "replica-absent": true,
  "replica-gone": true,
  "replica-check": true,
  "replica-verdict": true,
  "store-heartbeat": true,
  "store-directory": true,
  "store-report": true,
  "report-receipt": true,
  "operator-step": true,
  "step-outcome": true,
  "replica-hash-request": true,
  "replica-hash": true,
  "seal-check": true,
  "seal-state": true,
  "snapshot-offer": true,
  "snapshot-answer": true,
};
const typeOfNumber: ReadonlyMap<number, PeerControlType> = new Map(
  (Object.keys(controlTypes) as PeerControlType[]).map((type) => [typeNumber[type], type]),
);

/** Undefined: not a control message between stores. */
export const peerControlType = (number: number): PeerControlType | undefined => typeOfNumber.get(number);

export function peerControlFields(message: PeerControlMessage, operations: ByteOperations): unknown[] {
  switch (message.type) {
    case "replica-absent":
      return [message.rangeId, message.replicaId, message.term];
    case "replica-gone":
      return [message.rangeId, message.replicaId, message.epoch.bounds, message.epoch.members];
    case "replica-check": {
      const { rangeId, replicaId, epoch, start } = message;
      const startField = start === undefined ? null : keyField(start, operations);
      return [rangeId, replicaId, epoch.bounds, epoch.members, startField];
    }
    case "replica-verdict": {
      const { rangeId, replicaId, gone, descriptor } = message;
      return [rangeId, replicaId, gone, optionalDescriptorFields(descriptor, operations)];
    }
    case "store-directory":
      return [message.revision, message.stores.map((store) => storeFields(store, operations))];
    case "store-heartbeat":
      return [
        message.wallMs,
        message.nodeId,
        boundedText(message.address, operations),
        boundedText(message.httpAddress, operations),
        descriptorFields(message.metaRange, operations),
        message.metaLeader,
        message.directoryRevision,
        message.logHangs,
      ];
    case "store-report":
      return [
        message.incarnation,
        message.sequence,
        message.base,
        message.more,
        statusFields(message.status, operations),
        message.ranges.map((range) => rangeFields(range, operations)),
        message.gone.map((rangeId) => [rangeId]),
      ];
    case "report-receipt":
      return [message.incarnation, message.sequence];
    case "operator-step":
      return operatorStepFields(message, operations);
    case "step-outcome":
      return stepOutcomeFields(message, operations);
    case "replica-hash-request":
      return [message.requestId, message.rangeId];
    case "replica-hash": {
      const { requestId, rangeId, replicaId, index, checksum, keys, bytes } = message;
      return [requestId, rangeId, replicaId, index, checksum, keys, bytes];
    }
    case "seal-check": {
      const { rangeId, replicaId, leftRangeId, leftReplicaId, bounds, index } = message;
      return [rangeId, replicaId, leftRangeId, leftReplicaId, bounds, index];
    }
    case "seal-state": {
      const { rangeId, replicaId, bounds, index, ready, reason } = message;
      return [rangeId, replicaId, bounds, index, ready, boundedText(reason, operations)];
    }
    case "snapshot-offer":
      return [
        message.transferId,
        message.rangeId,
        message.from,
        message.to,
        message.term,
        descriptorFields(message.descriptor, operations),
      ];
    case "snapshot-answer":
      return [
        message.transferId,
        nameNumber(answerStates, message.state),
        message.takenBytes,
        message.creditBytes,
        boundedText(message.reason, operations),
      ];
    default:
      throw new InvariantError(`no layout for ${(message satisfies never as PeerControlMessage).type}`);
  }
}

function statusFields(status: StoreStatus, operations: ByteOperations): unknown[] {
  return [
    status.storeId,
    status.nodeId,
    boundedText(status.address, operations),
    boundedText(status.httpAddress, operations),
    status.pid,
    boundedText(status.serverVersion, operations),
    status.uptimeMs,
    boundedText(status.dataDir, operations),
    status.replicas,
    status.leaders,
    status.sizeBytes,
    status.freeBytes,
    status.logBytes,
    status.fsyncs,
    status.snapshotsSending,
    status.snapshotsReceiving,
    status.intervalsClearing,
    status.stopping,
    Object.entries(status.labels),
  ];
}

const storeFields = (store: StoreEntry, operations: ByteOperations): unknown[] => [
  store.storeId,
  store.nodeId,
  boundedText(store.address, operations),
  boundedText(store.httpAddress, operations),
  boundedText(store.storeKey, operations),
  nameNumber(memberships, store.state),
  Object.entries(store.labels),
];

function rangeFields(range: RangeReport, operations: ByteOperations): unknown[] {
  return [
    descriptorFields(range.descriptor, operations),
    range.term,
    range.leaderStoreId,
    range.sizeBytes,
    range.sizeKnown,
    range.keys,
    range.writesPerSecond,
    range.readsPerSecond,
    range.bytesPerSecond,
    loadFields(range.load, operations),
    range.asleep,
    range.configurationPending,
    range.sealedFor === undefined ? null : [range.sealedFor.rangeId, range.sealedFor.bounds],
    range.replicas.map((replica) => [
      replica.replicaId,
      replica.storeId,
      replica.match,
      nameNumber(replicaStates, replica.state),
      replica.active,
    ]),
  ];
}

function loadFields(load: LoadReport, operations: ByteOperations): unknown[] {
  const { operationsPerSecond, bytesPerSecond, loopPercent, splitKey, splitReason } = load;
  const key = splitKey === undefined ? null : keyField(splitKey, operations);
  return [operationsPerSecond, bytesPerSecond, loopPercent, key, boundedText(splitReason, operations)];
}

export function readPeerControl(
  type: PeerControlType,
  values: unknown,
  operations: ByteOperations,
): PeerControlMessage {
  const fields = (length: number): FieldReader => new FieldReader(values, length, type, operations);
  switch (type) {
    case "replica-absent":
      return readReplicaAbsent(fields(3));
    case "replica-gone":
      return readReplicaGone(fields(4));
    case "replica-check":
      return readReplicaCheck(fields(5));
    case "replica-verdict":
      return readReplicaVerdict(fields(4));
    case "store-directory":
      return readDirectory(fields(2));
    case "store-heartbeat":
      return readHeartbeat(fields(8));
    case "store-report":
      return readReport(fields(7));
    case "report-receipt":
      return readReceipt(fields(2));
    case "operator-step":
      return readOperatorStep(fields(operatorStepLength));
    case "step-outcome":
      return readStepOutcome(fields(stepOutcomeLength));
    case "replica-hash-request":
      return readHashRequest(fields(2));
    case "replica-hash":
      return readHash(fields(7));
    case "seal-check":
      return readSealCheck(fields(6));
    case "seal-state":
      return readSealState(fields(6));
    case "snapshot-offer":
      return readOffer(fields(6));
    case "snapshot-answer":
      return readAnswer(fields(5));
    default:
      throw new InvariantError(`no layout for ${type satisfies never as string}`);
  }
}

const readReplicaAbsent = (fields: FieldReader): ReplicaAbsent => ({
  type: "replica-absent",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  term: fields.positive() as Term,
});

const readReplicaGone = (fields: FieldReader): ReplicaGone => ({
  type: "replica-gone",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  epoch: readEpoch(fields),
});

const readReplicaCheck = (fields: FieldReader): ReplicaCheck => ({
  type: "replica-check",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  epoch: readEpoch(fields),
  start: fields.isNull() ? undefined : fields.key(),
});

const readReplicaVerdict = (fields: FieldReader): ReplicaVerdict => ({
  type: "replica-verdict",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  gone: fields.boolean(),
  descriptor: readOptionalDescriptor(fields),
});

const readDirectory = (fields: FieldReader): StoreDirectory => ({
  type: "store-directory",
  revision: fields.positive(),
  stores: fields.list(storesMax, 7, "store", readStore),
});

const readStore = (fields: FieldReader): StoreEntry => ({
  storeId: fields.positive() as StoreId,
  nodeId: fields.positive() as NodeId,
  address: fields.text(),
  httpAddress: fields.text(),
  storeKey: fields.text(),
  state: fields.oneOf(memberships),
  labels: readLabels(fields),
});

const readLabels = (fields: FieldReader): Record<string, string> =>
  Object.fromEntries(fields.list(labelsMax, 2, "label", (label) => [label.text(), label.text()]));

const readHeartbeat = (fields: FieldReader): StoreHeartbeat => ({
  type: "store-heartbeat",
  wallMs: fields.quantity(),
  nodeId: fields.integer() as NodeId,
  address: fields.text(),
  httpAddress: fields.text(),
  metaRange: readDescriptor(fields.fields(descriptorLength, "descriptor")),
  metaLeader: fields.integer() as StoreId,
  directoryRevision: fields.integer(),
  logHangs: fields.boolean(),
});

const readReport = (fields: FieldReader): StoreReport => ({
  type: "store-report",
  incarnation: fields.positive() as Incarnation,
  sequence: fields.positive(),
  base: fields.integer(),
  more: fields.boolean(),
  status: readStatus(fields.fields(19, "store status")),
  ranges: fields.list(controlValuesMax, 14, "range report", readRange),
  gone: fields.list(controlValuesMax, 1, "range that is led no more", (range) => range.positive() as RangeId),
});

const readReceipt = (fields: FieldReader): ReportReceipt => ({
  type: "report-receipt",
  incarnation: fields.positive() as Incarnation,
  sequence: fields.integer(),
});

const readStatus = (fields: FieldReader): StoreStatus => ({
  storeId: fields.integer() as StoreId,
  nodeId: fields.integer() as NodeId,
  address: fields.text(),
  httpAddress: fields.text(),
  pid: fields.integer(),
  serverVersion: fields.text(),
  uptimeMs: fields.quantity(),
  dataDir: fields.text(),
  replicas: fields.integer(),
  leaders: fields.integer(),
  sizeBytes: fields.quantity(),
  freeBytes: fields.quantity(),
  logBytes: fields.quantity(),
  fsyncs: fields.integer(),
  snapshotsSending: fields.integer(),
  snapshotsReceiving: fields.integer(),
  intervalsClearing: fields.integer(),
  stopping: fields.boolean(),
  labels: readLabels(fields),
});

const readRange = (fields: FieldReader): RangeReport => ({
  descriptor: readDescriptor(fields.fields(descriptorLength, "descriptor")),
  term: fields.integer() as Term,
  leaderStoreId: fields.integer() as StoreId,
  sizeBytes: fields.quantity(),
  sizeKnown: fields.boolean(),
  keys: fields.isNull() ? null : fields.integer(),
  writesPerSecond: fields.quantity(),
  readsPerSecond: fields.quantity(),
  bytesPerSecond: fields.quantity(),
  load: readLoad(fields.fields(5, "load")),
  asleep: fields.boolean(),
  configurationPending: fields.boolean(),
  sealedFor: fields.isNull() ? undefined : readSealedFor(fields.fields(2, "sealed for")),
  replicas: fields.list(membersMax, 5, "replica report", (replica) => ({
    replicaId: replica.positive() as ReplicaId,
    storeId: replica.positive() as StoreId,
    match: replica.integer() as LogIndex,
    state: replica.oneOf(replicaStates),
    active: replica.boolean(),
  })),
});

const readSealedFor = (fields: FieldReader): SealedFor => ({
  rangeId: fields.positive() as RangeId,
  bounds: fields.positive(),
});

const readLoad = (fields: FieldReader): LoadReport => ({
  operationsPerSecond: fields.quantity(),
  bytesPerSecond: fields.quantity(),
  loopPercent: fields.quantity(),
  splitKey: fields.isNull() ? undefined : fields.key(),
  splitReason: fields.text(),
});

const readHashRequest = (fields: FieldReader): ReplicaHashRequest => ({
  type: "replica-hash-request",
  requestId: fields.positive(),
  rangeId: fields.positive() as RangeId,
});

const readHash = (fields: FieldReader): ReplicaHash => ({
  type: "replica-hash",
  requestId: fields.positive(),
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  index: fields.integer() as LogIndex,
  checksum: fields.integer(),
  keys: fields.integer(),
  bytes: fields.integer(),
});

const readSealCheck = (fields: FieldReader): SealCheck => ({
  type: "seal-check",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  leftRangeId: fields.positive() as RangeId,
  leftReplicaId: fields.positive() as ReplicaId,
  bounds: fields.positive(),
  index: fields.integer() as LogIndex,
});

const readSealState = (fields: FieldReader): SealState => ({
  type: "seal-state",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
  bounds: fields.positive(),
  index: fields.integer() as LogIndex,
  ready: fields.boolean(),
  reason: fields.text(),
});

const readOffer = (fields: FieldReader): SnapshotOffer => ({
  type: "snapshot-offer",
  transferId: fields.integer(),
  rangeId: fields.positive() as RangeId,
  from: fields.positive() as ReplicaId,
  to: fields.positive() as ReplicaId,
  term: fields.positive() as Term,
  descriptor: readDescriptor(fields.fields(descriptorLength, "descriptor")),
});

const readAnswer = (fields: FieldReader): SnapshotAnswer => ({
  type: "snapshot-answer",
  transferId: fields.integer(),
  state: fields.oneOf(answerStates),
  takenBytes: fields.integer(),
  creditBytes: fields.integer(),
  reason: fields.text(),
});
