import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { StreamClosed } from "@flotilla/transport";
import { formatAddress, parseAddress } from "@flotilla/transport/grpc";
import { closedAddress, makeParties } from "./parties.ts";
import { hello } from "./raw-peers.ts";

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

/** A TCP server that is no store. */
async function stranger(answer: (socket: Socket) => void): Promise<string> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    answer(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function failure(
  address: string,
  connectTimeoutMs = 5_000,
): Promise<{ reason: StreamClosed; elapsedMs: number }> {
  const { dialer } = await makeParties({ connectTimeoutMs });
  const began = performance.now();
  return new Promise((resolve, reject) => {
    dialer.dial(address, hello, {
      onOpen() {
        reject(new Error("a stream was opened"));
        return { onMessage() {}, onClose() {} };
      },
      onFailed: (reason) => resolve({ reason, elapsedMs: performance.now() - began }),
    });
  });
}

describe("one dial", () => {
  it("to an address that refuses fails at once, without another attempt", async () => {
    const { reason, elapsedMs } = await failure(await closedAddress());
    expect(reason.code).toBeUndefined();
    expect(reason.message).toMatch(/ECONNREFUSED/);
    expect(elapsedMs).toBeLessThan(1_000);
  });

  it("to somebody who accepts and says nothing fails at the deadline", async () => {
    const { reason, elapsedMs } = await failure(await stranger(() => {}), 150);
    expect(reason.message).toMatch(/no answer from .* within 150 ms/);
    expect(elapsedMs).toBeGreaterThan(100);
    expect(elapsedMs).toBeLessThan(2_000);
  });

  it("to a server of HTTP/1.1 fails", async () => {
    const address = await stranger((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    expect((await failure(address)).reason.code).toBeUndefined();
  });

  it("to noise fails", async () => {
    const address = await stranger((socket) => socket.write(Buffer.alloc(10_000, 0xa5)));
    expect((await failure(address, 500)).reason.code).toBeUndefined();
  });

  it.each([
    "",
    "localhost",
    "localhost:",
    ":7400",
    "localhost:70000",
    "http://localhost:1",
    "a b:1",
    "unix:/tmp/x",
    "::1:7400",
  ])("to %j is InvalidArgument", async (address) => {
    const { reason } = await failure(address);
    expect(reason).toMatchObject({ code: "InvalidArgument", local: true });
  });
});

describe("addresses", () => {
  it.each(["127.0.0.1:7400", "localhost:0", "[::1]:7400", "store-1.example.com:65535"])(
    "%s is read and written alike",
    (address) => {
      const parsed = parseAddress(address)!;
      expect(formatAddress(parsed.host, parsed.port)).toBe(address);
    },
  );

  it("a name that does not exist cannot be listened on", async () => {
    const { listeners } = await makeParties();
    const admit = (): never => {
      throw new Error("nobody can come");
    };
    await expect(listeners.listen("192.0.2.1:7400", admit)).rejects.toMatchObject({
      code: "InvalidArgument",
      message: expect.stringContaining("192.0.2.1:7400"),
    });
    await expect(listeners.listen("nonsense", admit)).rejects.toMatchObject({ code: "InvalidArgument" });
  });
});
