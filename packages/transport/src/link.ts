/**
 * Streams of messages between two parties, before any meaning. Implementations: gRPC (`@flotilla/transport/grpc`) and the
 * simulator's network; both run the suite in `conformance.ts`. A stream keeps order and loses nothing while it is open;
 * when it closes, what was under way may or may not have arrived.
 *
 * The first message both ways is a `Hello`. The side that accepts decides on the other's Hello and answers with its
 * own, or refuses with a code and closes. Bulk between stores goes from the side that accepted to the side that dialled
 * (only a gRPC client can widen the receive window), so each store dials every peer for what it wants to receive.
 */
import type { ErrorCode, Incarnation, NodeId, StoreId } from "@flotilla/base";

export type Purpose = "client" | "heartbeat" | "append" | "snapshot";

export interface Hello {
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** 32 hex digits; empty: a client that does not know it yet, or a node without a cluster. */
  readonly clusterId: string;
  /** 0 for a client, and for a node without a cluster. */
  readonly nodeId: NodeId;
  readonly storeId: StoreId;
  /** Store key, hex; empty for clients. */
  readonly storeKey: string;
  readonly incarnation: Incarnation;
  /** The sender's wall clock, milliseconds since 1970. */
  readonly wallMs: number;
  readonly leaseMs: number;
  readonly purpose: Purpose;
  /** Where this party listens, `host:port`; empty for clients. */
  readonly address: string;
}

export interface Stream {
  /** The other side's; set before `onOpen`. */
  readonly hello: Hello;
  readonly remoteAddress: string;
  /** Queues one message. Never blocks or throws; the payload must not change afterwards. No effect once closed. */
  send(payload: Uint8Array): void;
  /** Bytes sent that the other side's process has not yet confirmed to have taken: what back-pressure is decided on. */
  readonly unconfirmedBytes: number;
  readonly closed: boolean;
  close(): void;
}

export interface StreamHandlers {
  /**
   * The payload belongs to the handler: nobody overwrites it afterwards. Over gRPC a `MalformedError` that is thrown here
   * closes this stream and nothing else; anything else that is thrown ends the process.
   */
  onMessage(payload: Uint8Array): void;
  /** Called exactly once after `onOpen`; not at all when it was never open. */
  onClose(reason: StreamClosed): void;
  /** `unconfirmedBytes` fell. */
  onConfirmed?(): void;
}

export interface StreamClosed {
  /** `undefined`: an ordinary end or a broken connection. Else the other side refused. */
  readonly code: ErrorCode | undefined;
  readonly message: string;
  /** True when this side's own `close` ended it. */
  readonly local: boolean;
}

export interface Dialer {
  /** One attempt. Exactly one of `onOpen` and `onFailed` is called, later, never inside this call. */
  dial(
    address: string,
    hello: Hello,
    callbacks: { onOpen(stream: Stream): StreamHandlers; onFailed(reason: StreamClosed): void },
  ): { cancel(): void };
}

export interface Listener {
  /** The address really bound (port 0 is replaced). */
  readonly address: string;
  /** Stops accepting and closes every stream. */
  close(): Promise<void>;
}

export type Admission =
  | { readonly ok: true; readonly hello: Hello; accept(stream: Stream): StreamHandlers }
  | { readonly ok: false; readonly code: ErrorCode; readonly message: string };

export interface ListenerFactory {
  listen(address: string, admit: (hello: Hello, remoteAddress: string) => Admission): Promise<Listener>;
}
