/** The door for users. */
import type { Client, ClientOptions } from "./client.ts";
import type { KeyCodecOption, ValueCodecOption } from "./codecs.ts";
import { createNodeClient } from "./node-client.ts";

export type { AdminOptions, ClusterRoutes } from "./admin-call.ts";
export type { AbortSignalLike, CallOptions } from "./call.ts";
export type { ClientEvent } from "./client-events.ts";
export type { ConnectionOptions } from "./client-settings.ts";
export type { Client } from "./client.ts";
export type { ClientOptions } from "./client.ts";
export type { Codec, KeyCodecOption, KeyIn, KeyOut, ValueCodecOption, ValueIn, ValueOut } from "./codecs.ts";
export { FlotillaError, isFlotillaError } from "./flotilla-error.ts";
export type {
  CodecOptions,
  DeleteOptions,
  Entry,
  IntervalOptions,
  Keyspace,
  PutManyOptions,
  PutOptions,
  PutRecord,
  ReadOptions,
  ScanOptions,
} from "./keyspace.ts";
export type { Scan } from "./scan.ts";
export type { Tuple, TupleElement } from "./tuple-codec.ts";

/**
 * A client; it connects on first use. Close it when done: its streams keep the process alive.
 * `createClient("flotilla://host:port,host:port")` or options with `endpoints`.
 */
export function createClient(url: string): Client;
export function createClient<
  const KC extends KeyCodecOption = undefined,
  const VC extends ValueCodecOption = undefined,
>(options: ClientOptions<KC, VC>): Client<KC, VC>;
export function createClient(
  options: string | ClientOptions<KeyCodecOption, ValueCodecOption>,
): Client<KeyCodecOption, ValueCodecOption> {
  const given = typeof options === "string" ? { endpoints: options } : options;
  return createNodeClient(given);
}
