import { createServer } from "node:net";
import { Failure } from "@flotilla/base";
import { parseAddress } from "@flotilla/server/settings";

/** Rejects with `InUse`, which names the first address that cannot be listened on. */
export async function requireFreePorts(addresses: readonly string[]): Promise<void> {
  for (const address of addresses) {
    const error = await tryListen(address);
    if (error === undefined) continue;
    const { port } = parseAddress("address", address);
    const what =
      error.code === "EADDRINUSE" ? `port ${port} is in use` : `cannot listen on ${address}: ${error.message}`;
    throw new Failure("InUse", what, {
      hint: "stop what uses it, or choose other ports with --port",
      details: { address },
      cause: error,
    });
  }
}

function tryListen(address: string): Promise<NodeJS.ErrnoException | undefined> {
  const { host, port } = parseAddress("address", address);
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)));
  });
}
