/** The node's HTTP: metrics and health for scrapers and orchestrators. It reads, and changes nothing. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Failure } from "@flotilla/base";
import { formatAddress, parseAddress } from "../settings/address.ts";

export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** By path. A handler that throws answers 503 with the error's message. */
export type HttpRoutes = Readonly<Record<string, () => Promise<HttpAnswer>>>;

const requestMsMax = 10_000;
const connectionsMax = 256;

export const jsonAnswer = (status: number, content: unknown): HttpAnswer => ({
  status,
  contentType: "application/json",
  body: JSON.stringify(content) + "\n",
});

export class HttpEndpoint {
  readonly address: string;
  readonly #server: Server;

  private constructor(server: Server, address: string) {
    this.#server = server;
    this.address = address;
  }

  /** Rejects with `InUse` when the port is taken, `InvalidArgument` when the address cannot be used. */
  static async listen(address: string, routes: HttpRoutes): Promise<HttpEndpoint> {
    const server = createServer({ requestTimeout: requestMsMax, headersTimeout: requestMsMax }, (request, response) => {
      void answer(request, response, routes);
    });
    server.maxConnections = connectionsMax;
    const { host, port } = parseAddress("httpAddress", address);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenFailure("httpAddress", address, error)));
      server.listen({ host, port }, resolve);
    });
    const bound = server.address() as AddressInfo;
    return new HttpEndpoint(server, formatAddress({ host, port: bound.port }));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#server.closeAllConnections();
    await closed;
  }
}

export function listenFailure(setting: string, address: string, error: NodeJS.ErrnoException): Failure {
  if (error.code === "EADDRINUSE") {
    return new Failure("InUse", `${setting}: ${address} is in use by another process`, {
      hint: "stop that process, or choose another port",
      cause: error,
    });
  }
  return new Failure("InvalidArgument", `${setting}: cannot listen on ${address}: ${error.message}`, { cause: error });
}

async function answer(request: IncomingMessage, response: ServerResponse, routes: HttpRoutes): Promise<void> {
  request.resume();
  response.on("error", () => {});
  const path = (request.url ?? "/").split("?", 1)[0]!;
  const handler = Object.hasOwn(routes, path) ? routes[path] : undefined;
  let result: HttpAnswer;
  if (handler === undefined)
    result = jsonAnswer(404, { error: `no such path; there is ${Object.keys(routes).join(", ")}` });
  else if (request.method !== "GET" && request.method !== "HEAD") result = jsonAnswer(405, { error: "only GET" });
  else {
    try {
      result = await handler();
    } catch (error) {
      result = jsonAnswer(503, { error: error instanceof Error ? error.message : String(error) });
    }
  }
  response.writeHead(result.status, {
    "content-type": result.contentType,
    "content-length": Buffer.byteLength(result.body),
  });
  response.end(request.method === "HEAD" ? undefined : result.body);
}
