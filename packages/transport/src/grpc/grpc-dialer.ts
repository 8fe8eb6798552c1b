/**
 * Dials over @grpc/grpc-js. Every dial has a channel and a connection of its own, so that bulk on one stream never
 * stands in the way of heartbeats on another, and closing the stream closes the connection.
 */
import { Client, credentials } from "@grpc/grpc-js";
import type { ChannelOptions, ClientDuplexStream } from "@grpc/grpc-js";
import { BinaryReader, MalformedError } from "@flotilla/base";
import type { ByteOperations, ErrorCode, Logger } from "@flotilla/base";
import { commonProtocol, decodeHello, encodeHello } from "../hello-codec.ts";
import type { Dialer, Hello, Stream, StreamClosed, StreamHandlers } from "../link.ts";
import { parseAddress } from "./address.ts";
import { ExchangeStream } from "./exchange-stream.ts";
import type { Wire } from "./exchange-stream.ts";
import { frameKind, helloMessage, nextFrame, readRefusal } from "./frames.ts";
import { defaultGrpcSettings, exchangePath, grpcMessageBytesMax } from "./grpc-settings.ts";
import type { GrpcSettings } from "./grpc-settings.ts";
import { IdleCredentials } from "./idle-credentials.ts";

export interface GrpcDependencies {
  readonly bytes: ByteOperations;
  readonly logger: Logger;
}

export interface DialCallbacks {
  onOpen(stream: Stream): StreamHandlers;
  onFailed(reason: StreamClosed): void;
}

export class GrpcDialer implements Dialer {
  readonly #settings: GrpcSettings;
  readonly #dependencies: GrpcDependencies;

  constructor(options: Partial<GrpcSettings>, dependencies: GrpcDependencies) {
    this.#settings = { ...defaultGrpcSettings, ...options };
    this.#dependencies = dependencies;
  }

  dial(address: string, hello: Hello, callbacks: DialCallbacks): { cancel(): void } {
    if (parseAddress(address) === undefined) {
      const message = `${JSON.stringify(address)} is no address: it must be host:port`;
      process.nextTick(() => callbacks.onFailed({ code: "InvalidArgument", message, local: true }));
      return { cancel() {} };
    }
    return new Dial(address, hello, callbacks, this.#settings, this.#dependencies);
  }
}

function channelOptions(settings: GrpcSettings): ChannelOptions {
  return {
    "grpc.enable_channelz": 0,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    "grpc.use_local_subchannel_pool": 1,
    "grpc.service_config_disable_resolution": 1,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 1_000,
    "grpc.keepalive_time_ms": settings.keepaliveMs,
    "grpc.keepalive_timeout_ms": settings.keepaliveTimeoutMs,
    "grpc.max_receive_message_length": grpcMessageBytesMax,
    "grpc.max_send_message_length": grpcMessageBytesMax,
    "grpc-node.flow_control_window": settings.dialledWindowBytes,
  };
}

const asIs = (bytes: Buffer): Buffer => bytes;

/** One attempt, and then the stream that came of it. */
class Dial implements Wire {
  readonly remoteAddress: string;
  readonly #hello: Hello;
  readonly #callbacks: DialCallbacks;
  readonly #settings: GrpcSettings;
  readonly #dependencies: GrpcDependencies;
  readonly #client: Client;
  readonly #call: ClientDuplexStream<Buffer, Buffer>;
  readonly #timer: NodeJS.Timeout;
  #stream: ExchangeStream | undefined;
  /** Exactly one of `onOpen` and `onFailed` was called. */
  #decided = false;
  #over = false;

  constructor(
    address: string,
    hello: Hello,
    callbacks: DialCallbacks,
    settings: GrpcSettings,
    dependencies: GrpcDependencies,
  ) {
    this.remoteAddress = address;
    this.#hello = hello;
    this.#callbacks = callbacks;
    this.#settings = settings;
    this.#dependencies = dependencies;
    const insecure = settings.holdsProcess ? credentials.createInsecure() : new IdleCredentials();
    this.#client = new Client(`dns:${address}`, insecure, channelOptions(settings));
    this.#call = this.#client.makeBidiStreamRequest<Buffer, Buffer>(exchangePath, asIs, asIs);
    const call = this.#call;
    call.on("data", (message: Buffer) => this.#receive(message));
    call.on("drain", () => this.#stream?.wireDrained());
    call.on("end", () => this.#stream?.wireEnded());
    call.on("error", (error) => this.#finish(error.message));
    call.on("status", () => this.#finish("closed by the other side"));
    this.#timer = setTimeout(() => this.#timeOut(), settings.connectTimeoutMs);
    this.write(helloMessage(encodeHello(hello, dependencies.bytes), dependencies.bytes));
  }

  cancel(): void {
    if (this.#decided) return;
    this.#decide();
    process.nextTick(() =>
      this.#callbacks.onFailed({ code: undefined, message: "cancelled by this side", local: true }),
    );
    this.destroy();
  }

  write(message: Buffer): boolean {
    return this.#call.write(message);
  }

  end(): void {
    this.#call.end();
  }

  destroy(): void {
    if (this.#over) return;
    this.#call.cancel();
    this.#finish("cut by this side");
  }

  #timeOut(): void {
    this.#fail(undefined, `no answer from ${this.remoteAddress} within ${this.#settings.connectTimeoutMs} ms`, true);
  }

  #receive(message: Buffer): void {
    if (this.#stream !== undefined) {
      this.#stream.receive(message, 0);
      return;
    }
    if (this.#decided) return;
    try {
      this.#answer(message);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#dependencies.logger.warn(
        { remoteAddress: this.remoteAddress },
        `malformed answer to a Hello: ${error.message}`,
      );
      this.#fail(undefined, `malformed answer from ${this.remoteAddress}: ${error.message}`, true);
    }
  }

  #answer(message: Buffer): void {
    const { bytes } = this.#dependencies;
    const reader = new BinaryReader(message);
    const frame = nextFrame(reader);
    if (frame.kind === frameKind.refusal) {
      const refusal = readRefusal(message, frame, bytes);
      this.#fail(refusal.code, refusal.message, false);
      return;
    }
    if (frame.kind !== frameKind.hello) throw new MalformedError(`frame of kind ${frame.kind} instead of a Hello`);
    const theirs = decodeHello(message.subarray(frame.start, frame.end), bytes);
    if (commonProtocol(this.#hello, theirs) === undefined) {
      this.#fail("ProtocolMismatch", protocolMismatch(this.#hello, theirs), true);
      return;
    }
    this.#decide();
    const stream = new ExchangeStream(theirs, this, this.#settings, this.#dependencies.logger);
    this.#stream = stream;
    stream.attach(this.#callbacks.onOpen(stream));
    stream.receive(message, reader.offset);
  }

  #decide(): void {
    this.#decided = true;
    clearTimeout(this.#timer);
  }

  #fail(code: ErrorCode | undefined, message: string, local: boolean): void {
    if (!this.#decided) {
      this.#decide();
      this.#callbacks.onFailed({ code, message, local });
    }
    this.destroy();
  }

  /** The call is over: the connection goes with it. */
  #finish(message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#client.close();
    if (!this.#decided) {
      this.#decide();
      this.#callbacks.onFailed({ code: undefined, message: `${this.remoteAddress}: ${message}`, local: false });
    }
    this.#stream?.wireClosed(message);
  }
}

export const protocolMismatch = (ours: Hello, theirs: Hello): string =>
  `the other side speaks protocol ${theirs.protocolMin} to ${theirs.protocolMax}, this side ${ours.protocolMin} to ${ours.protocolMax}`;
