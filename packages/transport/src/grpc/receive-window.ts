/**
 * A gRPC server's receive window. grpc-js 1.14 lets only the client choose it (`grpc-node.flow_control_window`); a server
 * always has 65 535 bytes a stream and a connection, and whoever uploads waits for its event loop every 64 KiB. Values of
 * 1 MiB to a server that is busy for 2 ms (5 ms) a turn came at 17 (6) MB/s, with 128 KiB at 100 (107) MB/s. So two private
 * fields of grpc-js's `Server` are used where they exist as they were read in 1.14.7; where not, nothing happens but that
 * uploads are slower. `test/grpc/receive-window.test.ts` fails when that becomes so.
 *
 * Why not more than 128 KiB: Node's HTTP/2 reads nothing from a socket while a write to it is in progress. When both ends
 * may write more than the kernel buffers, both can wait for the other to read, for ever. 16 MiB both ways at once stand
 * still with windows of 8 MiB on both sides. Only one side may be wide; that is the dialling one.
 */
import type { Server } from "@grpc/grpc-js";
import type { Http2Server, ServerHttp2Session } from "node:http2";

interface ServerInternals {
  commonServerOptions?: { settings?: { initialWindowSize?: number } };
  http2Servers?: Map<Http2Server, unknown>;
}

/** To be called before the server makes its HTTP/2 servers. False: the window stays as it is. */
export function widenStreamWindow(server: Server, bytes: number): boolean {
  const { commonServerOptions } = server as unknown as ServerInternals;
  if (typeof commonServerOptions !== "object" || commonServerOptions === null) return false;
  commonServerOptions.settings = { ...commonServerOptions.settings, initialWindowSize: bytes };
  return true;
}

/** To be called after the server made its HTTP/2 servers. False: the window stays as it is. */
export function widenConnectionWindow(server: Server, bytes: number): boolean {
  const { http2Servers } = server as unknown as ServerInternals;
  if (!(http2Servers instanceof Map) || http2Servers.size === 0) return false;
  for (const http2Server of http2Servers.keys()) {
    if (typeof http2Server?.on !== "function") return false;
    http2Server.on("session", (session: ServerHttp2Session) => session.setLocalWindowSize(bytes));
  }
  return true;
}
