/** The directory of stores as the engine keeps it (packages/storage, store-records.ts). */
import { CorruptionError, MalformedError, nodeId, storeId } from "@flotilla/base";
import type { ByteOperations } from "@flotilla/base";
import { decodeDirectory, encodeDirectory, storeRecordKey, storeRecordNames } from "@flotilla/storage";
import type { Engine } from "@flotilla/storage";
import type { StoreEntry, StoreMembership } from "@flotilla/transport";
import type { ClusterPlan } from "@flotilla/placement";
import type { EngineQueue } from "./engine/engine-queue.ts";
import { StoreDirectory } from "./store-directory.ts";
import type { KnownDirectory } from "./store-directory.ts";

const memberships: readonly unknown[] = [
  "active",
  "draining",
  "decommissioning",
  "decommissioned",
] satisfies StoreMembership[];

/** As this store knew it last; what it learns from now on is kept. */
export function openDirectory(
  plan: ClusterPlan,
  engine: Engine,
  queue: EngineQueue,
  operations: ByteOperations,
): StoreDirectory {
  const directory = new StoreDirectory(plan);
  const kept = readDirectory(engine, operations);
  if (kept !== undefined) directory.learn(kept);
  directory.onChange(() => void queue.run(() => writeDirectory(engine, directory.known, operations)));
  return directory;
}

/** Undefined: this store never learned of another directory than the one it was made with. */
export function readDirectory(engine: Engine, operations: ByteOperations): KnownDirectory | undefined {
  const key = storeRecordKey(storeRecordNames.directory, operations);
  const bytes = engine.getNow(key);
  if (bytes === undefined) return undefined;
  try {
    const { revision, stores } = decodeDirectory(key, bytes, operations);
    if (!Array.isArray(stores)) throw new MalformedError("the directory of stores is no list");
    return { revision, stores: stores.map(checkedEntry) };
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error;
    throw new CorruptionError(
      "data",
      0,
      error.message,
      "restore this directory from a healthy copy, or replace the store",
    );
  }
}

/** Resolves when it is written; durable with the next checkpoint. A crash before that leaves an older one, which peers renew. */
export async function writeDirectory(
  engine: Engine,
  directory: KnownDirectory,
  operations: ByteOperations,
): Promise<void> {
  const key = storeRecordKey(storeRecordNames.directory, operations);
  const batch = engine.batch();
  batch.put(key, encodeDirectory(key, directory, operations));
  await batch.write();
}

/** What comes from a disk or from the network's plain data. Throws `MalformedError`. */
export function checkedEntry(value: unknown): StoreEntry {
  const entry = value as Partial<Record<keyof StoreEntry, unknown>> | null;
  if (typeof entry !== "object" || entry === null) throw new MalformedError("a store is no record");
  const { address, httpAddress, storeKey, state, labels } = entry;
  if (!isId(entry.storeId) || !isId(entry.nodeId)) throw new MalformedError("a store without ids");
  if (typeof address !== "string" || typeof httpAddress !== "string" || typeof storeKey !== "string") {
    throw new MalformedError(`store ${entry.storeId} without address or key`);
  }
  if (!memberships.includes(state)) throw new MalformedError(`store ${entry.storeId} in state ${String(state)}`);
  if (!isLabels(labels)) throw new MalformedError(`store ${entry.storeId} with malformed labels`);
  return {
    storeId: storeId(entry.storeId),
    nodeId: nodeId(entry.nodeId),
    address,
    httpAddress,
    storeKey,
    state: state as StoreMembership,
    labels,
  };
}

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) > 0;

function isLabels(value: unknown): value is Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((label) => typeof label === "string");
}
