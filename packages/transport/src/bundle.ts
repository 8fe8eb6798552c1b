/**
 * One payload of a stream: a bundle of messages, all that one side has for the other in one turn.
 *
 *     format number (1)                       1 byte
 *     per message: type number                1 byte
 *                  length of the body         4 bytes
 *                  body
 *
 * Bodies of hot messages have a fixed binary layout (`hot-codec` files); the others are msgpackr arrays. A body that
 * is malformed, too long, or past a limit refuses the whole payload with `MalformedError`.
 */
import type { ByteOperations } from "@flotilla/base";
import type { ClientMessage, ServerMessage } from "./client-messages.ts";
import type { PeerMessage } from "./peer-messages.ts";

export interface Codec {
  /** Encodes into one payload. Entry data and values are copied once, into it. */
  encodePeer(messages: readonly PeerMessage[]): Uint8Array;
  /** Views into `payload` are kept in the result. */
  decodePeer(payload: Uint8Array): PeerMessage[];
  encodeClient(messages: readonly ClientMessage[]): Uint8Array;
  decodeClient(payload: Uint8Array): ClientMessage[];
  encodeServer(messages: readonly ServerMessage[]): Uint8Array;
  decodeServer(payload: Uint8Array): ServerMessage[];
}

export type CodecFactory = (operations: ByteOperations) => Codec;
