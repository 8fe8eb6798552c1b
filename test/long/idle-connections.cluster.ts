/** Ten thousand connections that say nothing, and thousands of clients that ask nothing. */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { Fleet, closeAllFleets } from "../cluster/fleet.ts";
import { until } from "../cluster/harness.ts";
import { RawCall, openSocket } from "../cluster/raw-client.ts";

afterEach(closeAllFleets);

const mebibyte = 1024 * 1024;

function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))![1]) * 1024;
}

test("H7 10 000 silent connections are dropped in time, and a client that is there is served all the while", async () => {
  const fleet = await Fleet.start(1);
  const client = fleet.client();
  await client.put("k", "v");
  const before = residentBytes(fleet.process(1).pid);
  const sockets: Socket[] = [];
  let closed = 0;
  for (let i = 0; i < 10_000; i++) {
    const socket = openSocket(fleet.addresses[0]!);
    socket.on("close", () => closed++);
    socket.resume();
    sockets.push(socket);
    if (i % 100 === 99) {
      const startMs = performance.now();
      await client.put("k", `v${i}`);
      expect(performance.now() - startMs).toBeLessThan(2000);
    }
  }
  await until("the node has dropped them all", () => closed === sockets.length);
  expect(await fleet.run(["get", "k", "--endpoints", fleet.addresses[0]!])).toMatchObject({
    exitCode: 0,
    out: "v9999",
  });
  const grownMiB = (residentBytes(fleet.process(1).pid) - before) / mebibyte;
  console.log(`10 000 silent connections: ${Math.round(grownMiB)} MiB more`);
  expect(grownMiB).toBeLessThan(300);
});

test("H9 3 000 idle clients cost bounded memory, and one that works does not wait for them", async () => {
  const fleet = await Fleet.start(1);
  const client = fleet.client();
  await client.put("k", "v");
  const before = residentBytes(fleet.process(1).pid);
  const idle: RawCall[] = [];
  for (let i = 0; i < 3000; i++) {
    const call = new RawCall(fleet.addresses[0]!, true);
    call.sayHello();
    idle.push(call);
    if (i % 50 === 49) await client.put("k", `v${i}`);
  }
  const streams = async (): Promise<number> => {
    const text = await (await fetch(`http://${fleet.httpAddresses[0]}/metrics`)).text();
    return Number(/^flotilla_client_streams (\d+)$/m.exec(text)![1]);
  };
  await until("they are clients", async () => (await streams()) > 3000);
  const startMs = performance.now();
  for (let i = 0; i < 100; i++) await client.put("k", `w${i}`);
  const perPutMs = (performance.now() - startMs) / 100;
  const grownMiB = (residentBytes(fleet.process(1).pid) - before) / mebibyte;
  console.log(`3 000 idle clients: ${Math.round(grownMiB)} MiB more, a put takes ${perPutMs.toFixed(1)} ms`);
  expect(grownMiB).toBeLessThan(600);
  expect(perPutMs).toBeLessThan(100);
  for (const call of idle) call.destroy();
  await until("they are gone", async () => (await streams()) <= 1);
});
