/**
 * What a range's own records say when its group goes on with a single member, because the majority of the others is lost
 * for good: the same bounds, the same records and sessions, one new replica id that no earlier member has ever heard of.
 *
 * The records go into the engine as one batch and become durable there; only then the log gets its group under the new id
 * (`install`), and only after that the replica lives. A crash in between is settled at the next start (`completeForced`):
 * nothing else ever makes an engine whose descriptor names a newer replica of this store than the log has, for a range
 * snapshot is logged before it is loaded, and a split's group before its records are flushed.
 */
import { noReplica } from "@flotilla/base";
import type { Epoch, LogIndex, RangeDescriptor, ReplicaId, StoreId, Term, Version } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";
import type { Configuration } from "@flotilla/raft";
import type { GroupState, SharedLog } from "@flotilla/raft-log";
import {
  encodeApplied,
  encodeConfiguration,
  encodeDescriptor,
  encodeMerge,
  rangeRecordKey,
  rangeRecordNames,
} from "@flotilla/storage";
import type { Engine, MergedRecord } from "@flotilla/storage";

/**
 * Above every epoch that is known: more splits and changes of members than the lost stores can have made that nobody left
 * has heard of.
 */
export const epochJump = 1000;

export interface ForcedState {
  readonly descriptor: RangeDescriptor;
  readonly index: LogIndex;
  readonly term: Term;
  readonly lastVersion: Version;
  readonly merged: MergedRecord | undefined;
}

/** `floor`: the highest epoch that anybody left knows, of this range and of those that lay over its keys. */
export function forcedDescriptor(
  descriptor: RangeDescriptor,
  member: { readonly replicaId: ReplicaId; readonly storeId: StoreId },
  floor: Epoch,
): RangeDescriptor {
  const { epoch } = descriptor;
  return {
    ...descriptor,
    epoch: {
      bounds: Math.max(epoch.bounds, floor.bounds) + epochJump,
      members: Math.max(epoch.members, floor.members) + epochJump,
    },
    replicas: [{ ...member, role: "voter" }],
  };
}

export function putForced(batch: ReturnType<Engine["batch"]>, state: ForcedState, operations: ByteOperations): void {
  const { descriptor, index, term, lastVersion, merged } = state;
  const name = (text: string): Uint8Array => rangeRecordKey(descriptor.rangeId, text, operations);
  const voters = descriptor.replicas.map(({ replicaId }) => replicaId);
  const members: Configuration = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const at = {
    descriptor: name(rangeRecordNames.descriptor),
    configuration: name(rangeRecordNames.configuration),
    applied: name(rangeRecordNames.applied),
    merge: name(rangeRecordNames.merge),
  };
  batch.put(at.descriptor, encodeDescriptor(at.descriptor, descriptor, operations));
  batch.put(at.configuration, encodeConfiguration(at.configuration, members, operations));
  batch.put(at.applied, encodeApplied(at.applied, { index, term, lastVersion }, operations));
  // A seal ends with the old members: the left neighbour has other bounds by now, and has not taken the range in.
  batch.put(at.merge, encodeMerge(at.merge, { sealed: undefined, merged }, operations));
}

/** The group begins anew behind what the engine has; what the old id had promised, the new one does not vote below. */
export function stageForced(
  log: SharedLog,
  { rangeId, hardState }: GroupState,
  replicaId: ReplicaId,
  index: LogIndex,
  term: Term,
): void {
  log.install(rangeId, replicaId, index, term);
  if (hardState.term > term)
    log.setHardState(rangeId, replicaId, { term: hardState.term, vote: noReplica, commit: index });
}

/** For a start: the replica that a forced membership names, when the log has not heard of it yet. */
export function forcedReplica(
  descriptor: RangeDescriptor,
  store: StoreId,
  group: GroupState | undefined,
): ReplicaId | undefined {
  const [own] = descriptor.replicas;
  if (own === undefined || descriptor.replicas.length > 1 || own.storeId !== store) return undefined;
  if (group === undefined || group.replicaId === noReplica) return undefined;
  return own.replicaId > group.replicaId && own.replicaId >= group.tombstone ? own.replicaId : undefined;
}
