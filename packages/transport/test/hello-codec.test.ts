import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MalformedError } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { UnknownHelloFormat, commonProtocol, decodeHello, encodeHello } from "@flotilla/transport";
import type { Hello } from "@flotilla/transport";

const max = Number.MAX_SAFE_INTEGER;
const hexDigits = (length: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: length / 2, maxLength: length / 2 }).map((bytes) => Buffer.from(bytes).toString("hex"));

const hellos = fc
  .record({
    protocols: fc.tuple(fc.nat(1000), fc.nat(1000)),
    clusterId: fc.oneof(fc.constant(""), hexDigits(32)),
    nodeId: fc.maxSafeNat(),
    storeId: fc.maxSafeNat(),
    storeKey: fc.oneof(fc.constant(""), hexDigits(64)),
    incarnation: fc.integer({ min: max - 3, max }),
    wallMs: fc.maxSafeNat(),
    leaseMs: fc.nat(100_000),
    purpose: fc.constantFrom("client", "heartbeat", "append", "snapshot"),
    address: fc.constantFrom("", "127.0.0.1:7400", "[::1]:7400", "bücher.example:1"),
  })
  .map(
    ({ protocols, ...rest }) =>
      ({ protocolMin: Math.min(...protocols), protocolMax: Math.max(...protocols), ...rest }) as Hello,
  );

const [example] = fc.sample(hellos, { seed: 4, numRuns: 1 });
const runs = { seed: 20240103, numRuns: 300 };

describe("Hello", () => {
  it("comes back as it was", () => {
    fc.assert(
      fc.property(hellos, (hello) => {
        expect(decodeHello(encodeHello(hello, nodeByteOperations), nodeByteOperations)).toEqual(hello);
      }),
      runs,
    );
  });

  it("H7 hostile bytes are decoded or refused as malformed, nothing else", () => {
    const refuse = (bytes: Uint8Array): void => {
      try {
        decodeHello(bytes, nodeByteOperations);
      } catch (error) {
        if (!(error instanceof MalformedError)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 120 }), refuse), runs);
    const bytes = Uint8Array.from(encodeHello(example!, nodeByteOperations));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      refuse(bytes);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
    }
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeHello(bytes.subarray(0, length), nodeByteOperations)).toThrow(MalformedError);
    }
  });

  it("H11 of an unknown format is told apart from noise", () => {
    const bytes = Uint8Array.from(encodeHello(example!, nodeByteOperations));
    bytes[0] = 2;
    expect(() => decodeHello(bytes, nodeByteOperations)).toThrow(UnknownHelloFormat);
  });

  it("with a cluster id, store key or address out of bounds is neither sent nor taken", () => {
    for (const wrong of [
      { clusterId: "abc" },
      { clusterId: "X".repeat(32) },
      { storeKey: "not hex" },
      { storeKey: "a".repeat(130) },
      { address: "a".repeat(301) },
    ]) {
      expect(() => encodeHello({ ...example!, ...wrong }, nodeByteOperations)).toThrow(/of a Hello must be/);
    }
    expect(() => decodeHello(new Uint8Array(1025), nodeByteOperations)).toThrow(/at most 1024/);
  });

  it("H11 gives the highest protocol that both sides speak", () => {
    const range = (protocolMin: number, protocolMax: number): Hello => ({ ...example!, protocolMin, protocolMax });
    expect(commonProtocol(range(1, 3), range(2, 5))).toBe(3);
    expect(commonProtocol(range(2, 5), range(1, 3))).toBe(3);
    expect(commonProtocol(range(1, 1), range(1, 1))).toBe(1);
    expect(commonProtocol(range(1, 2), range(3, 4))).toBeUndefined();
    expect(commonProtocol(range(3, 4), range(1, 2))).toBeUndefined();
  });
});
