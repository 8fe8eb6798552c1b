/**
 * The fields that several hot layouts share: 53-bit integers that are checked before they are written, keys and texts
 * with a length in front.
 */
import { InvariantError, MalformedError } from "@flotilla/base";
import type { BinaryReader, BinaryWriter, ByteOperations, Key } from "@flotilla/base";
import { logicalKeyBytesMax, textBytesMax } from "../protocol.ts";

/** A number that is no 53-bit integer would arrive as another one: never sent. */
export function putInteger(writer: BinaryWriter, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new InvariantError(`a field must be an integer from 0 to 2^53-1, got ${value}`);
  }
  writer.uint53(value);
}

export function putUint32(writer: BinaryWriter, value: number): void {
  if (!Number.isSafeInteger(value) || value < 0 || value > 0xffffffff) {
    throw new InvariantError(`a field must be an integer from 0 to 2^32-1, got ${value}`);
  }
  writer.uint32(value);
}

/** An id, a term, an index of something that exists: from 1. */
export function positive(reader: BinaryReader, what: string): number {
  const value = reader.uint53();
  if (value === 0) throw new MalformedError(`${what} is 0 at offset ${reader.offset - 8}`);
  return value;
}

/**
 * A number of elements that follow, each of at least `bytesEach` bytes: checked against what is left, so that a few
 * hostile bytes cannot announce millions of elements.
 */
export function count(reader: BinaryReader, bytesEach: number, what: string): number {
  const value = reader.uint32();
  if (value * bytesEach > reader.remaining) {
    throw new MalformedError(`${value} ${what} announced, only ${reader.remaining} bytes are left`);
  }
  return value;
}

export function keyLength(reader: BinaryReader): number {
  const length = reader.uint16();
  if (length > logicalKeyBytesMax)
    throw new MalformedError(`key of ${length} bytes, at most ${logicalKeyBytesMax} are allowed`);
  return length;
}

export function putKeyLength(writer: BinaryWriter, key: Key): void {
  if (key.length > logicalKeyBytesMax) {
    throw new InvariantError(`key of ${key.length} bytes must not be sent, at most ${logicalKeyBytesMax} are allowed`);
  }
  writer.uint16(key.length);
}

/** As much of the text as may be sent: a UTF-16 code unit takes at most three bytes. */
export function boundedText(text: string, operations: ByteOperations): string {
  if (text.length <= textBytesMax / 3 || operations.utf8Length(text) <= textBytesMax) return text;
  return text.slice(0, Math.floor(textBytesMax / 3));
}

/** Length (2 bytes) and UTF-8. */
export const textBytes = (text: string, operations: ByteOperations): number => 2 + operations.utf8Length(text);

export function putText(writer: BinaryWriter, text: string, operations: ByteOperations): void {
  const length = operations.utf8Length(text);
  writer.uint16(length);
  // Plain ASCII needs no buffer in between.
  if (length === text.length) writer.binaryString(text);
  else writer.raw(operations.encodeUtf8(text));
}

export function text(reader: BinaryReader, operations: ByteOperations): string {
  const length = reader.uint16();
  if (length > textBytesMax) throw new MalformedError(`text of ${length} bytes, at most ${textBytesMax} are allowed`);
  return operations.decodeUtf8(reader.subarray(length));
}
