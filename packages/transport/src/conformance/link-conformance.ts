/**
 * What every implementation of `Dialer` and `ListenerFactory` must do, as plain data: a test file of each runs
 * `for (const { name, run } of linkConformance) it(name, () => run(make))`.
 */
import { InvariantError } from "@flotilla/base";
import type { Incarnation, NodeId, StoreId } from "@flotilla/base";
import type { Admission, Dialer, Hello, Listener, ListenerFactory, Purpose, Stream, StreamClosed } from "../link.ts";
import { protocolMax, protocolMin } from "../protocol.ts";

export interface LinkConformanceParties {
  readonly dialer: Dialer;
  readonly listeners: ListenerFactory;
  /** An address to listen on that nobody else uses; port 0 where the implementation replaces it. */
  readonly address: string;
  /** An address where nobody listens. */
  readonly closedAddress: string;
  /** Lets a short time pass, real or virtual (at least 5 ms), in which what is under way goes on. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export interface LinkConformanceCase {
  readonly name: string;
  run(make: () => Promise<LinkConformanceParties>): Promise<void>;
}

/** Turns of `settle` that anything may take. */
const turnsMax = 2_000;

/** One side of a stream as the suite sees it: all that happened, in order. */
class Side {
  stream: Stream | undefined;
  readonly messages: Uint8Array[] = [];
  readonly closes: StreamClosed[] = [];
  opened = 0;
  confirmed = 0;
  answer: ((payload: Uint8Array, stream: Stream) => void) | undefined;

  open(stream: Stream): {
    onMessage(payload: Uint8Array): void;
    onClose(reason: StreamClosed): void;
    onConfirmed(): void;
  } {
    this.stream = stream;
    this.opened++;
    return {
      onMessage: (payload) => {
        this.messages.push(payload);
        this.answer?.(payload, stream);
      },
      onClose: (reason) => this.closes.push(reason),
      onConfirmed: () => this.confirmed++,
    };
  }

  get open1(): Stream {
    check(this.stream !== undefined, "the stream must be open");
    return this.stream;
  }
}

class Session {
  readonly near: Side = new Side();
  readonly far: Side = new Side();
  readonly failures: StreamClosed[] = [];
  readonly admitted: Hello[] = [];
  readonly parties: LinkConformanceParties;
  listener: Listener | undefined;
  admission: (hello: Hello) => Admission = () => ({
    ok: true,
    hello: helloOf("client", 2),
    accept: (stream) => this.far.open(stream),
  });

  constructor(parties: LinkConformanceParties) {
    this.parties = parties;
  }

  async listen(): Promise<Listener> {
    this.listener = await this.parties.listeners.listen(this.parties.address, (hello) => {
      this.admitted.push(hello);
      return this.admission(hello);
    });
    return this.listener;
  }

  dial(address: string, hello: Hello = helloOf("client", 1), near: Side = this.near): { cancel(): void } {
    return this.parties.dialer.dial(address, hello, {
      onOpen: (stream) => near.open(stream),
      onFailed: (reason) => this.failures.push(reason),
    });
  }

  async connect(): Promise<void> {
    const listener = await this.listen();
    this.dial(listener.address);
    await this.until(
      () => this.near.stream !== undefined && this.far.stream !== undefined,
      "the stream is open on both sides",
    );
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    for (let turn = 0; turn < turnsMax; turn++) {
      if (condition()) return;
      await this.parties.settle();
    }
    check(false, `${what}: not within ${turnsMax} turns`);
  }

  /** For what must not happen any more. */
  async quiet(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await this.parties.settle();
  }
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new InvariantError(what);
}

function helloOf(purpose: Purpose, id: number): Hello {
  return {
    protocolMin,
    protocolMax,
    clusterId: "00112233445566778899aabbccddeeff",
    nodeId: id as NodeId,
    storeId: (id + 10) as StoreId,
    storeKey: "abcdef0123456789",
    incarnation: (id + 20) as Incarnation,
    wallMs: 1_700_000_000_000 + id,
    leaseMs: 1_600,
    purpose,
    address: `127.0.0.1:${7400 + id}`,
  };
}

const sameHello = (a: Hello, b: Hello): boolean => {
  const keys = Object.keys(a) as (keyof Hello)[];
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
};

/** Bytes that no other payload of the suite has. */
function payloadOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed * 2_654_435_761 + 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

function samePayload(a: Uint8Array | undefined, b: Uint8Array): boolean {
  if (a === undefined || a.length !== b.length) return false;
  for (let i = 0; i < b.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function claim(name: string, body: (session: Session) => Promise<void>): LinkConformanceCase {
  return {
    name,
    async run(make) {
      const parties = await make();
      const session = new Session(parties);
      try {
        await body(session);
      } finally {
        session.near.stream?.close();
        await session.listener?.close();
        await parties.close();
      }
    },
  };
}

export const linkConformance: readonly LinkConformanceCase[] = [
  claim("both sides see the other's Hello, field by field", async (session) => {
    await session.connect();
    check(sameHello(session.admitted[0]!, helloOf("client", 1)), "admit must be given the dialler's Hello");
    check(
      sameHello(session.far.open1.hello, helloOf("client", 1)),
      "the accepting side's stream must have the dialler's Hello",
    );
    check(
      sameHello(session.near.open1.hello, helloOf("client", 2)),
      "the dialling side's stream must have the admission's Hello",
    );
    check(
      session.near.open1.remoteAddress === session.listener!.address,
      "the remote address must be the one that was dialled",
    );
    check(!session.near.open1.closed && !session.far.open1.closed, "a new stream is not closed");
  }),

  claim("neither onOpen nor onFailed is called inside dial", async (session) => {
    const listener = await session.listen();
    session.dial(listener.address);
    session.dial(session.parties.closedAddress);
    const callsWithin = session.near.opened + session.failures.length;
    check(callsWithin === 0, "a callback was called inside dial");
    await session.until(() => session.near.opened === 1 && session.failures.length === 1, "both dials are decided");
  }),

  claim("dialling an address where nobody listens fails once, without a code", async (session) => {
    session.dial(session.parties.closedAddress);
    await session.until(() => session.failures.length > 0, "the dial fails");
    await session.quiet();
    check(
      session.failures.length === 1 && session.near.opened === 0,
      "exactly one of onOpen and onFailed must be called",
    );
    check(session.failures[0]!.code === undefined, "a connection that cannot be made is no refusal: no code");
    check(session.failures[0]!.message.length > 0, "the failure must say what went wrong");
  }),

  claim("a refusal reaches the dialler with its code and message, and opens nothing", async (session) => {
    session.admission = () => ({ ok: false, code: "WrongCluster", message: "another cluster, ü" });
    const listener = await session.listen();
    session.dial(listener.address);
    await session.until(() => session.failures.length > 0, "the dial fails");
    await session.quiet();
    const reason = session.failures[0]!;
    check(
      session.failures.length === 1 && session.near.opened === 0,
      "exactly one of onOpen and onFailed must be called",
    );
    check(
      reason.code === "WrongCluster" && reason.message === "another cluster, ü",
      "code and message must arrive as they were given",
    );
    check(!reason.local, "the other side refused");
  }),

  claim("H11 protocol ranges that do not meet are refused with ProtocolMismatch", async (session) => {
    const listener = await session.listen();
    session.dial(listener.address, {
      ...helloOf("append", 1),
      protocolMin: protocolMax + 1,
      protocolMax: protocolMax + 3,
    });
    await session.until(() => session.failures.length > 0, "the dial fails");
    check(session.failures[0]!.code === "ProtocolMismatch", "the code must be ProtocolMismatch");
    check(session.far.opened === 0 && session.near.opened === 0, "nothing must be opened");
  }),

  claim("H11 parties of two versions whose protocol ranges meet understand each other, both ways", async (session) => {
    const listener = await session.listen();
    session.dial(listener.address, { ...helloOf("append", 1), protocolMax: protocolMax + 3 });
    await session.until(() => session.near.opened === 1 && session.far.opened === 1, "both sides open");
    check(session.admitted[0]!.protocolMax === protocolMax + 3, "what the newer one offers must arrive");
    session.near.open1.send(Uint8Array.of(1, 2, 3));
    session.far.open1.send(Uint8Array.of(4));
    await session.until(
      () => session.far.messages.length === 1 && session.near.messages.length === 1,
      "a message each arrives",
    );
  }),

  claim("a cancelled dial fails once and opens nothing", async (session) => {
    const listener = await session.listen();
    const dial = session.dial(listener.address);
    dial.cancel();
    dial.cancel();
    await session.until(() => session.failures.length > 0, "the dial fails");
    await session.quiet();
    check(
      session.failures.length === 1 && session.near.opened === 0,
      "exactly one of onOpen and onFailed must be called",
    );
    check(session.failures[0]!.local, "this side ended it");
  }),

  claim("messages arrive complete and in order, both ways, while both sides send", async (session) => {
    await session.connect();
    const number = 2_000;
    for (let i = 0; i < number; i++) {
      session.near.open1.send(payloadOf(i, i % 97));
      session.far.open1.send(payloadOf(i + 7, i % 89));
      if (i % 100 === 0) await session.parties.settle();
    }
    await session.until(
      () => session.far.messages.length === number && session.near.messages.length === number,
      "all messages arrive",
    );
    for (let i = 0; i < number; i++) {
      check(
        samePayload(session.far.messages[i], payloadOf(i, i % 97)),
        `message ${i} to the accepting side is another`,
      );
      check(
        samePayload(session.near.messages[i], payloadOf(i + 7, i % 89)),
        `message ${i} to the dialling side is another`,
      );
    }
  }),

  claim("a payload of 16 MiB passes both ways, with small ones in front and behind", async (session) => {
    await session.connect();
    const large = payloadOf(1, 16 * 1024 * 1024);
    const small = payloadOf(2, 10);
    for (const side of [session.near, session.far]) {
      side.open1.send(small);
      side.open1.send(large);
      side.open1.send(small);
    }
    await session.until(
      () => session.near.messages.length === 3 && session.far.messages.length === 3,
      "all messages arrive",
    );
    for (const { messages } of [session.near, session.far]) {
      check(samePayload(messages[0], small) && samePayload(messages[2], small), "a small message is another");
      check(samePayload(messages[1], large), "the large message is another");
    }
  }),

  claim("unconfirmedBytes counts what was sent, and returns to 0 on an idle stream", async (session) => {
    await session.connect();
    const { near, far } = session;
    check(near.open1.unconfirmedBytes === 0, "a new stream has nothing unconfirmed");
    near.open1.send(payloadOf(1, 1_000));
    check(near.open1.unconfirmedBytes >= 1_000, "what was sent counts at once");
    await session.until(() => near.open1.unconfirmedBytes === 0, "everything is confirmed to the dialling side");
    check(near.confirmed > 0, "onConfirmed must be called");
    check(far.messages.length === 1, "what is confirmed has been taken");
    far.open1.send(payloadOf(1, 3_000_000));
    check(far.open1.unconfirmedBytes >= 3_000_000, "what was sent counts at once");
    await session.until(() => far.open1.unconfirmedBytes === 0, "everything is confirmed to the accepting side");
    check(near.messages.length === 1, "what is confirmed has been taken");
  }),

  claim("I3 a received payload keeps its bytes while thousands more arrive", async (session) => {
    await session.connect();
    const number = 3_000;
    for (let i = 0; i < number; i++) {
      session.near.open1.send(payloadOf(i, 200));
      if (i % 500 === 0) await session.parties.settle();
    }
    await session.until(() => session.far.messages.length === number, "all messages arrive");
    for (let i = 0; i < number; i++)
      check(samePayload(session.far.messages[i], payloadOf(i, 200)), `message ${i} was overwritten`);
  }),

  claim("an answer sent from inside onMessage arrives", async (session) => {
    await session.connect();
    session.far.answer = (payload, stream) => stream.send(payload);
    for (let i = 0; i < 50; i++) session.near.open1.send(payloadOf(i, 20));
    await session.until(() => session.near.messages.length === 50, "all answers arrive");
    for (let i = 0; i < 50; i++)
      check(samePayload(session.near.messages[i], payloadOf(i, 20)), `answer ${i} is another`);
  }),

  claim("close by the dialling side: onClose once on both sides, local on one, and nothing afterwards", (session) =>
    closing(session, session.near, session.far),
  ),

  claim("close by the accepting side: onClose once on both sides, local on one, and nothing afterwards", (session) =>
    closing(session, session.far, session.near),
  ),

  claim("closing inside onMessage ends the deliveries at once", async (session) => {
    await session.connect();
    session.far.answer = (_payload, stream) => stream.close();
    for (let i = 0; i < 10; i++) session.near.open1.send(payloadOf(i, 10));
    await session.until(() => session.near.closes.length === 1 && session.far.closes.length === 1, "both sides close");
    await session.quiet();
    check(session.far.messages.length === 1, "no message may be delivered after close");
  }),

  claim("closing the listener closes every stream, frees the address, and ends later dials", async (session) => {
    await session.connect();
    const address = session.listener!.address;
    await session.listener!.close();
    await session.until(() => session.near.closes.length === 1 && session.far.closes.length === 1, "both sides close");
    session.dial(address, helloOf("client", 1), new Side());
    await session.until(() => session.failures.length === 1, "a dial after close fails");
    const again = await session.parties.listeners.listen(address, () => ({ ok: false, code: "Refused", message: "" }));
    check(again.address === address, "the address must be free again");
    await again.close();
    await session.listener!.close();
  }),

  claim("an address that is taken is refused with InUse", async (session) => {
    const listener = await session.listen();
    let code: unknown;
    try {
      await session.parties.listeners.listen(listener.address, () => ({ ok: false, code: "Refused", message: "" }));
    } catch (error) {
      code = error instanceof Error && "code" in error ? error.code : error;
    }
    check(code === "InUse", `the code must be InUse, it is ${String(code)}`);
  }),

  claim("streams between the same two parties are independent", async (session) => {
    await session.connect();
    const second = new Side();
    session.dial(session.listener!.address, helloOf("heartbeat", 1), second);
    await session.until(() => second.stream !== undefined, "the second stream is open");
    check(session.admitted[1]!.purpose === "heartbeat", "the second Hello must be its own");
    second.open1.close();
    await session.until(() => second.closes.length === 1, "the second stream is closed");
    session.near.open1.send(payloadOf(5, 50));
    await session.quiet();
    check(session.near.closes.length === 0 && !session.near.open1.closed, "the first stream must stay open");
  }),
];

async function closing(session: Session, closer: Side, other: Side): Promise<void> {
  await session.connect();
  closer.open1.send(payloadOf(1, 100));
  await session.until(() => other.messages.length === 1, "the message arrives");
  closer.open1.close();
  check(closer.open1.closed, "closed must be true at once");
  const closesWithin = closer.closes.length;
  check(closesWithin === 0, "onClose must not be called inside close");
  closer.open1.send(payloadOf(2, 100));
  closer.open1.close();
  await session.until(() => closer.closes.length === 1 && other.closes.length === 1, "both sides hear of the end");
  other.open1.send(payloadOf(3, 100));
  other.open1.close();
  await session.quiet();
  check(closer.closes.length === 1 && other.closes.length === 1, "onClose must be called exactly once");
  check(
    closer.closes[0]!.local && !other.closes[0]!.local,
    "local must be true on the side that closed, and only there",
  );
  check(closer.closes[0]!.code === undefined && other.closes[0]!.code === undefined, "an ordinary end has no code");
  check(other.open1.closed, "closed must be true on the other side");
  check(other.messages.length === 1 && closer.messages.length === 0, "nothing is delivered after the end");
}
