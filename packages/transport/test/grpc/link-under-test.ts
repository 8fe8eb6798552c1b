import type { Admission, Hello, Listener, Stream, StreamClosed } from "@flotilla/transport";
import type { GrpcSettings } from "@flotilla/transport/grpc";
import { makeParties, settle } from "./parties.ts";
import type { GrpcParties } from "./parties.ts";
import { hello } from "./raw-peers.ts";

/** An accepted stream, and what happened on it. */
export interface Accepted {
  readonly stream: Stream;
  readonly messages: Uint8Array[];
  readonly closes: StreamClosed[];
}

/** A listener that accepts everybody and keeps what it gets. */
export interface ListenerUnderTest {
  readonly parties: GrpcParties;
  readonly listener: Listener;
  readonly accepted: Accepted[];
  readonly admitted: Hello[];
}

export async function listenUnderTest(
  settings: Partial<GrpcSettings> = {},
  onMessage?: (payload: Uint8Array, stream: Stream) => void,
): Promise<ListenerUnderTest> {
  const parties = await makeParties(settings);
  const accepted: Accepted[] = [];
  const admitted: Hello[] = [];
  const admit = (theirs: Hello): Admission => {
    admitted.push(theirs);
    return {
      ok: true,
      hello,
      accept(stream) {
        const messages: Uint8Array[] = [];
        const closes: StreamClosed[] = [];
        accepted.push({ stream, messages, closes });
        return {
          onMessage(payload) {
            messages.push(payload);
            onMessage?.(payload, stream);
          },
          onClose: (reason) => closes.push(reason),
        };
      },
    };
  };
  return { parties, listener: await parties.listeners.listen(parties.address, admit), accepted, admitted };
}

export interface Dialled {
  readonly stream: Stream;
  readonly messages: Uint8Array[];
  readonly closes: StreamClosed[];
}

export function dialUnderTest({ parties, listener }: ListenerUnderTest): Promise<Dialled> {
  return new Promise((resolve, reject) => {
    parties.dialer.dial(listener.address, hello, {
      onOpen(stream) {
        const dialled: Dialled = { stream, messages: [], closes: [] };
        resolve(dialled);
        return {
          onMessage: (payload) => dialled.messages.push(payload),
          onClose: (reason) => dialled.closes.push(reason),
        };
      },
      onFailed: (reason) => reject(new Error(reason.message)),
    });
  });
}

/** Bounded by the test's own timeout. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await settle();
}
