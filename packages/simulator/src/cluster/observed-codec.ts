/** The node's real codec; the claims see every Raft message that leaves. */
import type { Codec } from "@flotilla/transport";
import type { Claims } from "./claims.ts";
import type { ObservedLog } from "./observed-log.ts";

export function observedCodec(codec: Codec, node: string, log: ObservedLog, claims: Claims): Codec {
  return {
    encodePeer: (messages) => {
      for (const message of messages) {
        if (message.type === "raft") claims.sent(node, message.rangeId, message.message, log.stateOf(message.rangeId));
      }
      return codec.encodePeer(messages);
    },
    decodePeer: (payload) => codec.decodePeer(payload),
    encodeClient: (messages) => codec.encodeClient(messages),
    decodeClient: (payload) => codec.decodeClient(payload),
    encodeServer: (messages) => codec.encodeServer(messages),
    decodeServer: (payload) => codec.decodeServer(payload),
  };
}
