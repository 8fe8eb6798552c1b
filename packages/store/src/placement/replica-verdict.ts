/** The placement driver's word on a replica that asks whether it is still a member. */
import type { RangeDescriptor } from "@flotilla/base";
import type { ReplicaCheck, ReplicaVerdict } from "@flotilla/transport";

/**
 * `descriptors` are committed ones of the meta range. Gone is final: ids are never used twice, so a replica that a
 * descriptor with more changes of members than its own does not list never becomes a member again. A range that the meta
 * range does not know may be one that was just split off: nothing is said about it.
 */
export function replicaVerdict(check: ReplicaCheck, descriptors: readonly RangeDescriptor[]): ReplicaVerdict {
  const { rangeId, replicaId, epoch } = check;
  const descriptor = descriptors.find((range) => range.rangeId === rangeId);
  const gone =
    descriptor !== undefined &&
    descriptor.epoch.members > epoch.members &&
    !descriptor.replicas.some((replica) => replica.replicaId === replicaId);
  return { type: "replica-verdict", rangeId, replicaId, gone, descriptor };
}
