import { nodeByteOperations } from "@flotilla/platform";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyCoder, valueCoder } from "../src/codecs.ts";
import { parseEndpoints, resolveSettings } from "../src/internal.ts";
import { decodeTuple, encodeTuple } from "../src/tuple-codec.ts";
import type { TupleElement } from "../src/tuple-codec.ts";

const element: fc.Arbitrary<TupleElement> = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.double({ noNaN: true }),
  fc.integer(),
  fc.string({ unit: "grapheme" }),
  fc.string({ unit: fc.constantFrom("\x00", "\xff", "a", "\u{10000}") }),
  fc.uint8Array({ maxLength: 6 }),
);

const rank = (value: TupleElement): number =>
  value === null
    ? 0
    : typeof value === "boolean"
      ? 1
      : typeof value === "number"
        ? 2
        : typeof value === "string"
          ? 3
          : 4;

function compare(a: TupleElement, b: TupleElement): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (typeof a === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b as string));
  if (a instanceof Uint8Array) return Buffer.compare(a, b as Uint8Array);
  return Number(a) < Number(b) ? -1 : Number(a) > Number(b) ? 1 : 0;
}

describe("tuple keys", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 5 }), (tuple) => {
        const decoded = decodeTuple(encodeTuple(tuple, nodeByteOperations), nodeByteOperations);
        expect(decoded.map(plain)).toEqual(tuple.map(plain));
      }),
      { seed: 11, numRuns: 500 },
    );
  });

  it("I8 sort as their elements do, by bytes", () => {
    fc.assert(
      fc.property(fc.array(element, { maxLength: 3 }), fc.array(element, { maxLength: 3 }), (a, b) => {
        const [x, y] = [encodeTuple(a, nodeByteOperations), encodeTuple(b, nodeByteOperations)];
        let expected = 0;
        for (let i = 0; i < Math.min(a.length, b.length) && expected === 0; i++) expected = compare(a[i]!, b[i]!);
        if (expected === 0) expected = a.length - b.length;
        expect(x < y ? -1 : x > y ? 1 : 0).toBe(Math.sign(expected));
      }),
      { seed: 12, numRuns: 1000 },
    );
  });

  it("refuse what has no order and what is no tuple", () => {
    expect(() => encodeTuple([Number.NaN], nodeByteOperations)).toThrow(/NaN/);
    expect(() => encodeTuple([undefined as never], nodeByteOperations)).toThrow(/element/);
    expect(() => encodeTuple("text" as never, nodeByteOperations)).toThrow(/array/);
    for (const bad of ["\x09", "\x10123", "\x20abc", "a"])
      expect(() => decodeTuple(bad, nodeByteOperations)).toThrow(/not an encoded tuple/);
  });
});

const plain = (value: TupleElement): unknown =>
  value instanceof Uint8Array ? [...value] : Object.is(value, -0) ? 0 : value;

describe("codecs", () => {
  it("carry any text and any bytes as keys", () => {
    const raw = keyCoder(undefined, nodeByteOperations);
    const utf8 = keyCoder("utf8", nodeByteOperations);
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.uint8Array(), (text, bytes) => {
        expect(utf8.decode(utf8.encode(text))).toBe(text);
        expect(raw.encode(text)).toBe(utf8.encode(text));
        expect([...(raw.decode(raw.encode(bytes)) as Uint8Array)]).toEqual([...bytes]);
      }),
      { seed: 13, numRuns: 200 },
    );
  });

  it("carry values, and refuse what they cannot carry", () => {
    const value = { a: [1, "x", null, { b: true }], "10": 2, c: 2 ** 40 };
    for (const name of ["json", "msgpack"] as const) {
      const coder = valueCoder(name, nodeByteOperations);
      expect(coder.decode(coder.encode(value))).toEqual(value);
    }
    expect(() => valueCoder("json", nodeByteOperations).encode(undefined)).toThrow(/JSON/);
    expect(() => valueCoder("utf8", nodeByteOperations).encode(5)).toThrow(/string/);
    expect(() => valueCoder("xml" as never, nodeByteOperations)).toThrow(/unknown value codec/);
    expect(() => keyCoder("json" as never, nodeByteOperations)).toThrow(/unknown key codec/);
  });
});

describe("settings", () => {
  it("read endpoints from a URL, a list or an array", () => {
    expect(parseEndpoints("flotilla://a:1,b,[::1]:7")).toEqual(["a:1", "b:7400", "[::1]:7"]);
    expect(parseEndpoints(["a", "a:7400"])).toEqual(["a:7400"]);
    for (const bad of ["", "a:0", "a:70000", "http://a:1", "a:b", ["a b"], []])
      expect(() => parseEndpoints(bad)).toThrow(/endpoint/);
  });

  it("refuse what is not a positive integer", () => {
    expect(resolveSettings({ endpoints: "a", timeoutMs: 5 }).timeoutMs).toBe(5);
    for (const bad of [0, -1, 1.5, Number.NaN, "7" as never])
      expect(() => resolveSettings({ endpoints: "a", inFlightMax: bad })).toThrow(/inFlightMax/);
    expect(() => resolveSettings({ endpoints: "a", valueBytesMax: 2 ** 30 })).toThrow(/valueBytesMax/);
  });
});
