/** What the verbs use of a client. `@flotilla/client` fits; tests hand in their own. Keys and values are bytes. */
import type { Client } from "@flotilla/client";
import { Failure } from "@flotilla/base";

export interface ConnectOptions {
  readonly endpoints: string | readonly string[];
  readonly timeoutMs: number;
  /** Values up to here are sent; the cluster's own limit is checked there. */
  readonly valueBytesMax?: number;
  readonly bulkInFlightMax?: number;
  /** False: every command is a message of its own. For measuring what batching is worth. */
  readonly batching?: boolean;
}

export interface ClusterEntry<Value> {
  readonly key: Uint8Array;
  readonly value: Value;
  readonly version: number;
}

export interface IntervalOptions {
  readonly prefix?: Uint8Array | undefined;
  readonly start?: Uint8Array | undefined;
  readonly end?: Uint8Array | undefined;
  readonly consistency?: "linearizable" | "stale" | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ScanOptions extends IntervalOptions {
  readonly limit?: number | undefined;
  readonly reverse?: boolean | undefined;
  readonly keysOnly?: boolean | undefined;
}

export interface PutRecord {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export interface BulkOptions<Put extends PutRecord> {
  readonly signal?: AbortSignal | undefined;
  onFailure(error: Error, record: Put): void;
}

export interface ClusterClient {
  getEntry(
    key: Uint8Array,
    options?: { consistency?: "linearizable" | "stale" | undefined },
  ): Promise<ClusterEntry<Uint8Array> | undefined>;
  put(
    key: Uint8Array,
    value: Uint8Array,
    options: { ifAbsent?: boolean | undefined; ifVersion?: number | undefined },
  ): Promise<{ readonly version: number }>;
  delete(
    key: Uint8Array,
    options: { ifVersion?: number | undefined },
  ): Promise<{ readonly version: number; readonly deleted: boolean }>;
  deleteRange(options: IntervalOptions): Promise<{ readonly deleted: number }>;
  count(options: IntervalOptions): Promise<number>;
  /** Pages of records in the order of their keys; `value` is undefined with `keysOnly`. */
  scanPages(options: ScanOptions): AsyncIterable<readonly ClusterEntry<Uint8Array | undefined>[]>;
  putMany<Put extends PutRecord>(
    records: AsyncIterable<Put>,
    options: BulkOptions<Put>,
  ): Promise<{ readonly records: number; readonly bytes: number }>;
  /** Follows the store that answers to the one that can. */
  admin(name: string, body: object, options: { readonly readOnly: boolean }): Promise<unknown>;
  /** Only the node that listens there, which may have no cluster yet. */
  adminAt(endpoint: string, name: string, body: object): Promise<unknown>;
  /** The client itself, for the benchmark's loop. */
  readonly bare: Client;
  close(): Promise<void>;
}

const redirectsMax = 5;

/** Connects on first use. The client is loaded only here: verbs that need none start without it. */
export async function connectCluster(options: ConnectOptions): Promise<ClusterClient> {
  const client = await clientFor(options);
  return {
    getEntry: (key, given) => client.getEntry(key, given),
    put: (key, value, given) => client.put(key, value, given),
    delete: (key, given) => client.delete(key, given),
    deleteRange: (given) => client.deleteRange(given),
    count: (given) => client.count(given),
    scanPages: ({ keysOnly, ...given }) =>
      keysOnly === true ? client.scan({ ...given, keysOnly }).pages() : client.scan(given).pages(),
    async putMany(records, { signal, onFailure }) {
      type Put = Parameters<typeof onFailure>[1];
      return client.putMany(records, { signal, onFailure: (error, record) => onFailure(error, record as Put) });
    },
    admin: (name, body, given) => redirected(client, name, body, given.readOnly),
    adminAt: (endpoint, name, body) => client.admin(name, body, { endpoint }),
    bare: client,
    close: () => client.close(),
  };
}

async function clientFor({ batching, ...options }: ConnectOptions): Promise<Client> {
  if (batching === false) {
    const { createNodeClient } = await import("@flotilla/client/internal");
    const one = { batchCommandsMax: 1, readBatchKeysMax: 1, payloadBytesMax: 1 };
    return createNodeClient({ ...options, ...one }, { joinsPayloads: false });
  }
  const { createClient } = await import("@flotilla/client");
  return createClient(options);
}

async function redirected(client: Client, name: string, body: object, readOnly: boolean): Promise<unknown> {
  let storeId: number | undefined;
  for (let redirects = 0; redirects < redirectsMax; redirects++) {
    try {
      return await client.admin(name, body, { readOnly, storeId });
    } catch (error) {
      const next = redirectOf(error);
      if (next === undefined) throw error;
      storeId = next;
    }
  }
  throw new Failure("Busy", `${name}: leadership moved ${redirectsMax} times while it was asked for`, {
    hint: "ask again",
  });
}

function redirectOf(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("details" in error) || typeof error.details !== "object" || error.details === null)
    return undefined;
  const { redirectStoreId } = error.details as { redirectStoreId?: unknown };
  return typeof redirectStoreId === "number" ? redirectStoreId : undefined;
}
