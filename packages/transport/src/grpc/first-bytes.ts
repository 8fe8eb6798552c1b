/**
 * Looks at the first bytes of a new connection before HTTP/2 gets it, so that somebody who points a browser or `curl` at
 * the port is told what it is, and other noise is dropped without a session.
 */
import type { Socket } from "node:net";

/** How an HTTP/2 connection begins (RFC 9113 §3.4: `PRI * HTTP/2.0`); no other HTTP method begins so. */
const preface = "PRI * HTTP/2.0";
const methods = /^(?:GET|HEAD|POST|PUT|DELETE|OPTIONS|TRACE|PATCH|CONNECT) /;
/** Enough for the longest of both. */
const bytesNeeded = preface.length;

const answerBody =
  "This is a Flotilla store: its clients and peers speak gRPC over HTTP/2 here. HTTP is served on another port.\n";
const answer =
  "HTTP/1.1 426 Upgrade Required\r\nConnection: close\r\nUpgrade: h2c\r\nContent-Type: text/plain\r\n" +
  `Content-Length: ${answerBody.length}\r\n\r\n${answerBody}`;

/** Calls `accept` when HTTP/2 begins, with nothing of it lost; else ends the socket and calls `reject`. */
export function readFirstBytes(
  socket: Socket,
  timeoutMs: number,
  accept: () => void,
  reject: (what: string) => void,
): void {
  let held: Buffer | undefined;
  const timer = setTimeout(() => drop(`nothing came within ${timeoutMs} ms`), timeoutMs);
  timer.unref();

  const stop = (): void => {
    clearTimeout(timer);
    socket.off("readable", look);
    socket.off("close", stop);
  };
  const drop = (what: string): void => {
    stop();
    socket.destroy();
    reject(what);
  };
  function look(): void {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    held = held === undefined ? chunk : Buffer.concat([held, chunk]);
    const beginning = held.toString("latin1", 0, bytesNeeded);
    if (beginning === preface) {
      stop();
      socket.unshift(held);
      accept();
    } else if (methods.test(beginning)) {
      stop();
      socket.end(answer);
      // What else it says is thrown away, and it does not keep the port busy.
      socket.resume();
      setTimeout(() => socket.destroy(), 1_000).unref();
      reject("an HTTP/1 request");
    } else if (held.length >= bytesNeeded || !mayStillBegin(beginning)) {
      drop("bytes that are no HTTP/2");
    }
    // Else a beginning in pieces: the rest has until the timer.
  }
  socket.on("readable", look);
  socket.once("close", stop);
}

const mayStillBegin = (beginning: string): boolean => preface.startsWith(beginning) || /^[A-Z]{1,7}$/.test(beginning);
