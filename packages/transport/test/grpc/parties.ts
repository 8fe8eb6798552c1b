import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { nodeByteOperations } from "@flotilla/platform";
import type { LinkConformanceParties } from "@flotilla/transport/conformance";
import { GrpcDialer, GrpcListenerFactory } from "@flotilla/transport/grpc";
import type { GrpcSettings } from "@flotilla/transport/grpc";
import type { Logger } from "@flotilla/base";

/** Keeps what was logged, so that a test can say that a line was written. */
export class KeptLog implements Logger {
  readonly lines: string[] = [];
  #keep(level: string, fields: object, message: string): void {
    this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`);
  }
  debug(fields: object, message: string): void {
    this.#keep("debug", fields, message);
  }
  info(fields: object, message: string): void {
    this.#keep("info", fields, message);
  }
  warn(fields: object, message: string): void {
    this.#keep("warn", fields, message);
  }
  error(fields: object, message: string): void {
    this.#keep("error", fields, message);
  }
}

/** A port of the loopback that nobody listens on: bound once, and given back. */
export async function closedAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return `127.0.0.1:${port}`;
}

export const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

export interface GrpcParties extends LinkConformanceParties {
  readonly dialer: GrpcDialer;
  readonly listeners: GrpcListenerFactory;
  readonly log: KeptLog;
}

export async function makeParties(settings: Partial<GrpcSettings> = {}): Promise<GrpcParties> {
  const log = new KeptLog();
  const dependencies = { bytes: nodeByteOperations, logger: log };
  return {
    dialer: new GrpcDialer(settings, dependencies),
    listeners: new GrpcListenerFactory(settings, dependencies),
    log,
    address: "127.0.0.1:0",
    closedAddress: await closedAddress(),
    settle,
    async close() {},
  };
}
