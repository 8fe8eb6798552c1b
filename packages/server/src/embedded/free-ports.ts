/**
 * Ports on 127.0.0.1 that a cluster keeps while it lives, also while one of its nodes is stopped. They are drawn below the
 * ephemeral range of Linux and macOS: no outgoing connection gets them by accident, not even one to the very port that
 * its node does not listen on at the moment.
 */
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { Failure } from "@flotilla/base";

const lowest = 20_000;
const limit = 32_768;
const attemptsMax = 1000;

/** Given out in this thread and not yet given back. */
const taken = new Set<number>();

/** Free at this moment; another process may still take one before it is listened on. */
export async function takeFreePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let attempt = 0; attempt < attemptsMax && ports.length < count; attempt++) {
    const port = randomInt(lowest, limit);
    if (taken.has(port)) continue;
    taken.add(port);
    if (await isFree(port)) ports.push(port);
    else taken.delete(port);
  }
  if (ports.length === count) return ports;
  giveBackPorts(ports);
  throw new Failure(
    "InUse",
    `found ${ports.length} free ports from ${lowest} to ${limit - 1} in ${attemptsMax} attempts, ${count} are needed`,
    {
      hint: "stop what listens on so many ports",
    },
  );
}

export function giveBackPorts(ports: readonly number[]): void {
  for (const port of ports) taken.delete(port);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
