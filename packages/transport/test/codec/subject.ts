import { messageHeaderBytes, payloadFormat, payloadHeaderBytes } from "@flotilla/transport";

export { createCodec, payloadFormat, typeNumber } from "@flotilla/transport";

/** A payload of one message, made by hand. */
export function messageBytesOf(type: number, body: ArrayLike<number>): Uint8Array {
  const payload = Buffer.alloc(payloadHeaderBytes + messageHeaderBytes + body.length);
  payload[0] = payloadFormat;
  payload[1] = type;
  payload.writeUInt32BE(body.length, 2);
  payload.set(body, 6);
  return payload;
}
