import fc from "fast-check";
import type { Arbitrary } from "fast-check";
import { describe, expect, it } from "vitest";
import { nodeByteOperations } from "@flotilla/platform";
import { createCodec } from "@flotilla/transport";
import type { ClientMessage, PeerMessage, ServerMessage } from "@flotilla/transport";
import { clientMessages, comparable, peerMessages, raftMessages, serverMessages } from "./messages.ts";

const codec = createCodec(nodeByteOperations);
const runs = { seed: 20240101, numRuns: 60 };

describe("what is encoded comes back as it was", () => {
  for (const [type, message] of Object.entries<Arbitrary<PeerMessage>>(peerMessages)) {
    it(`between stores: ${type}`, () => {
      fc.assert(
        fc.property(fc.array(message, { maxLength: 3 }), (messages) => {
          expect(comparable(codec.decodePeer(codec.encodePeer(messages)))).toEqual(comparable(messages));
        }),
        runs,
      );
    });
  }

  for (const [type, message] of Object.entries(raftMessages)) {
    it(`raft message: ${type}`, () => {
      fc.assert(
        fc.property(message, (raft) => {
          const envelope = { type: "raft" as const, rangeId: 7 as never, message: raft };
          expect(comparable(codec.decodePeer(codec.encodePeer([envelope])))).toEqual(comparable([envelope]));
        }),
        runs,
      );
    });
  }

  for (const [type, message] of Object.entries<Arbitrary<ClientMessage>>(clientMessages)) {
    it(`from clients: ${type}`, () => {
      fc.assert(
        fc.property(fc.array(message, { maxLength: 3 }), (messages) => {
          expect(comparable(codec.decodeClient(codec.encodeClient(messages)))).toEqual(comparable(messages));
        }),
        runs,
      );
    });
  }

  for (const [type, message] of Object.entries<Arbitrary<ServerMessage>>(serverMessages)) {
    it(`to clients: ${type}`, () => {
      fc.assert(
        fc.property(fc.array(message, { maxLength: 3 }), (messages) => {
          expect(comparable(codec.decodeServer(codec.encodeServer(messages)))).toEqual(comparable(messages));
        }),
        runs,
      );
    });
  }

  it("bundles of all types together", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(...Object.values(peerMessages)), { maxLength: 12 }), (messages) => {
        expect(comparable(codec.decodePeer(codec.encodePeer(messages)))).toEqual(comparable(messages));
      }),
      runs,
    );
  });

  it("an empty bundle", () => {
    expect(codec.decodePeer(codec.encodePeer([]))).toEqual([]);
  });
});
