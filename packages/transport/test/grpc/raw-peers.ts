/** Parties that do not keep to the protocol, or know only half of it. */
import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { connect as connectTcp } from "node:net";
import type { Socket } from "node:net";
import { Client, credentials } from "@grpc/grpc-js";
import { nodeByteOperations } from "@flotilla/platform";
import { encodeHello, protocolMax, protocolMin } from "@flotilla/transport";
import type { Hello } from "@flotilla/transport";
import { exchangePath } from "@flotilla/transport/grpc";
import { frameKind, helloMessage } from "../../src/grpc/frames.ts";

export const hello: Hello = {
  protocolMin,
  protocolMax,
  clusterId: "",
  nodeId: 0 as never,
  storeId: 0 as never,
  storeKey: "",
  incarnation: 0 as never,
  wallMs: 0,
  leaseMs: 0,
  purpose: "client",
  address: "",
};

export const helloBytes = (): Buffer => helloMessage(encodeHello(hello, nodeByteOperations), nodeByteOperations);

export function frame(kind: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes[0] = kind;
  bytes.writeUInt32BE(body.length, 1);
  bytes.set(body, 5);
  return bytes;
}

export const payloadFrame = (body: Uint8Array): Buffer => frame(frameKind.payload, body);

/** One gRPC call that sends any bytes, and what came back until it ended. */
export function rawCall(address: string, messages: readonly Buffer[]): Promise<{ received: Buffer[]; status: number }> {
  const asIs = (bytes: Buffer): Buffer => bytes;
  const client = new Client(address, credentials.createInsecure(), { "grpc.max_send_message_length": -1 });
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(exchangePath, asIs, asIs);
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    call.on("data", (message: Buffer) => received.push(message));
    call.on("error", () => {});
    call.on("status", ({ code }) => {
      client.close();
      resolve({ received, status: code });
    });
    for (const message of messages) call.write(message);
  });
}

/** Says Hello over plain HTTP/2 and then never reads: its windows stay closed. */
export class DeafPeer {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly closed: Promise<void>;

  constructor(address: string) {
    this.#session = connectHttp2(`http://${address}`);
    this.#session.on("error", () => {});
    this.#stream = this.#session.request({
      ":method": "POST",
      ":path": exchangePath,
      "content-type": "application/grpc",
      te: "trailers",
    });
    this.#stream.on("error", () => {});
    this.closed = new Promise((resolve) => this.#session.on("close", () => resolve()));
    this.send(helloBytes());
  }

  send(message: Buffer): void {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  destroy(): void {
    this.#session.destroy();
  }
}

/** A TCP connection that sends any bytes; resolves with what came back when the other side closed it. */
export function rawBytes(address: string, chunks: readonly (string | Uint8Array)[]): Promise<Buffer> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket: Socket = connectTcp(Number(port), host, () => {
      for (const chunk of chunks) socket.write(chunk);
    });
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("error", () => {});
    socket.on("close", () => resolve(Buffer.concat(received)));
  });
}
