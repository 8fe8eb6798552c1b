/** The listener of a node without an identity: answers admin requests, and says to everybody else that it has no cluster. */
import { Failure, MalformedError, incarnation, nodeId, noStore } from "@flotilla/base";
import type { Environment, ErrorCode } from "@flotilla/base";
import { protocolMax, protocolMin } from "@flotilla/transport";
import type {
  Admission,
  ClientMessage,
  Codec,
  Hello,
  Listener,
  ListenerFactory,
  ServerMessage,
  Stream,
} from "@flotilla/transport";
import type { FoundingNode } from "./founding-node.ts";

const streamsMax = 256;
/** Of all streams. A node that makes the cluster is asked by each other one, and by the command. */
const requestsMax = 256;
const lastAnswersMs = 2000;

export interface FoundingListenerDependencies {
  readonly environment: Environment;
  readonly codec: Codec;
  readonly listeners: ListenerFactory;
}

export class FoundingListener {
  readonly #dependencies: FoundingListenerDependencies;
  readonly #streams = new Set<Stream>();
  readonly #requests = new Set<Promise<void>>();
  #node: FoundingNode | undefined;
  #listener: Listener | undefined;

  private constructor(dependencies: FoundingListenerDependencies) {
    this.#dependencies = dependencies;
  }

  static async listen(address: string, dependencies: FoundingListenerDependencies): Promise<FoundingListener> {
    const listener = new FoundingListener(dependencies);
    listener.#listener = await dependencies.listeners.listen(address, (hello) => listener.#admit(hello));
    return listener;
  }

  /** The address really bound. */
  get address(): string {
    return this.#listener!.address;
  }

  serve(node: FoundingNode): void {
    this.#node = node;
  }

  /** What was asked is answered first, within bounds. Then the port is free. */
  async close(): Promise<void> {
    const { scheduler } = this.#dependencies.environment;
    const late = new Promise<void>((resolve) => scheduler.after(lastAnswersMs, resolve));
    await Promise.race([Promise.all(this.#requests), late]);
    await this.#listener!.close();
  }

  #admit(hello: Hello): Admission {
    if (hello.purpose !== "client" || hello.clusterId !== "") {
      return { ok: false, code: "Refused", message: `the node at ${this.address} has no cluster yet` };
    }
    if (this.#streams.size >= streamsMax) {
      return {
        ok: false,
        code: "Busy",
        message: `${streamsMax} streams are open, the most that a node without a cluster takes`,
      };
    }
    const own: Hello = {
      protocolMin,
      protocolMax,
      clusterId: "",
      nodeId: nodeId(0),
      storeId: noStore,
      storeKey: "",
      incarnation: incarnation(0),
      wallMs: this.#dependencies.environment.clock.wallMs(),
      leaseMs: 0,
      purpose: "client",
      address: this.address,
    };
    return {
      ok: true,
      hello: own,
      accept: (stream) => {
        this.#streams.add(stream);
        return {
          onMessage: (payload) => this.#receive(stream, payload),
          onClose: () => void this.#streams.delete(stream),
        };
      },
    };
  }

  #receive(stream: Stream, payload: Uint8Array): void {
    let messages: ClientMessage[];
    try {
      messages = this.#dependencies.codec.decodeClient(payload);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#dependencies.environment.logger.warn(
        { client: stream.remoteAddress, error: error.message },
        "malformed message from a client; its stream is closed",
      );
      stream.close();
      return;
    }
    for (const message of messages) this.#handle(stream, message);
  }

  #handle(stream: Stream, message: ClientMessage): void {
    switch (message.type) {
      case "commands":
      case "reads":
        return this.#send(stream, this.#refused(message.type, message.batchId));
      case "scan":
        return this.#send(stream, this.#refused("scan", message.scanId));
      case "route": {
        const { requestId } = message;
        return this.#send(stream, { type: "route-response", requestId, clusterId: "", ranges: [], stores: [] });
      }
      case "admin": {
        const request = this.#admin(stream, message.requestId, message.name, message.arguments);
        this.#requests.add(request);
        void request.then(() => this.#requests.delete(request));
        return;
      }
      case "scan-credit":
      case "scan-cancel":
        return;
      default:
        message satisfies never;
    }
  }

  #refused(kind: "commands" | "reads" | "scan", id: number): ServerMessage {
    const message = `the node at ${this.address} has no cluster yet`;
    return { type: "range-refused", kind, id, reason: "error", code: "Refused", message, retryAfterMs: 0, ranges: [] };
  }

  async #admin(stream: Stream, requestId: number, name: string, argument: unknown): Promise<void> {
    try {
      if (this.#node === undefined || this.#requests.size >= requestsMax) {
        throw new Failure("Busy", `the node at ${this.address} has too much to do`);
      }
      const result = await this.#node.answer(name, argument);
      this.#send(stream, { type: "admin-response", requestId, result, error: undefined });
    } catch (error) {
      this.#send(stream, { type: "admin-response", requestId, result: undefined, error: this.#wireError(error) });
    }
  }

  #wireError(error: unknown): {
    code: ErrorCode;
    message: string;
    hint: string;
    details: Readonly<Record<string, unknown>>;
  } {
    if (error instanceof Failure) {
      const { code, message, hint, details } = error;
      return { code, message, hint, details };
    }
    // A disk that fails, or a defect: the node is of no more use, and says so where it is supervised.
    this.#node?.fail(error);
    const message = error instanceof Error ? error.message : String(error);
    return { code: "Internal", message, hint: "the node's log says more", details: {} };
  }

  #send(stream: Stream, message: ServerMessage): void {
    if (!stream.closed) stream.send(this.#dependencies.codec.encodeServer([message]));
  }
}
