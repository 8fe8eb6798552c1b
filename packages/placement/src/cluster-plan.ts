/**
 * The one act by which a cluster is made: everything that its first stores must agree on, decided in one place and
 * handed to each of them before any of them speaks (rule: identity).
 */
import {
  assert,
  keyMax,
  metaRangeId,
  nodeId,
  rangeId,
  replicaId,
  storeId,
  systemPrefix,
  userKey,
  userPrefix,
} from "@flotilla/base";
import type { Key, NodeId, RandomSource, RangeDescriptor, ReplicaDescriptor, StoreId } from "@flotilla/base";

export interface PlannedStore {
  readonly storeId: StoreId;
  readonly nodeId: NodeId;
  /** `host:port` where the store listens. */
  readonly address: string;
  /** 32 hex digits, drawn for this directory; peers refuse another key under the same store id. */
  readonly storeKey: string;
}

export interface ClusterPlan {
  /** 32 hex digits. */
  readonly clusterId: string;
  readonly stores: readonly PlannedStore[];
  /** The meta range first, then the user ranges in the order of their keys. The first replica of each leads first. */
  readonly ranges: readonly RangeDescriptor[];
}

export interface ClusterPlanOptions {
  /** A store for each address, in this order. */
  readonly addresses: readonly string[];
  readonly replicas: number;
  /** User ranges with even steps over printable ASCII … */
  readonly ranges: number;
  /** … or bounds by hand: user keys as binary strings; then `ranges` is ignored. */
  readonly splitAt: readonly string[];
}

export function planCluster(options: ClusterPlanOptions, random: RandomSource): ClusterPlan {
  const { addresses, replicas } = options;
  assert(addresses.length > 0, "a cluster needs at least one store");
  assert(
    replicas >= 1 && replicas <= addresses.length,
    `${replicas} replicas do not fit on ${addresses.length} stores`,
  );
  const stores = addresses.map((address, index) => ({
    storeId: storeId(index + 1),
    nodeId: nodeId(index + 1),
    address,
    storeKey: randomHex(random, 16),
  }));
  const splits = options.splitAt.length > 0 ? sortedSplits(options.splitAt) : evenSplits(options.ranges);
  const bounds = [userPrefix, ...splits.map((split) => userKey(split)), keyMax];
  const intervals: [Key, Key][] = [[systemPrefix, userPrefix]];
  for (let i = 0; i + 1 < bounds.length; i++) intervals.push([bounds[i]!, bounds[i + 1]!]);
  let nextReplica = 1;
  const ranges = intervals.map(([start, end], index): RangeDescriptor => {
    const members: ReplicaDescriptor[] = [];
    for (let i = 0; i < replicas; i++) {
      const store = stores[(index + i) % stores.length]!;
      members.push({ replicaId: replicaId(nextReplica++), storeId: store.storeId, role: "voter" });
    }
    return { rangeId: rangeId(metaRangeId + index), start, end, epoch: { bounds: 1, members: 1 }, replicas: members };
  });
  return { clusterId: randomHex(random, 16), stores, ranges };
}

function sortedSplits(splits: readonly string[]): string[] {
  return [...new Set(splits)].sort();
}

/** `count - 1` bounds in even steps over printable ASCII, two bytes deep, so that text keys spread (docs/cli.md). */
export function evenSplits(count: number): string[] {
  const low = 0x21;
  const width = 0x7e - low + 1;
  const splits: string[] = [];
  for (let i = 1; i < count; i++) {
    const position = Math.floor((i * width * width) / count);
    splits.push(String.fromCharCode(low + Math.floor(position / width), low + (position % width)));
  }
  return splits;
}

function randomHex(random: RandomSource, bytes: number): string {
  let text = "";
  for (const byte of random.bytes(bytes)) text += byte.toString(16).padStart(2, "0");
  return text;
}
