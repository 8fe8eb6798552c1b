/**
 * Listens with @grpc/grpc-js behind a TCP server of our own (`createConnectionInjector` is gRPC's public door for that): so
 * bind errors have their codes, the number of connections has a limit, noise never becomes a session, and `close` can cut
 * every socket that is left.
 */
import { createServer } from "node:net";
import type { AddressInfo, Server as TcpServer, Socket } from "node:net";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import type { ConnectionInjector, ServerDuplexStream } from "@grpc/grpc-js";
import { Failure } from "@flotilla/base";
import type { Listener, ListenerFactory } from "../link.ts";
import { AcceptedCall } from "./accepted-call.ts";
import type { AcceptedCallOwner, Admit } from "./accepted-call.ts";
import { formatAddress, parseAddress } from "./address.ts";
import { readFirstBytes } from "./first-bytes.ts";
import type { GrpcDependencies } from "./grpc-dialer.ts";
import { defaultGrpcSettings, exchangePath, grpcMessageBytesMax } from "./grpc-settings.ts";
import type { GrpcSettings } from "./grpc-settings.ts";
import { widenConnectionWindow, widenStreamWindow } from "./receive-window.ts";

export class GrpcListenerFactory implements ListenerFactory {
  readonly #settings: GrpcSettings;
  readonly #dependencies: GrpcDependencies;

  constructor(options: Partial<GrpcSettings>, dependencies: GrpcDependencies) {
    this.#settings = { ...defaultGrpcSettings, ...options };
    this.#dependencies = dependencies;
  }

  /** Rejects with `Failure`: `InUse`, or `InvalidArgument` for an address that this machine cannot listen on. */
  async listen(address: string, admit: Admit): Promise<Listener> {
    const wanted = parseAddress(address);
    if (wanted === undefined) {
      throw new Failure(
        "InvalidArgument",
        `${JSON.stringify(address)} is no address to listen on: it must be host:port`,
      );
    }
    const listener = new GrpcListener(this.#settings, this.#dependencies, admit);
    try {
      await listener.bind(wanted.host, wanted.port);
    } catch (error) {
      listener.dispose();
      throw bindFailure(address, error);
    }
    return listener;
  }
}

function bindFailure(address: string, cause: unknown): Failure {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "EADDRINUSE") {
    return new Failure("InUse", `${address} is in use by another process`, {
      hint: "Stop that process, or choose another port.",
      details: { address },
      cause,
    });
  }
  const why = cause instanceof Error ? cause.message : String(cause);
  return new Failure("InvalidArgument", `cannot listen on ${address}: ${why}`, {
    hint: "The host must be an address of this machine, and ports below 1024 may need privileges.",
    details: { address },
    cause,
  });
}

class GrpcListener implements Listener, AcceptedCallOwner {
  address = "";
  readonly settings: GrpcSettings;
  readonly dependencies: GrpcDependencies;
  readonly admit: Admit;
  readonly #grpc: Server;
  readonly #tcp: TcpServer;
  readonly #injector: ConnectionInjector;
  /** By remote address, as gRPC names the peer of a call. */
  readonly #sockets: Map<string, Socket> = new Map();
  readonly #calls: Set<AcceptedCall> = new Set();
  /** How many of them each connection carries, by remote address. */
  readonly #callsOf: Map<string, number> = new Map();
  #closing: Promise<void> | undefined;
  /** Set while `close` waits for the calls to end. */
  #idle: (() => void) | undefined;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(settings: GrpcSettings, dependencies: GrpcDependencies, admit: Admit) {
    this.settings = settings;
    this.dependencies = dependencies;
    this.admit = admit;
    this.#grpc = new Server({
      "grpc.enable_channelz": 0,
      "grpc.max_receive_message_length": grpcMessageBytesMax,
      "grpc.max_send_message_length": grpcMessageBytesMax,
      "grpc.max_concurrent_streams": settings.streamsPerConnectionMax,
      // A connection without any stream.
      "grpc.max_connection_idle_ms": settings.helloTimeoutMs,
      "grpc.keepalive_time_ms": settings.keepaliveMs,
      "grpc.keepalive_timeout_ms": settings.keepaliveTimeoutMs,
    });
    this.#grpc.register(
      exchangePath,
      (call: ServerDuplexStream<Buffer, Buffer>) => this.#accept(call),
      asIs,
      asIs,
      "bidi",
    );
    widenStreamWindow(this.#grpc, settings.acceptedWindowBytes);
    this.#injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    widenConnectionWindow(this.#grpc, settings.acceptedWindowBytes);
    this.#tcp = createServer({ noDelay: true }, (socket) => this.#connected(socket));
    this.#tcp.maxConnections = settings.connectionsMax;
  }

  bind(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#tcp.once("error", reject);
      this.#tcp.listen({ host, port }, () => {
        this.#tcp.off("error", reject);
        this.#tcp.on("error", (error) =>
          this.dependencies.logger.error({ address: this.address }, `listener: ${error.message}`),
        );
        this.address = formatAddress(host, (this.#tcp.address() as AddressInfo).port);
        resolve();
      });
    });
  }

  #connected(socket: Socket): void {
    const remoteAddress = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#sockets.set(remoteAddress, socket);
    socket.on("close", () => this.#sockets.delete(remoteAddress));
    // A reset of the connection; everything that depends on it hears of the close.
    socket.on("error", () => {});
    readFirstBytes(
      socket,
      this.settings.helloTimeoutMs,
      () => this.#injector.injectConnection(socket),
      (what) => this.dependencies.logger.debug({ remoteAddress }, `connection refused: ${what}`),
    );
  }

  #accept(call: ServerDuplexStream<Buffer, Buffer>): void {
    const accepted = new AcceptedCall(call, this);
    const { remoteAddress } = accepted;
    this.#calls.add(accepted);
    this.#callsOf.set(remoteAddress, (this.#callsOf.get(remoteAddress) ?? 0) + 1);
  }

  forget(call: AcceptedCall): void {
    if (!this.#calls.delete(call)) return;
    if (this.#calls.size === 0) this.#idle?.();
    const { remoteAddress } = call;
    const left = (this.#callsOf.get(remoteAddress) ?? 1) - 1;
    if (left > 0) {
      this.#callsOf.set(remoteAddress, left);
      return;
    }
    this.#callsOf.delete(remoteAddress);
    // Over for us, a call may stay half open on the other side, and with it a connection that counts as busy.
    const socket = this.#sockets.get(remoteAddress);
    const timer = setTimeout(() => {
      if (!this.#callsOf.has(remoteAddress)) socket?.destroy();
    }, this.settings.lingerMs);
    timer.unref();
  }

  cut(remoteAddress: string): void {
    this.#sockets.get(remoteAddress)?.destroy();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Resolves when the port is free and every connection is gone: at the latest after the linger time. */
  async #close(): Promise<void> {
    const portFree = new Promise<void>((resolve) => this.#tcp.close(() => resolve()));
    for (const call of this.#calls) call.close();
    if (this.#calls.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        this.#lingerTimer = setTimeout(resolve, this.settings.lingerMs);
      });
      clearTimeout(this.#lingerTimer);
    }
    this.dispose();
    await portFree;
  }

  dispose(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
    this.#grpc.forceShutdown();
  }
}

const asIs = (bytes: Buffer): Buffer => bytes;
