/** Parties on a node's port that are no client of ours, or one that does not keep to what it should. */
import { connect as connectHttp2 } from "node:http2";
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { connect as connectTcp } from "node:net";
import type { Socket } from "node:net";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec, encodeHello, protocolMax, protocolMin } from "@flotilla/transport";
import type { ClientMessage, Hello } from "@flotilla/transport";
import { exchangePath } from "@flotilla/transport/grpc";

const helloFrame = 1;
const payloadFrame = 2;

const hello: Hello = {
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

export function openSocket(address: string): Socket {
  const [host, port] = address.split(":");
  const socket = connectTcp(Number(port), host);
  socket.on("error", () => {});
  return socket;
}

/** Sends any bytes; resolves with what came back when the other side closed the connection. */
export function sendBytes(address: string, chunks: readonly (string | Uint8Array)[]): Promise<string> {
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = openSocket(address);
    socket.on("connect", () => {
      for (const chunk of chunks) socket.write(chunk);
    });
    socket.on("data", (chunk) => received.push(chunk));
    socket.on("close", () => resolve(Buffer.concat(received).toString("latin1")));
  });
}

function frame(kind: number, body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + body.length);
  bytes[0] = kind;
  bytes.writeUInt32BE(body.length, 1);
  bytes.set(body, 5);
  return bytes;
}

/** A gRPC call over plain HTTP/2 that sends what it is told. It throws the answers away, or reads nothing of them. */
export class RawCall {
  readonly #session: ClientHttp2Session;
  readonly #stream: ClientHttp2Stream;
  readonly closed: Promise<void>;

  constructor(address: string, reads: boolean) {
    this.#session = connectHttp2(`http://${address}`);
    this.#session.on("error", () => {});
    this.#stream = this.#session.request({
      ":method": "POST",
      ":path": exchangePath,
      "content-type": "application/grpc",
      te: "trailers",
    });
    this.#stream.on("error", () => {});
    if (reads) this.#stream.resume();
    this.closed = new Promise((resolve) => {
      this.#session.on("close", () => resolve());
      this.#stream.on("close", () => resolve());
    });
  }

  sayHello(): void {
    this.sendMessage(frame(helloFrame, encodeHello(hello, nodeByteOperations)));
  }

  send(messages: readonly ClientMessage[]): void {
    this.sendMessage(frame(payloadFrame, createCodec(nodeByteOperations).encodeClient(messages)));
  }

  /** One gRPC message; `length`: what its header says, if not the truth. */
  sendMessage(message: Uint8Array, length: number = message.length): void {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(length, 1);
    this.#stream.write(Buffer.concat([head, message]));
  }

  /** False: the other side takes no more for now. */
  sendMore(bytes: Uint8Array): boolean {
    return this.#stream.write(bytes);
  }

  destroy(): void {
    this.#session.destroy();
  }
}
