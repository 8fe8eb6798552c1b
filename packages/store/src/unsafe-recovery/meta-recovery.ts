/**
 * What changes in the meta range together with its own forced membership. Its last writes may be among what is lost, so
 * nothing is taken for the newest: ids are counted from far above what is found (hazard E19), the directory of stores gets
 * a revision that nobody has seen, stores that only this one's directory knows are written down, and the lost ones are
 * out of the cluster from the first moment on.
 */
import { replicaId } from "@flotilla/base";
import type { ByteOperations, Key, ReplicaId, StoreId } from "@flotilla/base";
import type { StoreEntry } from "@flotilla/transport";
import {
  counterNames,
  decodeMetaRecord,
  encodeMetaCounter,
  encodeMetaJson,
  metaCounterKey,
  metaStoreKey,
} from "../placement/meta-records.ts";
import type { CounterName } from "../placement/meta-records.ts";
import type { KnownDirectory } from "../store-directory.ts";

/** More ids than lost stores can have given out that nobody left has heard of: a thousand blocks. */
export const idJump = 1_000_000;
const revisionJump = 1000;

export interface MetaRecovery {
  readonly replicaId: ReplicaId;
  readonly records: readonly { readonly key: Key; readonly value: Uint8Array }[];
}

/** `found`: all records of the meta range; `known`: this store's directory. Throws `MalformedError`. */
export function recoverMeta(
  found: readonly { readonly key: Key; readonly value: Uint8Array }[],
  known: KnownDirectory,
  lost: ReadonlySet<StoreId>,
  operations: ByteOperations,
): MetaRecovery {
  const counters = new Map<CounterName, number>();
  const stores = new Map<StoreId, StoreEntry>(known.stores.map((store) => [store.storeId, store]));
  for (const { key, value } of found) {
    const record = decodeMetaRecord(key, value, known.stores, operations);
    if (record.kind === "counter") counters.set(record.name, record.next);
    if (record.kind === "store") stores.set(record.store.storeId, record.store);
  }
  const records: { key: Key; value: Uint8Array }[] = [];
  const counter = (name: CounterName, next: number): void => {
    records.push({ key: metaCounterKey(name), value: encodeMetaCounter(next, operations) });
  };
  const own = replicaId((counters.get("replica") ?? 1) + idJump);
  for (const name of counterNames) {
    if (name === "replica") counter(name, own + 1);
    else if (name === "directory") counter(name, Math.max(counters.get(name) ?? 0, known.revision) + revisionJump);
    else counter(name, (counters.get(name) ?? 1) + idJump);
  }
  for (const store of stores.values()) {
    const entry: StoreEntry = lost.has(store.storeId) ? { ...store, state: "decommissioned" } : store;
    records.push({ key: metaStoreKey(store.storeId, operations), value: encodeMetaJson(entry, operations) });
  }
  return { replicaId: own, records };
}
