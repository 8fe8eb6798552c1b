/**
 * Control messages between stores: msgpackr arrays of these fields, in this order.
 *
 *     replica-gone       range id, replica id
 *     store-heartbeat    wall ms, node id, address, HTTP address, descriptor of the meta range, its leader
 *     store-report       status, list of range reports
 *         status         store id, node id, address, HTTP address, pid, server version, uptime ms, data directory, replicas,
 *                        leaders, size bytes, free bytes, log bytes, fsyncs, list of [label, value]
 *         range report   descriptor, term, leader, size bytes, keys or nil, writes/s, reads/s, asleep,
 *                        list of [replica id, store id, match, state (0 probe, 1 replicate, 2 snapshot), active]
 *     operator-step      operator id, range id, bounds, members, action (0 transfer-leader), to
 *     snapshot-offer     transfer id, range id, from, to, term
 *     snapshot-answer    transfer id, state (0 more, 1 done, 2 refused), taken bytes, credit bytes, reason
 */
import { InvariantError } from "@flotilla/base";
import type { ByteOperations, LogIndex, NodeId, RangeId, ReplicaId, StoreId, Term } from "@flotilla/base";
import type {
  OperatorStep,
  PeerMessage,
  RangeReport,
  ReplicaGone,
  ReplicaReport,
  SnapshotAnswer,
  SnapshotOffer,
  StoreHeartbeat,
  StoreReport,
  StoreStatus,
} from "../peer-messages.ts";
import { controlValuesMax, membersMax } from "../protocol.ts";
import { descriptorFields, descriptorLength, readDescriptor, readEpoch } from "./descriptor-fields.ts";
import { FieldReader, nameNumber } from "./field-reader.ts";
import { boundedText } from "./fields.ts";

export type PeerControlMessage = Exclude<PeerMessage, { type: "raft" | "snapshot-chunk" }>;
type PeerControlType = PeerControlMessage["type"];

const replicaStates: readonly ReplicaReport["state"][] = ["probe", "replicate", "snapshot"];
const answerStates: readonly SnapshotAnswer["state"][] = ["more", "done", "refused"];
const actions: readonly OperatorStep["action"]["kind"][] = ["transfer-leader"];
const labelsMax = 64;

export function peerControlFields(message: PeerControlMessage, operations: ByteOperations): unknown[] {
  switch (message.type) {
    case "replica-gone":
      return [message.rangeId, message.replicaId];
    case "store-heartbeat":
      return [
        message.wallMs,
        message.nodeId,
        boundedText(message.address, operations),
        boundedText(message.httpAddress, operations),
        descriptorFields(message.metaRange, operations),
        message.metaLeader,
      ];
    case "store-report":
      return [statusFields(message.status, operations), message.ranges.map((range) => rangeFields(range, operations))];
    case "operator-step": {
      const { operatorId, rangeId, epoch, action } = message;
      return [operatorId, rangeId, epoch.bounds, epoch.members, nameNumber(actions, action.kind), action.to];
    }
    case "snapshot-offer":
      return [message.transferId, message.rangeId, message.from, message.to, message.term];
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
    Object.entries(status.labels),
  ];
}

function rangeFields(range: RangeReport, operations: ByteOperations): unknown[] {
  return [
    descriptorFields(range.descriptor, operations),
    range.term,
    range.leaderStoreId,
    range.sizeBytes,
    range.keys,
    range.writesPerSecond,
    range.readsPerSecond,
    range.asleep,
    range.replicas.map((replica) => [
      replica.replicaId,
      replica.storeId,
      replica.match,
      nameNumber(replicaStates, replica.state),
      replica.active,
    ]),
  ];
}

export function readPeerControl(
  type: PeerControlType,
  values: unknown,
  operations: ByteOperations,
): PeerControlMessage {
  const fields = (length: number): FieldReader => new FieldReader(values, length, type, operations);
  switch (type) {
    case "replica-gone":
      return readReplicaGone(fields(2));
    case "store-heartbeat":
      return readHeartbeat(fields(6));
    case "store-report":
      return readReport(fields(2));
    case "operator-step":
      return readOperatorStep(fields(6));
    case "snapshot-offer":
      return readOffer(fields(5));
    case "snapshot-answer":
      return readAnswer(fields(5));
    default:
      throw new InvariantError(`no layout for ${type satisfies never as string}`);
  }
}

const readReplicaGone = (fields: FieldReader): ReplicaGone => ({
  type: "replica-gone",
  rangeId: fields.positive() as RangeId,
  replicaId: fields.positive() as ReplicaId,
});

const readHeartbeat = (fields: FieldReader): StoreHeartbeat => ({
  type: "store-heartbeat",
  wallMs: fields.quantity(),
  nodeId: fields.integer() as NodeId,
  address: fields.text(),
  httpAddress: fields.text(),
  metaRange: readDescriptor(fields.fields(descriptorLength, "descriptor")),
  metaLeader: fields.integer() as StoreId,
});

const readReport = (fields: FieldReader): StoreReport => ({
  type: "store-report",
  status: readStatus(fields.fields(15, "store status")),
  ranges: fields.list(controlValuesMax, 9, "range report", readRange),
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
  labels: Object.fromEntries(fields.list(labelsMax, 2, "label", (label) => [label.text(), label.text()])),
});

const readRange = (fields: FieldReader): RangeReport => ({
  descriptor: readDescriptor(fields.fields(descriptorLength, "descriptor")),
  term: fields.integer() as Term,
  leaderStoreId: fields.integer() as StoreId,
  sizeBytes: fields.quantity(),
  keys: fields.isNull() ? null : fields.integer(),
  writesPerSecond: fields.quantity(),
  readsPerSecond: fields.quantity(),
  asleep: fields.boolean(),
  replicas: fields.list(membersMax, 5, "replica report", (replica) => ({
    replicaId: replica.positive() as ReplicaId,
    storeId: replica.positive() as StoreId,
    match: replica.integer() as LogIndex,
    state: replica.oneOf(replicaStates),
    active: replica.boolean(),
  })),
});

function readOperatorStep(fields: FieldReader): OperatorStep {
  const operatorId = fields.integer();
  const rangeId = fields.positive() as RangeId;
  const epoch = readEpoch(fields);
  const kind = fields.oneOf(actions);
  return { type: "operator-step", operatorId, rangeId, epoch, action: { kind, to: fields.positive() as StoreId } };
}

const readOffer = (fields: FieldReader): SnapshotOffer => ({
  type: "snapshot-offer",
  transferId: fields.integer(),
  rangeId: fields.positive() as RangeId,
  from: fields.positive() as ReplicaId,
  to: fields.positive() as ReplicaId,
  term: fields.positive() as Term,
});

const readAnswer = (fields: FieldReader): SnapshotAnswer => ({
  type: "snapshot-answer",
  transferId: fields.integer(),
  state: fields.oneOf(answerStates),
  takenBytes: fields.integer(),
  creditBytes: fields.integer(),
  reason: fields.text(),
});
