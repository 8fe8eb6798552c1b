import { crc32 } from "node:zlib";
import type { ByteOperations } from "@flotilla/base";

const latin1Slice = Buffer.prototype.latin1Slice as (this: Uint8Array, start: number, end: number) => string;
const latin1Write = Buffer.prototype.latin1Write as (
  this: Uint8Array,
  text: string,
  offset: number,
  length: number,
) => number;

function buffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export const nodeByteOperations: ByteOperations = {
  crc32: (bytes, start, end, seed) =>
    crc32(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), seed),
  binaryString: (bytes, start, end) => latin1Slice.call(bytes, start, end),
  writeBinaryString: (target, text, offset) => latin1Write.call(target, text, offset, text.length),
  utf8Length: (text) => Buffer.byteLength(text, "utf8"),
  encodeUtf8: (text) => Buffer.from(text, "utf8"),
  decodeUtf8: (bytes) => buffer(bytes).toString("utf8"),
  allocate: (length) => Buffer.allocUnsafeSlow(length),
};
