/** Of all replicas that live in a cluster: which ranges are as they should be once everything is healed. */
import { containsKey, isNewer, keyMax, systemPrefix } from "@flotilla/base";
import type { RangeDescriptor, RangeId } from "@flotilla/base";
import type { ReplicaState } from "@flotilla/store";
import type { RangeRow } from "./administrator.ts";

export type LivingReplicas = ReadonlyMap<RangeId, readonly ReplicaState[]>;

export function replicasByRange(replicas: Iterable<ReplicaState>): LivingReplicas {
  const byRange = new Map<RangeId, ReplicaState[]>();
  for (const replica of replicas) {
    const { rangeId } = replica.descriptor;
    const known = byRange.get(rangeId);
    if (known === undefined) byRange.set(rangeId, [replica]);
    else known.push(replica);
  }
  return byRange;
}

/**
 * Without ranges that were merged away: the first key of each belongs to another one with higher bounds. What is left of
 * their replicas belongs to nobody.
 */
export function withoutMerged(living: LivingReplicas): LivingReplicas {
  const newest = [...living.values()].map((replicas) => newestMembers(replicas).descriptor);
  const isMerged = ({ rangeId, start, epoch }: RangeDescriptor): boolean =>
    newest.some((other) => other.rangeId !== rangeId && containsKey(other, start) && other.epoch.bounds > epoch.bounds);
  const merged = new Set(newest.filter(isMerged).map(({ rangeId }) => rangeId));
  return new Map([...living].filter(([rangeId]) => !merged.has(rangeId)));
}

export interface NewestMembers {
  readonly descriptor: RangeDescriptor;
  /** The living ones among those that the descriptor names. */
  readonly members: readonly ReplicaState[];
  /** Those that it does not name. */
  readonly strangers: readonly ReplicaState[];
}

/** Of the replicas of one range. */
export function newestMembers(replicas: readonly ReplicaState[]): NewestMembers {
  const { descriptor } = replicas.reduce((a, b) => (isNewer(b.descriptor, a.descriptor) ? b : a));
  const ids = new Set(descriptor.replicas.map(({ replicaId }) => replicaId));
  return {
    descriptor,
    members: replicas.filter(({ replicaId }) => ids.has(replicaId)),
    strangers: replicas.filter(({ replicaId }) => !ids.has(replicaId)),
  };
}

export const isLed = (replicas: readonly ReplicaState[]): boolean =>
  newestMembers(replicas).members.some(({ serves }) => serves);

/** One serves, all know the same members, and each of these that is not on a lost store is there with everything applied. */
export function isLevel(replicas: readonly ReplicaState[], lost: ReadonlySet<number>): boolean {
  const { descriptor, members } = newestMembers(replicas);
  const { appliedIndex } = members[0] ?? replicas[0]!;
  const text = JSON.stringify(descriptor);
  return (
    members.filter(({ serves }) => serves).length === 1 &&
    members.length === descriptor.replicas.filter(({ storeId }) => !lost.has(storeId)).length &&
    members.every((each) => each.appliedIndex === appliedIndex && JSON.stringify(each.descriptor) === text)
  );
}

/** Every key lies in one range. */
export function isPartition(descriptors: readonly RangeDescriptor[]): boolean {
  let end: string = systemPrefix;
  for (const range of [...descriptors].sort((a, b) => (a.start < b.start ? -1 : 1))) {
    if (range.start !== end) return false;
    end = range.end;
  }
  return end === keyMax;
}

/** What the map says and the replicas do not, or the other way round. */
export function mapDifferences(rows: readonly RangeRow[], descriptors: readonly RangeDescriptor[]): string[] {
  const facts: string[] = [];
  const text = ({ rangeId, epoch, replicas }: RangeRow | RangeDescriptor): string =>
    JSON.stringify({ rangeId, epoch, replicas: replicas.map(({ replicaId, storeId }) => [replicaId, storeId]) });
  const living = new Map(descriptors.map((descriptor) => [descriptor.rangeId, text(descriptor)]));
  for (const row of rows) {
    const known = living.get(row.rangeId);
    if (known !== text(row)) facts.push(`the map has ${text(row)}, the replicas ${known ?? "none"}`);
    living.delete(row.rangeId);
  }
  for (const missing of living.values()) facts.push(`the map lacks ${missing}`);
  return facts;
}
