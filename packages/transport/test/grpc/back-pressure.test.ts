import { afterEach, expect, it } from "vitest";
import { dialUnderTest, listenUnderTest, until } from "./link-under-test.ts";
import type { ListenerUnderTest } from "./link-under-test.ts";
import { DeafPeer } from "./raw-peers.ts";
import { settle } from "./parties.ts";

const mebibyte = 1024 * 1024;
let test: ListenerUnderTest | undefined;

afterEach(async () => {
  await test?.listener.close();
  test = undefined;
});

it("H9 with a peer that reads nothing, unconfirmedBytes counts all that was sent, and gRPC holds a bounded part of it", async () => {
  test = await listenUnderTest({ lingerMs: 100 });
  const deaf = new DeafPeer(test.listener.address);
  await until(() => test!.accepted.length === 1);
  const { stream } = test.accepted[0]!;
  const payload = new Uint8Array(mebibyte);
  const before = process.memoryUsage().arrayBuffers;
  const number = 300;
  for (let i = 0; i < number; i++) {
    stream.send(payload);
    if (i % 50 === 0) await settle();
  }
  for (let i = 0; i < 20; i++) await settle();
  expect(stream.unconfirmedBytes).toBe(number * (mebibyte + 5));
  // 8 MiB in flight, once in our frame and once in gRPC's; the payload itself is one buffer sent many times.
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(40 * mebibyte);
  deaf.destroy();
  await until(() => test!.accepted[0]!.closes.length === 1);
});

it("confirmations let a sender go on past what may be in flight", async () => {
  test = await listenUnderTest({ inFlightBytesMax: 64 * 1024, confirmBytes: 16 * 1024 });
  const { stream } = await dialUnderTest(test);
  for (let i = 0; i < 100; i++) stream.send(new Uint8Array(50_000).fill(i));
  await until(() => test!.accepted[0]!.messages.length === 100);
  expect(test.accepted[0]!.messages.map((message) => message[49_999])).toEqual(
    Array.from({ length: 100 }, (_, i) => i),
  );
  await until(() => stream.unconfirmedBytes === 0);
});

it("a stream that has only received falls silent after one confirmation", async () => {
  test = await listenUnderTest({ confirmMs: 5 });
  const { stream } = await dialUnderTest(test);
  const falls: number[] = [];
  stream.send(new Uint8Array(100));
  await until(() => {
    if (falls.at(-1) !== stream.unconfirmedBytes) falls.push(stream.unconfirmedBytes);
    return stream.unconfirmedBytes === 0;
  });
  expect(falls).toEqual([105, 0]);
});

it("bulk both ways at once through windows that the kernel cannot hold passes, or is cut by keepalive: it never stands still", async () => {
  // Node's HTTP/2 does not read while a write is in progress, so both ends may wait for each other (see receive-window.ts).
  test = await listenUnderTest({
    acceptedWindowBytes: 32 * mebibyte,
    dialledWindowBytes: 32 * mebibyte,
    inFlightBytesMax: 64 * mebibyte,
    keepaliveMs: 200,
    keepaliveTimeoutMs: 200,
    lingerMs: 100,
  });
  const near = await dialUnderTest(test);
  const far = test.accepted[0]!;
  for (let i = 0; i < 24; i++) {
    near.stream.send(new Uint8Array(mebibyte));
    far.stream.send(new Uint8Array(mebibyte));
  }
  const passed = (): boolean => near.messages.length === 24 && far.messages.length === 24;
  await until(() => passed() || (near.closes.length === 1 && far.closes.length === 1));
});
