import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { BinaryReader, MalformedError } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { GrpcSettings } from "@flotilla/transport/grpc";
import { frameKind, nextFrame, readRefusal } from "../../src/grpc/frames.ts";
import type { Refusal } from "../../src/grpc/frames.ts";
import { dialUnderTest, listenUnderTest, until } from "./link-under-test.ts";
import type { ListenerUnderTest } from "./link-under-test.ts";
import { DeafPeer, frame, helloBytes, payloadFrame, rawBytes, rawCall } from "./raw-peers.ts";

let running: ListenerUnderTest | undefined;

async function start(
  settings: Partial<GrpcSettings> = {},
  onMessage?: Parameters<typeof listenUnderTest>[1],
): Promise<ListenerUnderTest> {
  running = await listenUnderTest({ lingerMs: 200, ...settings }, onMessage);
  return running;
}

afterEach(async () => {
  await running?.listener.close();
  running = undefined;
});

/** Noise that is the same in every run. */
function noise(seed: number, length: number): Buffer {
  const pieces: Buffer[] = [];
  for (let i = 0; i * 32 < length; i++) pieces.push(createHash("sha256").update(`${seed}.${i}`).digest());
  return Buffer.concat(pieces).subarray(0, length);
}

function refusalIn(message: Buffer | undefined): Refusal {
  expect(message).toBeDefined();
  const found = nextFrame(new BinaryReader(message!));
  expect(found.kind).toBe(frameKind.refusal);
  return readRefusal(message!, found, nodeByteOperations);
}

/** Another stream of the same listener still works. */
async function stillServes(test: ListenerUnderTest): Promise<void> {
  const before = test.accepted.length;
  const { stream } = await dialUnderTest(test);
  stream.send(Uint8Array.of(1, 2, 3));
  await until(() => (test.accepted[before]?.messages.length ?? 0) === 1);
  stream.close();
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const emptySettings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);

describe("H7 noise on the port", () => {
  it("random bytes close their connection and nothing else", async () => {
    const test = await start();
    await Promise.all([1, 2, 3, 4].map((seed) => rawBytes(test.listener.address, [noise(seed, 300 * seed)])));
    await stillServes(test);
  });

  it("random bytes behind the HTTP/2 preface close their connection and nothing else", async () => {
    const test = await start({ helloTimeoutMs: 150 });
    await Promise.all(
      [1, 2, 3, 4].map((seed) => rawBytes(test.listener.address, [preface, emptySettings, noise(seed, 5_000)])),
    );
    await stillServes(test);
  });

  it("a preface in pieces is HTTP/2 all the same", async () => {
    const test = await start({ helloTimeoutMs: 150 });
    const answer = await rawBytes(test.listener.address, ["PRI", " * HTTP/2.0\r\n\r\nSM\r\n\r\n", emptySettings]);
    // Its SETTINGS frame: type 4 in the fourth byte.
    expect(answer[3]).toBe(4);
  });

  it("an HTTP/2 connection that stops in the middle of a frame is closed in time", async () => {
    const test = await start({ helloTimeoutMs: 150 });
    await rawBytes(test.listener.address, [preface, emptySettings, Uint8Array.of(0, 0x40, 0, 1)]);
    await stillServes(test);
  });

  it("a connection that says nothing is closed in time", async () => {
    const test = await start({ helloTimeoutMs: 100 });
    expect(await rawBytes(test.listener.address, [])).toHaveLength(0);
    expect(await rawBytes(test.listener.address, ["PRI * HT"])).toHaveLength(0);
  });

  it("an HTTP/1.1 request is told what this port is", async () => {
    const test = await start();
    const answer = await rawBytes(test.listener.address, ["GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"]);
    expect(answer.toString()).toMatch(/^HTTP\/1\.1 426 /);
    expect(answer.toString()).toMatch(/This is a Flotilla store/);
  });
});

describe("H7 malformed frames", () => {
  it("a stream without a Hello is closed in time, with a log line", async () => {
    const test = await start({ helloTimeoutMs: 100 });
    const { received } = await rawCall(test.listener.address, []);
    expect(received).toEqual([]);
    expect(test.parties.log.lines.some((line) => line.includes("no Hello within 100 ms"))).toBe(true);
    expect(test.admitted).toEqual([]);
  });

  it.each([
    ["noise", noise(5, 200)],
    ["nothing", Buffer.alloc(0)],
    ["a payload", payloadFrame(Uint8Array.of(1))],
    ["a Hello that announces more than is there", Buffer.from([1, 0, 0, 1, 0, 1])],
    ["a Hello of 2 MiB", frame(frameKind.hello, new Uint8Array(2 * 1024 * 1024))],
  ])("instead of a Hello %s is refused, and admits nobody", async (_name, message) => {
    const test = await start();
    const { received } = await rawCall(test.listener.address, [message]);
    expect(refusalIn(received[0])).toMatchObject({ code: expect.stringMatching(/InvalidArgument|ProtocolMismatch/) });
    expect(test.admitted).toEqual([]);
    await stillServes(test);
  });

  it("a Hello of a later format is refused as ProtocolMismatch", async () => {
    const test = await start();
    const later = helloBytes();
    later[5] = 2;
    const { received } = await rawCall(test.listener.address, [later]);
    expect(refusalIn(received[0])).toMatchObject({
      code: "ProtocolMismatch",
      message: expect.stringContaining("format 2"),
    });
  });

  it.each([
    ["of an unknown kind", frame(9, Uint8Array.of(1))],
    ["that is a second Hello", helloBytes()],
    ["cut off", payloadFrame(noise(6, 100)).subarray(0, 50)],
    ["with a confirmation of more than was sent", frame(frameKind.confirmation, Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 0))],
    ["with a confirmation that is too short", frame(frameKind.confirmation, Uint8Array.of(0))],
  ])("a frame %s closes its stream with a log line, and no other", async (_name, message) => {
    const test = await start();
    const { stream } = await dialUnderTest(test);
    await rawCall(test.listener.address, [helloBytes(), message]);
    await until(() => test.accepted[1]?.closes.length === 1);
    expect(test.parties.log.lines.filter((line) => line.includes("malformed message"))).toHaveLength(1);
    expect(stream.closed).toBe(false);
    expect(test.accepted[0]!.closes).toEqual([]);
  });

  it("a payload whose handler throws MalformedError closes its stream with a log line, and no other", async () => {
    const test = await start({}, (payload) => {
      if (payload[0] === 0xff) throw new MalformedError("unknown message type 255");
    });
    const good = await dialUnderTest(test);
    const bad = await dialUnderTest(test);
    bad.stream.send(Uint8Array.of(0xff));
    await until(() => bad.closes.length === 1);
    expect(test.parties.log.lines.some((line) => line.includes("unknown message type 255"))).toBe(true);
    expect(test.accepted[1]!.closes).toHaveLength(1);
    good.stream.send(Uint8Array.of(1));
    await until(() => test.accepted[0]!.messages.length === 1);
  });

  it("a gRPC message above the limit closes its stream, and no other", async () => {
    const test = await start();
    const { stream } = await dialUnderTest(test);
    const { status } = await rawCall(test.listener.address, [
      helloBytes(),
      payloadFrame(Buffer.alloc(20 * 1024 * 1024 + 100)),
    ]);
    // RESOURCE_EXHAUSTED, or UNAVAILABLE when the connection was cut while the rest was under way.
    expect([8, 14]).toContain(status);
    await until(() => test.accepted[1]?.closes.length === 1);
    expect(test.accepted[1]!.messages).toEqual([]);
    expect(stream.closed).toBe(false);
  });

  it("a payload above the limit is not sent: its stream closes and says so", async () => {
    const test = await start();
    const { stream, closes } = await dialUnderTest(test);
    stream.send(new Uint8Array(20 * 1024 * 1024 + 1));
    await until(() => closes.length === 1);
    expect(closes[0]).toMatchObject({ local: true, message: expect.stringContaining("20971521 bytes") });
  });
});

describe("limits of the listener", () => {
  it("connections above the limit are closed at once, and the others stay", async () => {
    const test = await start({ connectionsMax: 2 });
    const first = await dialUnderTest(test);
    await dialUnderTest(test);
    await expect(dialUnderTest(test)).rejects.toThrow();
    expect(first.stream.closed).toBe(false);
    first.stream.close();
    await until(() => test.accepted[0]!.closes.length === 1);
  });

  it("closes in bounded time while a peer reads nothing", async () => {
    const test = await start({ lingerMs: 150 });
    const deaf = new DeafPeer(test.listener.address);
    await until(() => test.accepted.length === 1);
    for (let i = 0; i < 30; i++) test.accepted[0]!.stream.send(new Uint8Array(1024 * 1024));
    const began = performance.now();
    await test.listener.close();
    expect(performance.now() - began).toBeLessThan(1_500);
    await deaf.closed;
    expect(test.accepted[0]!.closes).toEqual([{ code: undefined, message: "closed by this side", local: true }]);
  });
});
