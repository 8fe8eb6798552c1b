/**
 * What the meta range holds, under logical keys `00 …`:
 *
 *     00 range/ + end bound     descriptor of the range that ends there: one seek finds a key's range
 *     00 store/ + id (8)        JSON: a store as the cluster knows it (StoreEntry), decommissioned ones too
 *     00 next/ + name           8 bytes: the first id of that kind that is in no block given out yet
 *     00 operator/ + id (8)     JSON: an operator (packages/placement, operator-format.ts), or one of the last that ended
 *     00 setting/ + name        JSON
 *
 * Values of descriptors: format number 1, then the descriptor's body (packages/storage, range-records.ts). Kinds of ids:
 * range, replica, store, node, operator; `directory` is the revision of the directory of stores. Written by the placement
 * driver only (meta-draft.ts), but for what a cluster begins with.
 */
import { BinaryReader, BinaryWriter, MalformedError, key } from "@flotilla/base";
import type { ByteOperations, Key, RangeDescriptor } from "@flotilla/base";
import { decodeOperator, encodeOperator } from "@flotilla/placement";
import type { ClusterPlan, Operator } from "@flotilla/placement";
import { readDescriptor, writeDescriptor } from "@flotilla/storage";
import type { StoreEntry } from "@flotilla/transport";
import { checkedEntry } from "../store-directory-record.ts";
import { foundedRanges, keptRangesMax, keptSetting } from "./kept-ranges.ts";

const descriptorFormat = 1;

export const metaRangesStart: Key = key("\x00range/");
export const metaRangesEnd: Key = key("\x00range0");

export const counterNames = ["range", "replica", "store", "node", "operator", "directory"] as const;
export type CounterName = (typeof counterNames)[number];

const prefixes = { range: "\x00range/", store: "\x00store/", next: "\x00next/", operator: "\x00operator/" } as const;
const settingPrefix = "\x00setting/";

export const metaRangeKey = (end: Key): Key => key(prefixes.range + end);
export const metaCounterKey = (name: CounterName): Key => key(prefixes.next + name);
export const metaSettingKey = (name: string): Key => key(settingPrefix + name);

export function metaStoreKey(store: number, operations: ByteOperations): Key {
  return key(prefixes.store + binaryUint53(store, operations));
}

export function metaOperatorKey(operatorId: number, operations: ByteOperations): Key {
  return key(prefixes.operator + binaryUint53(operatorId, operations));
}

export function encodeMetaDescriptor(descriptor: RangeDescriptor, operations: ByteOperations): Uint8Array {
  const writer = new BinaryWriter(operations);
  writer.uint8(descriptorFormat);
  writeDescriptor(writer, descriptor);
  return writer.finish();
}

export function decodeMetaDescriptor(value: Uint8Array, operations: ByteOperations): RangeDescriptor {
  const reader = new BinaryReader(value);
  const found = reader.uint8();
  if (found !== descriptorFormat)
    throw new MalformedError(`range descriptor of format ${found}, only ${descriptorFormat} is known`);
  return readDescriptor(reader, operations);
}

export function encodeMetaJson(value: unknown, operations: ByteOperations): Uint8Array {
  return operations.encodeUtf8(JSON.stringify(value));
}

export function encodeMetaOperator(operator: Operator, operations: ByteOperations): Uint8Array {
  return operations.encodeUtf8(encodeOperator(operator));
}

export function encodeMetaCounter(next: number, operations: ByteOperations): Uint8Array {
  const writer = new BinaryWriter(operations, 8);
  writer.uint53(next);
  return writer.finish();
}

/** A record of the meta range as it is meant; `other` of names that this version does not know. */
export type MetaRecord =
  | { readonly kind: "range"; readonly descriptor: RangeDescriptor }
  | { readonly kind: "store"; readonly store: StoreEntry }
  | { readonly kind: "counter"; readonly name: CounterName; readonly next: number }
  | { readonly kind: "operator"; readonly operator: Operator }
  | { readonly kind: "setting"; readonly name: string; readonly value: unknown }
  | { readonly kind: "other" };

/** `founded`: what a cluster of release 0.1.0 has in its plan only. Throws `MalformedError`. */
export function decodeMetaRecord(
  at: Key,
  value: Uint8Array,
  founded: readonly StoreEntry[],
  operations: ByteOperations,
): MetaRecord {
  if (at.startsWith(prefixes.range)) return { kind: "range", descriptor: decodeMetaDescriptor(value, operations) };
  if (at.startsWith(prefixes.store))
    return { kind: "store", store: storeOf(parsed(at, value, operations) as Partial<StoreEntry> | null, founded) };
  if (at.startsWith(prefixes.next)) {
    const name = counterNames.find((known) => known === at.slice(prefixes.next.length));
    return name === undefined ? { kind: "other" } : { kind: "counter", name, next: new BinaryReader(value).uint53() };
  }
  if (at.startsWith(prefixes.operator))
    return { kind: "operator", operator: decodeOperator(operations.decodeUtf8(value)) };
  if (at.startsWith(settingPrefix))
    return { kind: "setting", name: at.slice(settingPrefix.length), value: parsed(at, value, operations) };
  return { kind: "other" };
}

function parsed(at: Key, value: Uint8Array, operations: ByteOperations): unknown {
  try {
    return JSON.parse(operations.decodeUtf8(value)) as unknown;
  } catch (error) {
    throw new MalformedError(`the meta record ${JSON.stringify(at)} is no JSON: ${String(error)}`);
  }
}

function storeOf(value: Partial<StoreEntry> | null, founded: readonly StoreEntry[]): StoreEntry {
  const planned = founded.find(({ storeId }) => storeId === value?.storeId);
  return checkedEntry({ ...planned, ...value });
}

/** The meta range's content when a cluster begins. */
export function initialMetaRecords(plan: ClusterPlan, operations: ByteOperations): { key: Key; value: Uint8Array }[] {
  const records: { key: Key; value: Uint8Array }[] = [];
  let lastReplica = 0;
  let replicas = 1;
  for (const descriptor of plan.ranges) {
    records.push({ key: metaRangeKey(descriptor.end), value: encodeMetaDescriptor(descriptor, operations) });
    for (const { replicaId } of descriptor.replicas) lastReplica = Math.max(lastReplica, replicaId);
    replicas = Math.max(replicas, descriptor.replicas.length);
  }
  for (const { storeId, nodeId, address, storeKey } of plan.stores) {
    const entry: StoreEntry = { storeId, nodeId, address, httpAddress: "", storeKey, state: "active", labels: {} };
    records.push({ key: metaStoreKey(storeId, operations), value: encodeMetaJson(entry, operations) });
  }
  const next: Partial<Record<CounterName, number>> = {
    range: plan.ranges.length + 1,
    replica: lastReplica + 1,
    store: plan.stores.length + 1,
    node: plan.stores.length + 1,
  };
  for (const name of counterNames) {
    const first = next[name];
    if (first !== undefined) records.push({ key: metaCounterKey(name), value: encodeMetaCounter(first, operations) });
  }
  records.push({ key: metaSettingKey("replicas"), value: encodeMetaJson(replicas, operations) });
  const kept = foundedRanges(plan).slice(0, keptRangesMax);
  if (kept.length > 0) records.push({ key: metaSettingKey(keptSetting), value: encodeMetaJson(kept, operations) });
  return records;
}

function binaryUint53(value: number, operations: ByteOperations): string {
  const writer = new BinaryWriter(operations, 8);
  writer.uint53(value);
  return operations.binaryString(writer.bytes, 0, 8);
}
