/** Every limit and time of the client, with its unit in the name, and how the user's options become settings. */
import { keyBytesMax, valueBytesMaxDefault, valueBytesMaxHighest } from "@flotilla/base";
import { FlotillaError } from "./flotilla-error.ts";

export interface ClientSettings {
  /** `host:port` each; one live endpoint is enough. */
  readonly endpoints: readonly string[];
  /** How long a call may take. */
  readonly timeoutMs: number;
  /**
   * A client that all endpoints have turned away for so long says `ConnectFailed` instead of waiting for the call's timeout.
   * While one of them just does not answer, it goes on: that node may be slow.
   */
  readonly connectTimeoutMs: number;
  /** Operations on their way; more wait in the queue. */
  readonly inFlightMax: number;
  readonly inFlightBytesMax: number;
  readonly inFlightPerStoreMax: number;
  readonly inFlightBytesPerStoreMax: number;
  /** Values that the reads under way to one store are expected to bring: a store answers a turn's reads together. */
  readonly expectedBytesPerStoreMax: number;
  /** Operations that wait for room; beyond that calls are refused with `Busy`. */
  readonly queuedMax: number;
  readonly queuedBytesMax: number;
  /** A larger value is refused with `ValueTooLarge`; the cluster checks its own limit as well. */
  readonly valueBytesMax: number;
  /** A batch of commands; one larger command goes alone. */
  readonly batchBytesMax: number;
  readonly batchCommandsMax: number;
  readonly readBatchKeysMax: number;
  /** What the answer of one batch of reads should bring; decides about its keys. */
  readonly readBatchBytesTarget: number;
  /** Messages of one turn are split into payloads of about this size. */
  readonly payloadBytesMax: number;
  /** A first attempt without answer for so long is repeated elsewhere; the time doubles with every attempt. */
  readonly attemptMs: number;
  readonly attemptMsMax: number;
  readonly dialTimeoutMs: number;
  /** While no endpoint has answered yet, the next one is tried beside it after this time. */
  readonly dialStaggerMs: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Routes asked for at once: the range wanted and those behind it. */
  readonly routeReadAhead: number;
  readonly routesMax: number;
  readonly routeTimeoutMs: number;
  /** What a server may send of one range's scan before the client has consumed any of it. */
  readonly scanCreditBytes: number;
  /** Writes of one `putMany` or `deleteRange` on their way. */
  readonly bulkInFlightMax: number;
  readonly bulkInFlightBytesMax: number;
}

/** What may be overridden; everything has a default. */
export interface ConnectionOptions extends Partial<Omit<ClientSettings, "endpoints">> {
  readonly endpoints: string | readonly string[];
}

export const defaultPort = 7400;
export const maxKeyBytes: number = keyBytesMax;

const mebibyte = 1024 * 1024;

export const defaultSettings: Omit<ClientSettings, "endpoints"> = {
  timeoutMs: 10_000,
  connectTimeoutMs: 3_000,
  inFlightMax: 16_384,
  inFlightBytesMax: 64 * mebibyte,
  inFlightPerStoreMax: 8_192,
  inFlightBytesPerStoreMax: 32 * mebibyte,
  expectedBytesPerStoreMax: 8 * mebibyte,
  queuedMax: 65_536,
  queuedBytesMax: 64 * mebibyte,
  valueBytesMax: valueBytesMaxDefault,
  batchBytesMax: 256 * 1024,
  batchCommandsMax: 4_096,
  readBatchKeysMax: 256,
  readBatchBytesTarget: 2 * mebibyte,
  payloadBytesMax: mebibyte,
  attemptMs: 2_000,
  attemptMsMax: 16_000,
  dialTimeoutMs: 2_000,
  dialStaggerMs: 250,
  backoffMinMs: 10,
  backoffMaxMs: 500,
  routeReadAhead: 128,
  routesMax: 65_536,
  routeTimeoutMs: 1_000,
  scanCreditBytes: 512 * 1024,
  bulkInFlightMax: 1_024,
  bulkInFlightBytesMax: 8 * mebibyte,
};

export function resolveSettings(options: ConnectionOptions): ClientSettings {
  const settings: Record<string, unknown> = { ...defaultSettings };
  for (const name of Object.keys(defaultSettings) as (keyof typeof defaultSettings)[]) {
    const value = options[name];
    if (value === undefined) continue;
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new FlotillaError("InvalidArgument", `option ${name} must be a positive integer, got ${String(value)}`);
    }
    settings[name] = value;
  }
  settings["endpoints"] = parseEndpoints(options.endpoints);
  const resolved = settings as unknown as ClientSettings;
  if (resolved.valueBytesMax > valueBytesMaxHighest) {
    throw new FlotillaError(
      "InvalidArgument",
      `option valueBytesMax is ${resolved.valueBytesMax}, at most ${valueBytesMaxHighest}`,
    );
  }
  return resolved;
}

/** `flotilla://host:port,host:port`, a list with commas, or an array. The port defaults to 7400. */
export function parseEndpoints(given: string | readonly string[]): string[] {
  const parts =
    typeof given === "string"
      ? given
          .replace(/^flotilla:\/\//, "")
          .replace(/\/$/, "")
          .split(",")
      : given;
  const endpoints: string[] = [];
  for (const part of parts) {
    const endpoint = parseEndpoint(typeof part === "string" ? part.trim() : String(part));
    if (!endpoints.includes(endpoint)) endpoints.push(endpoint);
  }
  if (endpoints.length === 0 || endpoints.length > 1024) {
    throw new FlotillaError("InvalidArgument", `1 to 1024 endpoints are needed, got ${endpoints.length}`);
  }
  return endpoints;
}

function parseEndpoint(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+)(?::(\d{1,5}))?$/.exec(text);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match === null || port < 1 || port > 65535) {
    throw new FlotillaError("InvalidArgument", `not an endpoint: ${JSON.stringify(text)}`, {
      hint: "give host:port, for example 127.0.0.1:7400",
      details: { endpoint: text },
    });
  }
  return `${match[1]!}:${port}`;
}
