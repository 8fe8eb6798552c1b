/** Limits and times of the gRPC links. Units in the names. */
import { messageBytesMax } from "@flotilla/base";

export interface GrpcSettings {
  /** From the call of `dial` to the other side's Hello. */
  readonly connectTimeoutMs: number;
  /** An accepted connection or stream that has not said Hello by then is closed. */
  readonly helloTimeoutMs: number;
  /** After a close: how long what was sent before may still take to leave. Then the connection is cut. */
  readonly lingerMs: number;
  readonly keepaliveMs: number;
  readonly keepaliveTimeoutMs: number;
  /** Connections that a listener holds at a time; beyond it new ones are closed at once. */
  readonly connectionsMax: number;
  /** Streams that one connection may carry. Our own dialler opens one connection a stream. */
  readonly streamsPerConnectionMax: number;
  /** The receiver confirms at once when this much is unconfirmed. */
  readonly confirmBytes: number;
  /** Less than that is confirmed with the next message the other way, or after this time. */
  readonly confirmMs: number;
  /** The same on streams of heartbeats and appends, where nobody waits for it: many small messages share one. */
  readonly peerConfirmMs: number;
  /**
   * Bytes given to gRPC and not yet confirmed; what is sent beyond waits outside of it, uncopied. A multiple of
   * `confirmBytes`, or the sender waits for `confirmMs` again and again.
   */
  readonly inFlightBytesMax: number;
  /** Payloads that wait together leave in one gRPC message up to this size; a larger one leaves alone. */
  readonly joinBytesMax: number;
  /** HTTP/2 receive window of the dialling side, for a stream and for its connection. */
  readonly dialledWindowBytes: number;
  /** The same of the accepting side: must fit what the kernel buffers for a socket (see `receive-window.ts`). */
  readonly acceptedWindowBytes: number;
  /** Whether connections that this side has dialled keep the process alive. */
  readonly holdsProcess: boolean;
}

export const defaultGrpcSettings: GrpcSettings = {
  connectTimeoutMs: 5_000,
  helloTimeoutMs: 5_000,
  lingerMs: 1_000,
  keepaliveMs: 10_000,
  keepaliveTimeoutMs: 5_000,
  connectionsMax: 8_192,
  streamsPerConnectionMax: 16,
  confirmBytes: 256 * 1024,
  confirmMs: 20,
  peerConfirmMs: 1000,
  inFlightBytesMax: 8 * 1024 * 1024,
  joinBytesMax: 256 * 1024,
  dialledWindowBytes: 8 * 1024 * 1024,
  acceptedWindowBytes: 128 * 1024,
  holdsProcess: true,
};

/** The one method: `service flotilla.v1.Store { rpc Exchange(stream bytes) returns (stream bytes); }`, without protobuf. */
export const exchangePath = "/flotilla.v1.Store/Exchange";

/** A payload, its frame header, and the frames that may travel with it. */
export const grpcMessageBytesMax: number = messageBytesMax + 64;
