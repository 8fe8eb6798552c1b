/**
 * Branded integers. Every id, index, term and version of the system is a 53-bit integer in a JavaScript number;
 * the brand keeps a range id from being passed where a store id is meant. Each has one constructor, which checks
 * the range once; arithmetic gives a plain number, which has to pass the constructor again.
 */
import { InvariantError } from "./assert.ts";

/** The brand is a name, not a unique symbol, so that the types of two published packages, each with a copy, agree. */
type Branded<Name extends string> = number & { readonly " brand": Name };

/** Unique in the cluster, from 1. Range 1 is the meta range. */
export type RangeId = Branded<"RangeId">;
/** A range's member on a store; unique in the cluster, never reused; it is the Raft member id. From 1; 0 = none. */
export type ReplicaId = Branded<"ReplicaId">;
/** One data directory. From 1; 0 = none. */
export type StoreId = Branded<"StoreId">;
/** One server. From 1. */
export type NodeId = Branded<"NodeId">;
/** Raft term. From 1; 0 before the first election. */
export type Term = Branded<"Term">;
/** Position in a Raft log. From 1; 0 = before the first entry. */
export type LogIndex = Branded<"LogIndex">;
/** Of a record: milliseconds since 2024-01-01 UTC × 4096 + a counter. 0 = no record. */
export type Version = Branded<"Version">;
/** Rises by one at each start of a store. From 1. */
export type Incarnation = Branded<"Incarnation">;

/** The largest integer that any id, index, term or version may take: 2^53 - 1. */
export const integerMax: number = Number.MAX_SAFE_INTEGER;

function integer(value: number, name: string): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvariantError(`${name} must be an integer from 0 to 2^53-1, got ${value}`);
  }
  return value;
}

export const rangeId = (value: number): RangeId => integer(value, "range id") as RangeId;
export const replicaId = (value: number): ReplicaId => integer(value, "replica id") as ReplicaId;
export const storeId = (value: number): StoreId => integer(value, "store id") as StoreId;
export const nodeId = (value: number): NodeId => integer(value, "node id") as NodeId;
export const term = (value: number): Term => integer(value, "term") as Term;
export const logIndex = (value: number): LogIndex => integer(value, "log index") as LogIndex;
export const version = (value: number): Version => integer(value, "version") as Version;
export const incarnation = (value: number): Incarnation => integer(value, "incarnation") as Incarnation;

export const metaRangeId: RangeId = 1 as RangeId;
export const noReplica: ReplicaId = 0 as ReplicaId;
export const noStore: StoreId = 0 as StoreId;
export const noTerm: Term = 0 as Term;
export const noIndex: LogIndex = 0 as LogIndex;
export const noVersion: Version = 0 as Version;
