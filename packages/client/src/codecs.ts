/**
 * How a user's keys and values become bytes. Keys are handled as binary strings (one code unit a byte) inside, so text
 * keys of plain ASCII cost nothing.
 */
import { Packr } from "msgpackr";
import type { ByteOperations } from "@flotilla/base";
import { FlotillaError } from "./flotilla-error.ts";
import { binaryToBytes, decodeTuple, encodeTuple, textToBinary } from "./tuple-codec.ts";
import type { Tuple, TupleElement } from "./tuple-codec.ts";

/** A codec of the user's own, for keys or values. The order of keys is the order of their bytes. */
export interface Codec<T> {
  encode(value: T): Uint8Array;
  /** The bytes are the codec's to keep. */
  decode(bytes: Uint8Array): T;
}

/** A `Codec` of whatever type. */
export interface AnyCodec {
  encode(value: never): Uint8Array;
  decode(bytes: Uint8Array): unknown;
}

export type KeyCodecOption = "utf8" | "tuple" | AnyCodec | undefined;
export type ValueCodecOption = "utf8" | "json" | "msgpack" | AnyCodec | undefined;

type CodecType<C> = C extends { encode(value: infer T): Uint8Array; decode(bytes: Uint8Array): infer R }
  ? [T, R]
  : never;

/** What a key codec takes, and what it gives back. */
export type KeyIn<C> = C extends "utf8"
  ? string
  : C extends "tuple"
    ? Tuple
    : C extends undefined
      ? string | Uint8Array
      : CodecType<C>[0];
export type KeyOut<C> = C extends "utf8"
  ? string
  : C extends "tuple"
    ? TupleElement[]
    : C extends undefined
      ? Uint8Array
      : CodecType<C>[1];
export type ValueIn<C> = C extends "utf8"
  ? string
  : C extends "json" | "msgpack"
    ? unknown
    : C extends undefined
      ? string | Uint8Array
      : CodecType<C>[0];
export type ValueOut<C> = C extends "utf8"
  ? string
  : C extends "json" | "msgpack"
    ? unknown
    : C extends undefined
      ? Uint8Array
      : CodecType<C>[1];

/** Inside: to and from binary strings, without the leading byte of logical keys. */
export interface KeyCoder {
  encode(key: unknown): string;
  decode(binary: string): unknown;
}

export interface ValueCoder {
  encode(value: unknown): Uint8Array;
  /** The bytes are a view of what was received. */
  decode(bytes: Uint8Array): unknown;
}

export function keyCoder(option: KeyCodecOption, operations: ByteOperations): KeyCoder {
  if (option === undefined) {
    return {
      encode: (key) => {
        if (typeof key === "string") return textToBinary(key, operations);
        if (key instanceof Uint8Array) return operations.binaryString(key, 0, key.length);
        throw wrongType("key", "string or Uint8Array", key);
      },
      decode: (binary) => binaryToBytes(binary, operations),
    };
  }
  if (option === "utf8") {
    return {
      encode: (key) => {
        if (typeof key !== "string") throw wrongType("key", "string", key);
        return textToBinary(key, operations);
      },
      decode: (binary) => binaryToText(binary, operations),
    };
  }
  if (option === "tuple") {
    return {
      encode: (key) => encodeTuple(key as Tuple, operations),
      decode: (binary) => decodeTuple(binary, operations),
    };
  }
  const codec = checkedCodec("key", option);
  return {
    encode: (key) => {
      const bytes = codec.encode(key);
      return operations.binaryString(bytes, 0, bytes.length);
    },
    decode: (binary) => codec.decode(binaryToBytes(binary, operations)),
  };
}

export function valueCoder(option: ValueCodecOption, operations: ByteOperations): ValueCoder {
  switch (option) {
    case undefined:
      return {
        encode: (value) => {
          if (typeof value === "string") return operations.encodeUtf8(value);
          if (value instanceof Uint8Array) return value;
          throw wrongType("value", "string or Uint8Array", value);
        },
        decode: (bytes) => copy(bytes, operations),
      };
    case "utf8":
      return {
        encode: (value) => {
          if (typeof value !== "string") throw wrongType("value", "string", value);
          return operations.encodeUtf8(value);
        },
        decode: (bytes) => operations.decodeUtf8(bytes),
      };
    case "json":
      return {
        encode: (value) => {
          const text = JSON.stringify(value) as string | undefined;
          if (text === undefined) throw wrongType("value", "something JSON can express", value);
          return operations.encodeUtf8(text);
        },
        decode: (bytes) => JSON.parse(operations.decodeUtf8(bytes)) as unknown,
      };
    case "msgpack": {
      const packr = new Packr({ useRecords: false, copyBuffers: true });
      return { encode: (value) => packr.pack(value), decode: (bytes) => packr.unpack(bytes) as unknown };
    }
    default: {
      const codec = checkedCodec("value", option);
      return { encode: (value) => codec.encode(value), decode: (bytes) => codec.decode(copy(bytes, operations)) };
    }
  }
}

function checkedCodec(what: string, option: AnyCodec): Codec<unknown> {
  const codec = option as unknown as Codec<unknown>;
  if (typeof codec?.encode !== "function" || typeof codec.decode !== "function") {
    throw new FlotillaError("InvalidArgument", `unknown ${what} codec: ${JSON.stringify(option)}`, {
      hint:
        what === "key"
          ? "one of utf8, tuple, or an object with encode and decode"
          : "one of utf8, json, msgpack, or an object with encode and decode",
    });
  }
  return codec;
}

/** A view would keep the whole received message alive, and share it. */
function copy(bytes: Uint8Array, operations: ByteOperations): Uint8Array {
  const own = operations.allocate(bytes.length);
  own.set(bytes);
  return own;
}

function binaryToText(binary: string, operations: ByteOperations): string {
  for (let i = 0; i < binary.length; i++) {
    if (binary.charCodeAt(i) >= 128) return operations.decodeUtf8(binaryToBytes(binary, operations));
  }
  return binary;
}

function wrongType(what: string, wanted: string, got: unknown): FlotillaError {
  return new FlotillaError(
    "InvalidArgument",
    `a ${what} must be a ${wanted}, got ${got === null ? "null" : typeof got}`,
  );
}
