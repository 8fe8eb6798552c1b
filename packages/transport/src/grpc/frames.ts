/**
 * What a gRPC message holds: frames, one behind the other, big-endian.
 *
 *     kind      1
 *     length    4    of the body
 *     body
 *
 *     kind 1    hello           the first frame of each side (see `hello-codec.ts`)
 *     kind 2    payload         a bundle, handed on unread
 *     kind 3    confirmation    8: payload frames (headers included) that the sender of this has taken since the stream
 *                               began, in bytes; never falls, never above what was sent
 *     kind 4    refusal         instead of a Hello: error code 1, message length 2, message UTF-8. The stream ends behind it
 *
 * Rejected: a gRPC message a frame. gRPC's cost is per message (some 50 us of CPU), the joint header costs nothing.
 */
import { BinaryReader, BinaryWriter, MalformedError } from "@flotilla/base";
import type { ByteOperations, ErrorCode } from "@flotilla/base";
import { errorCodeNumber, errorCodeOf } from "../codec/error-code-numbers.ts";
import { boundedText, putText, text, textBytes } from "../codec/fields.ts";

export const frameKind = { hello: 1, payload: 2, confirmation: 3, refusal: 4 } as const;
export const frameHeaderBytes = 5;
export const confirmationBytes = 8;

export interface Frame {
  readonly kind: number;
  /** Where the body begins and ends in the message. */
  readonly start: number;
  readonly end: number;
}

/** Reads the frame header at the reader's offset and moves behind the body. */
export function nextFrame(reader: BinaryReader): Frame {
  const kind = reader.uint8();
  const length = reader.uint32();
  const start = reader.take(length);
  return { kind, start, end: start + length };
}

export function helloMessage(hello: Uint8Array, operations: ByteOperations): Buffer {
  const writer = new BinaryWriter(operations, frameHeaderBytes + hello.length);
  writer.uint8(frameKind.hello);
  writer.uint32(hello.length);
  writer.raw(hello);
  return asBuffer(writer.finish());
}

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

export function refusalMessage(refusal: Refusal, operations: ByteOperations): Buffer {
  const message = boundedText(refusal.message, operations);
  const length = 1 + textBytes(message, operations);
  const writer = new BinaryWriter(operations, frameHeaderBytes + length);
  writer.uint8(frameKind.refusal);
  writer.uint32(length);
  writer.uint8(errorCodeNumber(refusal.code));
  putText(writer, message, operations);
  return asBuffer(writer.finish());
}

export function readRefusal(bytes: Uint8Array, { start, end }: Frame, operations: ByteOperations): Refusal {
  const reader = new BinaryReader(bytes, start, end);
  const refusal: Refusal = { code: errorCodeOf(reader.uint8()), message: text(reader, operations) };
  if (reader.remaining > 0) throw new MalformedError(`${reader.remaining} bytes behind a refusal`);
  return refusal;
}

/** gRPC copies messages with methods that only a Buffer has. */
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
