import { createServer } from "node:net";
import { Failure } from "@flotilla/base";

const lowest = 20_000;
const highest = 60_000;
const attemptsMax = 50;

/**
 * A port P such that P + offset is free for each offset, on 127.0.0.1. Nothing keeps it free until it is used: whoever
 * then finds it taken asks again.
 */
export async function findFreePorts(offsets: readonly number[]): Promise<number> {
  const span = Math.max(...offsets) + 1;
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const base = lowest + Math.floor(Math.random() * (highest - lowest - span));
    const free = await Promise.all(offsets.map((offset) => isFree(base + offset)));
    if (free.every(Boolean)) return base;
  }
  throw new Failure("InUse", `no free ports were found in ${attemptsMax} attempts`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
