/** `host:port` in settings and arguments. IPv6 hosts stand in brackets. */
import { Failure } from "@flotilla/base";

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export function parseAddress(name: string, text: string): HostAndPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text);
  const port = match === null ? Number.NaN : Number(match[3]);
  if (match === null || port > 65535) {
    throw new Failure("InvalidArgument", `${name} must be host:port, got "${text}"`, {
      hint: "for example 127.0.0.1:7400",
    });
  }
  return { host: match[1] ?? match[2]!, port };
}

export function formatAddress({ host, port }: HostAndPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Every address of the machine: to listen on, not to be found under. */
export function isUnspecified(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
