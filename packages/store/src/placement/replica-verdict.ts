/** The placement driver's word on a replica that asks whether it is still a member. */
import { containsKey } from "@flotilla/base";
import type { RangeDescriptor } from "@flotilla/base";
import type { ReplicaCheck, ReplicaVerdict } from "@flotilla/transport";

/**
 * `descriptors` are committed ones of the meta range. Gone is final: ids are never used twice, so a replica that a
 * descriptor with more changes of members than its own does not list never becomes a member again. A range that the meta
 * range does not know may be one that was just split off; but where its first key belongs to a range with higher bounds it
 * was merged away: bounds rise each time that a key changes hands, and a range owns its first key as long as it lives.
 */
export function replicaVerdict(check: ReplicaCheck, descriptors: readonly RangeDescriptor[]): ReplicaVerdict {
  const { rangeId, replicaId, epoch, start } = check;
  const descriptor = descriptors.find((range) => range.rangeId === rangeId);
  if (descriptor === undefined) {
    const owner = start === undefined ? undefined : descriptors.find((range) => containsKey(range, start));
    const gone = owner !== undefined && owner.epoch.bounds > epoch.bounds;
    return { type: "replica-verdict", rangeId, replicaId, gone, descriptor };
  }
  const gone =
    descriptor.epoch.members > epoch.members && !descriptor.replicas.some((replica) => replica.replicaId === replicaId);
  return { type: "replica-verdict", rangeId, replicaId, gone, descriptor };
}
