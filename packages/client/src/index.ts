/** The door for users, and the only file that touches Node. */
import { channel } from "node:diagnostics_channel";
import type { Environment } from "@flotilla/base";
import { nodeEnvironment, silentLogger } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { Dialer } from "@flotilla/transport";
import type { ClientDependencies } from "./client-core.ts";
import type { ClientEvent, ClientEventSink } from "./client-events.ts";
import { Client } from "./client.ts";
import type { ClientOptions } from "./client.ts";
import type { KeyCodecOption, ValueCodecOption } from "./codecs.ts";

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
  return new Client(given, realDependencies());
}

function realDependencies(): ClientDependencies {
  const environment = nodeEnvironment(silentLogger);
  const dialer = new LazyDialer(environment);
  return { environment, dialer, codec: createCodec(environment.bytes), events, onBusy: keepAlive() };
}

/** The timers of the environment do not keep the process alive; a call that is under way must. */
function keepAlive(): (busy: boolean) => void {
  let timer: NodeJS.Timeout | undefined;
  return (busy) => {
    if (busy) timer = setInterval(() => {}, 2 ** 30);
    else clearInterval(timer);
  };
}

/** gRPC is loaded at the first dial: a program that only might need a client starts without it. */
class LazyDialer implements Dialer {
  readonly #environment: Environment;
  #loading: Promise<Dialer> | undefined;

  constructor(environment: Environment) {
    this.#environment = environment;
  }

  async #load(): Promise<Dialer> {
    const { GrpcDialer } = await import("@flotilla/transport/grpc");
    return new GrpcDialer({}, this.#environment);
  }

  dial(...[address, hello, callbacks]: Parameters<Dialer["dial"]>): { cancel(): void } {
    let cancelled = false;
    let inner: { cancel(): void } | undefined;
    this.#loading ??= this.#load();
    this.#loading.then(
      (dialer) => {
        if (!cancelled) inner = dialer.dial(address, hello, callbacks);
      },
      (error: unknown) => {
        this.#loading = undefined;
        callbacks.onFailed({
          code: "Internal",
          message: `the transport could not be loaded: ${String(error)}`,
          local: true,
        });
      },
    );
    return {
      cancel: () => {
        cancelled = true;
        inner?.cancel();
      },
    };
  }
}

const channels = {
  connection: channel("flotilla:client:connection"),
  retry: channel("flotilla:client:retry"),
  error: channel("flotilla:client:error"),
};

const events: ClientEventSink = {
  enabled: (type) => channels[type].hasSubscribers,
  publish: (event: ClientEvent) => channels[event.type].publish(event),
};
