import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MalformedError } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec, messageBytesOf, payloadFormat, typeNumber } from "./subject.ts";
import { clientMessages, peerMessages, serverMessages } from "./messages.ts";

const codec = createCodec(nodeByteOperations);
const seed = 20240102;

/** The only thing that bytes from outside may make a decoder do, besides decoding. */
function decodeOrRefuse(decode: (payload: Uint8Array) => unknown, payload: Uint8Array): "decoded" | "refused" {
  try {
    decode(payload);
    return "decoded";
  } catch (error) {
    if (error instanceof MalformedError) return "refused";
    throw error;
  }
}

const directions = [
  {
    name: "between stores",
    generators: peerMessages,
    encode: codec.encodePeer.bind(codec),
    decode: codec.decodePeer.bind(codec),
  },
  {
    name: "from clients",
    generators: clientMessages,
    encode: codec.encodeClient.bind(codec),
    decode: codec.decodeClient.bind(codec),
  },
  {
    name: "to clients",
    generators: serverMessages,
    encode: codec.encodeServer.bind(codec),
    decode: codec.decodeServer.bind(codec),
  },
] as const;

for (const { name, generators, encode, decode } of directions) {
  describe(`H7 bytes from outside, ${name}`, () => {
    for (const [type, message] of Object.entries(generators)) {
      const payloads = fc
        .sample(message as fc.Arbitrary<never>, { seed, numRuns: 6 })
        .map((sample) => encode([sample]));

      it(`${type} cut off at any byte is refused`, () => {
        for (const payload of payloads) {
          // One byte is an empty bundle.
          for (let length = 2; length < payload.length; length++) {
            expect(decodeOrRefuse(decode, payload.subarray(0, length)), `${length} of ${payload.length} bytes`).toBe(
              "refused",
            );
          }
        }
      });

      it(`${type} with a byte too many is refused`, () => {
        for (const payload of payloads) {
          const longer = new Uint8Array(payload.length + 1);
          longer.set(payload);
          expect(decodeOrRefuse(decode, longer)).toBe("refused");
        }
      });

      it(`${type} with any bit flipped is decoded or refused, nothing else`, () => {
        for (const payload of payloads.slice(0, 2)) {
          const flipped = Uint8Array.from(payload);
          for (let bit = 0; bit < Math.min(payload.length, 400) * 8; bit++) {
            flipped[bit >> 3]! ^= 1 << (bit & 7);
            decodeOrRefuse(decode, flipped);
            flipped[bit >> 3]! ^= 1 << (bit & 7);
          }
        }
      });
    }

    it("random bytes behind any type number are decoded or refused, nothing else", () => {
      fc.assert(
        fc.property(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 200 }), (type, body) => {
          decodeOrRefuse(decode, messageBytesOf(type, body));
        }),
        { seed, numRuns: 2_000 },
      );
    });

    it("random payloads are decoded or refused, nothing else", () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 100 }), (payload) => {
          decodeOrRefuse(decode, payload);
        }),
        { seed, numRuns: 1_000 },
      );
    });

    it("an empty payload, an unknown format and an unknown type are refused", () => {
      expect(() => decode(new Uint8Array(0))).toThrow(MalformedError);
      expect(() => decode(Uint8Array.of(payloadFormat + 1))).toThrow(/has format 2/);
      expect(() => decode(messageBytesOf(255, new Uint8Array(0)))).toThrow(/unknown message type 255/);
    });

    it("a message that reads on into the next one is refused", () => {
      const first = Object.values(generators)[0] as fc.Arbitrary<never>;
      const [sample] = fc.sample(first, { seed, numRuns: 1 });
      const payload = Buffer.from(encode([sample!, sample!]));
      payload.writeUInt32BE(payload.readUInt32BE(2) - 1, 2);
      expect(decodeOrRefuse(decode, payload)).toBe("refused");
    });
  });
}

describe("H7 announced lengths are held against the bytes that are there", () => {
  const huge = [0xff, 0xff, 0xff, 0xff];
  const zeros = (length: number): number[] => Array.from({ length }, () => 0);
  const id = [0, 0, 0, 0, 0, 0, 0, 1];

  it("2^32 - 1 entries in an append", () => {
    const body = [1, ...id, ...id, ...id, ...id, ...zeros(24), ...huge];
    expect(() => codec.decodePeer(messageBytesOf(typeNumber.raft, body))).toThrow(/4294967295 entries announced/);
  });

  it("2^32 - 1 commands, keys, results, records", () => {
    const refused = /4294967295 \w+ announced/;
    expect(() =>
      codec.decodeClient(messageBytesOf(typeNumber.commands, [...id, ...id, ...zeros(32), ...huge])),
    ).toThrow(refused);
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.reads, [...id, ...id, ...zeros(9), ...huge]))).toThrow(
      refused,
    );
    expect(() => codec.decodeServer(messageBytesOf(typeNumber["command-results"], [...zeros(16), ...huge]))).toThrow(
      refused,
    );
    expect(() => codec.decodeServer(messageBytesOf(typeNumber["read-results"], [...zeros(16), ...huge]))).toThrow(
      refused,
    );
    expect(() => codec.decodeServer(messageBytesOf(typeNumber["scan-page"], [...zeros(17), ...huge]))).toThrow(refused);
  });

  it.each([
    ["an array of 2^32 - 1", [0xdd, ...huge]],
    ["a map of 2^32 - 1", [0xdf, ...huge]],
    ["a string of 2^32 - 1 bytes", [0xdb, ...huge]],
    ["binary of 2^32 - 1 bytes", [0xc6, ...huge]],
    ["an array of 65 535 in an array", [0x91, 0xdc, 0xff, 0xff]],
  ])("%s in a control message", (_name, body) => {
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.admin, body))).toThrow(/announces more than/);
  });

  it("nesting without end in a control message", () => {
    const body = [...Array.from({ length: 100_000 }, () => 0x91), 0xc0];
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.admin, body))).toThrow(/nested deeper than 32/);
  });

  it("a million empty lists in a control message", () => {
    const body = new Uint8Array(1_100_005).fill(0x90);
    body.set([0xdd, 0, 0x10, 0xc8, 0xe0]);
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.admin, body))).toThrow(/more than 1000000 values/);
  });

  it.each([
    ["a record definition", [0xd4, 0x72, 0x40]],
    ["an undefined", [0xd4, 0x00, 0x00]],
    ["a timestamp", [0xd6, 0xff, 0, 0, 0, 0]],
    ["an extension of any length", [0xc7, 0x01, 0x65, 0x00]],
    ["the byte that means nothing", [0xc1]],
  ])("%s is no plain data", (_name, value) => {
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.admin, [0x93, 1, 0xa1, 0x61, ...value]))).toThrow(
      /is no plain data/,
    );
  });

  it("a map key that is no string", () => {
    const body = [0x93, 1, 0xa1, 0x61, 0x81, 0x01, 0x01];
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.admin, body))).toThrow(
      /map key at offset \d+ is no string/,
    );
  });

  it("a map key of __proto__ changes no prototype", () => {
    const body = [0x93, 1, 0xa1, 0x61, 0x81, 0xa9, ...Buffer.from("__proto__"), 0x81, 0xa1, 0x78, 0x01];
    const [message] = codec.decodeClient(messageBytesOf(typeNumber.admin, body));
    expect(message).toMatchObject({ type: "admin" });
    expect(({} as { x?: number }).x).toBeUndefined();
    expect((message as unknown as { arguments: { x?: number } }).arguments.x).toBeUndefined();
  });
});

describe("H7 fields out of their bounds are refused", () => {
  const zero = [0, 0, 0, 0, 0, 0, 0, 0];
  const one = [0, 0, 0, 0, 0, 0, 0, 1];
  const above = [0, 0x20, 0, 0, 0, 0, 0, 0];

  it("I4 2^53 in an id", () => {
    expect(() => codec.decodePeer(messageBytesOf(typeNumber.raft, [9, ...above, ...one, ...one, ...one]))).toThrow(
      /above 2\^53-1/,
    );
  });

  it("term 0, range 0 and replica 0", () => {
    for (let field = 0; field < 4; field++) {
      const fields = [0, 1, 2, 3].map((i) => (i === field ? zero : one));
      expect(() => codec.decodePeer(messageBytesOf(typeNumber.raft, [9, ...fields.flat()]))).toThrow(/ is 0 at offset/);
    }
  });

  it("a key one byte longer than any key", () => {
    const body = new Uint8Array(29 + 2 + 4098);
    body[15] = 1;
    body.set([0, 0, 0, 1, 0x10, 0x02], 25);
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.reads, body))).toThrow(/key of 4098 bytes, at most 4097/);
    const longest = body.subarray(0, -1);
    longest[30] = 0x01;
    expect(codec.decodeClient(messageBytesOf(typeNumber.reads, longest))).toHaveLength(1);
  });

  it("a delete with a value", () => {
    const command = [1, ...one, ...zero, 0, 1, 0, 0, 0, 1, 0x61, 0x62];
    const batch = [...one, ...one, ...zero, ...zero, ...zero, ...zero, 0, 0, 0, 1];
    expect(() => codec.decodeClient(messageBytesOf(typeNumber.commands, [...batch, ...command]))).toThrow(
      /carries a value/,
    );
  });

  it("entries whose indexes would pass 2^53 - 1", () => {
    const last = [0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    const entry = [...one, 0, 0, 0, 0, 0];
    const body = [1, ...one, ...one, ...one, ...one, ...last, ...one, ...one, 0, 0, 0, 1, ...entry];
    expect(() => codec.decodePeer(messageBytesOf(typeNumber.raft, body))).toThrow(/1 entries behind index/);
  });

  it("members that do not rise", () => {
    const body = [10, ...one, ...one, ...one, ...one, ...one, ...one, 0, 0, 2, ...one, ...one, 0, 0, 0, 0, 0, 0];
    expect(() => codec.decodePeer(messageBytesOf(typeNumber.raft, body))).toThrow(/does not rise/);
  });

  it("a payload above the limit, whatever is in it", () => {
    expect(() => codec.decodePeer(new Uint8Array(20 * 1024 * 1024 + 1))).toThrow(/at most 20971520/);
  });
});
