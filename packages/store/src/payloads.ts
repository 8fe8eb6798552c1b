/** A turn's messages for one stream leave as one payload, or as several when they are large. */
import type { Stream } from "@flotilla/transport";

const payloadTargetBytes = 2 * 1024 * 1024;

/** Returns how many payloads. `bytesOf` is the size of a message on the wire, roughly; one larger message goes alone. */
export function sendInPayloads<M>(
  stream: Stream,
  messages: readonly M[],
  bytesOf: (message: M) => number,
  encode: (messages: readonly M[]) => Uint8Array,
): number {
  let payloads = 1;
  let from = 0;
  let bytes = 0;
  for (let i = 0; i < messages.length; i++) {
    const more = bytesOf(messages[i]!);
    if (bytes > 0 && bytes + more > payloadTargetBytes) {
      stream.send(encode(messages.slice(from, i)));
      payloads++;
      from = i;
      bytes = 0;
    }
    bytes += more;
  }
  stream.send(encode(from === 0 ? messages : messages.slice(from)));
  return payloads;
}
