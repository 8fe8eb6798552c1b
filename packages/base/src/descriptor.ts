/** What a range is: its interval, its epoch and its replicas. Travels with every routing error. */
import type { Key } from "./key.ts";
import type { RangeId, ReplicaId, StoreId } from "./integers.ts";

export interface Epoch {
  /** Rises on split and merge. From 1. */
  readonly bounds: number;
  /** Rises on every change of membership. From 1. */
  readonly members: number;
}

/** Of one range: neither its keys nor its members have changed in between. */
export const sameEpoch = (a: Epoch, b: Epoch): boolean => a.bounds === b.bounds && a.members === b.members;

export type ReplicaRole = "voter" | "learner" | "incoming" | "outgoing";

export interface ReplicaDescriptor {
  readonly replicaId: ReplicaId;
  readonly storeId: StoreId;
  readonly role: ReplicaRole;
}

export interface RangeDescriptor {
  readonly rangeId: RangeId;
  /** Inclusive. */
  readonly start: Key;
  /** Exclusive. */
  readonly end: Key;
  readonly epoch: Epoch;
  readonly replicas: readonly ReplicaDescriptor[];
}

/** Design rule "newest epoch": of two descriptors that overlap, the one that is believed. */
export function isNewer(a: RangeDescriptor, b: RangeDescriptor): boolean {
  if (a.epoch.bounds !== b.epoch.bounds) return a.epoch.bounds > b.epoch.bounds;
  return a.rangeId === b.rangeId && a.epoch.members > b.epoch.members;
}

export const containsKey = (range: RangeDescriptor, key: Key): boolean => key >= range.start && key < range.end;
