/**
 * Every TCP socket of this thread, so that the thread can end without one. A thread that is ended from outside while HTTP/2
 * reads from a socket takes the whole process with it: JavaScript does not run any more, so a new stream gets no reader,
 * and the data behind its headers meets an assertion in Node (`onread->IsFunction()`, seen on Node 20). So whoever ends
 * a store's thread asks it to end itself, from a clean stack and with all its sockets closed.
 */
import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

/** A socket that does not close by itself is left behind after this. */
const closeMsMax = 1000;

export class ThreadSockets {
  readonly #open: Set<Socket> = new Set();
  #ending = false;
  #empty: (() => void) | undefined;
  #ended: Promise<void> | undefined;

  /** Made before the thread's first socket. */
  constructor() {
    const note = (message: unknown): void => this.#note((message as { readonly socket: Socket }).socket);
    subscribe("net.client.socket", note);
    subscribe("net.server.socket", note);
  }

  #note(socket: Socket): void {
    if (this.#ending) {
      // Behind whoever made it: it is not set up yet.
      setImmediate(() => socket.destroy());
      return;
    }
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      if (this.#open.size === 0) this.#empty?.();
    });
  }

  /** Cuts all of them in this very call, and every later one; nothing more is sent. Resolves when they are closed. */
  end(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #end(): Promise<void> {
    this.#ending = true;
    for (const socket of this.#open) socket.destroy();
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        this.#empty = resolve;
        setTimeout(resolve, closeMsMax);
      });
    }
    // What was about to be set up when the end came is cut now.
    await new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  }
}
