/**
 * Keys made of several values, in an encoding whose byte order is the order of the values, element by element:
 *
 *     null      01
 *     false     02        true  03
 *     number    10 + 8 bytes: the IEEE double, sign bit flipped (positive) or all bits flipped (negative); -0 is 0
 *     string    20 + UTF-8 with 00 written as 00 FF, closed by 00
 *     bytes     21 + the same escaping
 *
 * An element is never a prefix of another, so the encoding of `["a"]` is a prefix of exactly the tuples that begin with
 * "a": `scan({ prefix: ["a"] })` works. Elements of different kinds sort null, booleans, numbers, strings, bytes.
 */
import type { ByteOperations } from "@flotilla/base";
import { FlotillaError } from "./flotilla-error.ts";

export type TupleElement = null | boolean | number | string | Uint8Array;
export type Tuple = readonly TupleElement[];

const double = new DataView(new ArrayBuffer(8));

/** To a binary string: one code unit a byte. */
export function encodeTuple(tuple: Tuple, operations: ByteOperations): string {
  if (!Array.isArray(tuple))
    throw new FlotillaError("InvalidArgument", `a tuple key must be an array, got ${typeof tuple}`);
  let encoded = "";
  for (const element of tuple as Tuple) encoded += encodeElement(element, operations);
  return encoded;
}

function encodeElement(element: TupleElement, operations: ByteOperations): string {
  if (element === null) return "\x01";
  if (element === false) return "\x02";
  if (element === true) return "\x03";
  if (typeof element === "number") return "\x10" + encodeNumber(element);
  if (typeof element === "string") return "\x20" + escape(textToBinary(element, operations)) + "\x00";
  if (element instanceof Uint8Array)
    return "\x21" + escape(operations.binaryString(element, 0, element.length)) + "\x00";
  throw new FlotillaError(
    "InvalidArgument",
    `a tuple element must be null, a boolean, number, string or Uint8Array, got ${typeof element}`,
  );
}

function encodeNumber(value: number): string {
  if (Number.isNaN(value)) throw new FlotillaError("InvalidArgument", "NaN has no place in the order of keys");
  double.setFloat64(0, value === 0 ? 0 : value);
  const negative = double.getUint8(0) >= 128;
  let text = "";
  for (let i = 0; i < 8; i++) {
    const byte = double.getUint8(i);
    text += String.fromCharCode(negative ? 255 - byte : i === 0 ? byte + 128 : byte);
  }
  return text;
}

export function decodeTuple(encoded: string, operations: ByteOperations): TupleElement[] {
  const elements: TupleElement[] = [];
  let at = 0;
  while (at < encoded.length) {
    const kind = encoded.charCodeAt(at++);
    if (kind === 1) elements.push(null);
    else if (kind === 2 || kind === 3) elements.push(kind === 3);
    else if (kind === 0x10 && at + 8 <= encoded.length) {
      elements.push(decodeNumber(encoded, at));
      at += 8;
    } else if (kind === 0x20 || kind === 0x21) {
      const end = closing(encoded, at);
      const bytes = binaryToBytes(encoded.slice(at, end).replaceAll("\x00\xff", "\x00"), operations);
      elements.push(kind === 0x20 ? operations.decodeUtf8(bytes) : bytes);
      at = end + 1;
    } else throw notATuple(at - 1);
  }
  return elements;
}

function decodeNumber(encoded: string, at: number): number {
  const negative = encoded.charCodeAt(at) < 128;
  for (let i = 0; i < 8; i++) {
    const byte = encoded.charCodeAt(at + i);
    double.setUint8(i, negative ? 255 - byte : i === 0 ? byte - 128 : byte);
  }
  return double.getFloat64(0);
}

/** Where the closing 00 of an escaped element stands. */
function closing(encoded: string, from: number): number {
  for (let at = encoded.indexOf("\x00", from); at >= 0; at = encoded.indexOf("\x00", at + 2)) {
    if (encoded.charCodeAt(at + 1) !== 255) return at;
  }
  throw notATuple(from);
}

function notATuple(at: number): FlotillaError {
  return new FlotillaError("InvalidArgument", `the key is not an encoded tuple (byte ${at})`, {
    hint: "was it written without the tuple codec?",
  });
}

const escape = (binary: string): string => (binary.includes("\x00") ? binary.replaceAll("\x00", "\x00\xff") : binary);

export function binaryToBytes(binary: string, operations: ByteOperations): Uint8Array {
  const bytes = operations.allocate(binary.length);
  operations.writeBinaryString(bytes, binary, 0);
  return bytes;
}

/** UTF-8 as a binary string. ASCII text is its own; a lone surrogate has no UTF-8 form and would clash with U+FFFD. */
export function textToBinary(text: string, operations: ByteOperations): string {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) < 128) continue;
    if (/\p{Surrogate}/u.test(text)) {
      throw new FlotillaError(
        "InvalidArgument",
        `a key must be well-formed text, got a lone surrogate in ${JSON.stringify(text.slice(0, 64))}`,
      );
    }
    const bytes = operations.encodeUtf8(text);
    return operations.binaryString(bytes, 0, bytes.length);
  }
  return text;
}
