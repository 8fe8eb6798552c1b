/** A client with the real world behind it: the only file here that touches Node. */
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

export interface NodeClientOptions {
  /** False: open streams do not keep the process alive, only calls do. Default true. */
  readonly holdsProcess?: boolean;
  /** False: each payload is a gRPC message of its own. For measuring what joining them is worth. Default true. */
  readonly joinsPayloads?: boolean;
}

export function createNodeClient<KC extends KeyCodecOption = undefined, VC extends ValueCodecOption = undefined>(
  options: ClientOptions<KC, VC>,
  { holdsProcess = true, joinsPayloads = true }: NodeClientOptions = {},
): Client<KC, VC> {
  const environment = nodeEnvironment(silentLogger);
  const dialer = new LazyDialer(environment, joinsPayloads ? { holdsProcess } : { holdsProcess, joinBytesMax: 1 });
  const codec = createCodec(environment.bytes);
  const dependencies: ClientDependencies = { environment, dialer, codec, events, onBusy: keepAlive() };
  return new Client(options, dependencies);
}

/** The timers of the environment do not keep the process alive; a call that is under way must. */
function keepAlive(): (busy: boolean) => void {
  let timer: NodeJS.Timeout | undefined;
  return (busy) => {
    if (busy) timer = setInterval(() => {}, 2 ** 30);
    else clearInterval(timer);
  };
}

interface DialerSettings {
  readonly holdsProcess: boolean;
  readonly joinBytesMax?: number;
}

/** gRPC is loaded at the first dial: a program that only might need a client starts without it. */
class LazyDialer implements Dialer {
  readonly #environment: Environment;
  readonly #settings: DialerSettings;
  #loading: Promise<Dialer> | undefined;

  constructor(environment: Environment, settings: DialerSettings) {
    this.#environment = environment;
    this.#settings = settings;
  }

  async #load(): Promise<Dialer> {
    const { GrpcDialer } = await import("@flotilla/transport/grpc");
    return new GrpcDialer(this.#settings, this.#environment);
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
