/** The answers to questions about the cluster. They come from a server of maybe another version: fields may be missing. */
import type { ClusterClient } from "../cluster-client.ts";
import { requireList, requireObject } from "./answer-shape.ts";
import { bytesOfBinaryString, encodeTogether } from "./bytes-text.ts";
import type { Encoding } from "./bytes-text.ts";

export interface ClusterStatus {
  readonly clusterId: string;
  readonly formatNumber: number;
  readonly health: string;
  readonly reasons: readonly string[];
  readonly warnings?: readonly string[];
  readonly nodes: { readonly total: number; readonly live: number };
  readonly stores: { readonly total: number; readonly live: number };
  readonly ranges: {
    readonly total: number;
    readonly led: number;
    readonly underReplicated: number;
    readonly unavailable: number;
  };
  readonly placementDriver: {
    readonly nodeId: number | null;
    readonly storeId: number | null;
    readonly term: number | null;
  };
  readonly sizeBytes: number | null;
}

export interface NodeRow {
  readonly nodeId: number;
  readonly address: string;
  readonly httpAddress: string | null;
  readonly pid: number | null;
  readonly state: string;
  readonly serverVersion: string | null;
  readonly uptimeMs: number | null;
  readonly stores: readonly number[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface StoreRow {
  readonly storeId: number;
  readonly nodeId: number;
  readonly address: string;
  readonly state: string;
  readonly replicas: number | null;
  readonly leaders: number | null;
  readonly sizeBytes: number | null;
  readonly freeBytes: number | null;
  readonly logBytes: number | null;
  readonly fsyncs: number | null;
  readonly dataDir: string | null;
}

export interface RangeRow {
  readonly rangeId: number;
  /** Binary strings. Empty: the beginning or the end of all keys. */
  readonly start: string;
  readonly end: string;
  /** Holds the placement driver's records, no keys of users. */
  readonly system?: boolean;
  readonly epoch?: { readonly bounds: number; readonly members: number };
  readonly leaderStoreId: number | null;
  readonly term: number | null;
  readonly replicas: readonly {
    readonly replicaId: number;
    readonly storeId: number;
    readonly nodeId: number | null;
    readonly role: string;
    readonly state: string | null;
  }[];
  readonly sizeBytes: number | null;
  readonly keys: number | null;
  readonly writesPerSecond: number | null;
  readonly readsPerSecond: number | null;
  /** Keys and values, of writes and point reads. */
  readonly bytesPerSecond: number | null;
  readonly asleep: boolean;
}

export async function askClusterStatus(client: ClusterClient): Promise<ClusterStatus> {
  return requireObject(await client.admin("cluster-status", {}, { readOnly: true }), "cluster-status", [
    "health",
    "nodes",
    "stores",
    "ranges",
    "placementDriver",
    "reasons",
  ]) as unknown as ClusterStatus;
}

export async function askNodes(client: ClusterClient): Promise<readonly NodeRow[]> {
  return requireList(await client.admin("node-list", {}, { readOnly: true }), "node-list", [
    "nodeId",
    "address",
    "state",
  ]) as unknown as NodeRow[];
}

export async function askStores(client: ClusterClient): Promise<readonly StoreRow[]> {
  return requireList(await client.admin("store-list", {}, { readOnly: true }), "store-list", [
    "storeId",
    "nodeId",
    "state",
  ]) as unknown as StoreRow[];
}

export async function askRanges(client: ClusterClient): Promise<readonly RangeRow[]> {
  return rangeRows(await client.admin("range-list", {}, { readOnly: true }), "range-list");
}

export function rangeRows(answer: unknown, name: string): readonly RangeRow[] {
  return requireList(answer, name, ["rangeId", "start", "end", "replicas"]) as unknown as RangeRow[];
}

/** As it is written in JSON: both bounds in one encoding. */
export function encodedRange<Row extends RangeRow>(row: Row, wanted: Encoding): object {
  const bounds = encodeTogether({ start: boundBytes(row.start), end: boundBytes(row.end) }, wanted);
  const { rangeId, ...rest } = row;
  return { rangeId, ...rest, ...bounds };
}

export const boundBytes = (bound: unknown): Uint8Array => bytesOfBinaryString(typeof bound === "string" ? bound : "");
