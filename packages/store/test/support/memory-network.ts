/** Streams in memory between named hosts of a virtual world. They keep order and lose nothing until they break. */
import type {
  Dialer,
  Hello,
  ListenerFactory,
  Purpose,
  Stream,
  StreamClosed,
  StreamHandlers,
} from "@flotilla/transport";
import type { VirtualProcess } from "./virtual-world.ts";

const delayMs = 0.3;
const dialFailsMs = 5;

type Listen = Parameters<ListenerFactory["listen"]>[1];

interface BoundListener {
  readonly host: string;
  readonly process: VirtualProcess;
  readonly life: number;
  readonly admit: Listen;
}

/** What becomes of a payload: another one, itself, or nothing. */
export type Intercept = (from: string, to: string, purpose: Purpose, payload: Uint8Array) => Uint8Array | undefined;

export class MemoryNetwork {
  intercept: Intercept | undefined = undefined;
  readonly streams: Set<MemoryStream> = new Set();
  readonly #listeners: Map<string, BoundListener> = new Map();
  readonly #cut: Set<string> = new Set();

  endpoint(host: string, process: VirtualProcess): Dialer & ListenerFactory {
    return {
      dial: (address, hello, callbacks) => this.#dial(host, process, address, hello, callbacks),
      listen: async (address, admit) => {
        this.#listeners.set(address, { host, process, life: process.life, admit });
        return {
          address,
          close: async () => {
            this.#listeners.delete(address);
            for (const stream of [...this.streams]) if (stream.host === host && stream.accepted) stream.close();
          },
        };
      },
    };
  }

  /** Both directions, streams included. */
  cut(a: string, b: string): void {
    this.#cut.add(`${a} ${b}`);
    this.#cut.add(`${b} ${a}`);
    this.breakStreams(a, b);
  }

  heal(): void {
    this.#cut.clear();
    this.intercept = undefined;
  }

  /** Both ends hear that the connection broke. */
  breakStreams(a: string, b: string, purpose?: Purpose): void {
    for (const stream of [...this.streams]) {
      if (stream.host !== a || stream.peer.host !== b || (purpose !== undefined && stream.purpose !== purpose))
        continue;
      stream.end(broken);
      stream.peer.end(broken);
    }
  }

  processEnded(host: string): void {
    for (const [address, listener] of this.#listeners) if (listener.host === host) this.#listeners.delete(address);
    for (const stream of [...this.streams]) {
      if (stream.host !== host) continue;
      stream.end(broken);
      stream.peer.end(broken);
    }
  }

  #dial(
    host: string,
    process: VirtualProcess,
    address: string,
    hello: Hello,
    callbacks: Parameters<Dialer["dial"]>[2],
  ): { cancel(): void } {
    const state = { settled: false };
    const fail = (code: StreamClosed["code"], message: string): void => {
      process.deliver(dialFailsMs, () => {
        if (state.settled) return;
        state.settled = true;
        callbacks.onFailed({ code, message, local: false });
      });
    };
    const listener = this.#listeners.get(address);
    if (
      listener === undefined ||
      listener.life !== listener.process.life ||
      this.#cut.has(`${host} ${listener.host}`)
    ) {
      fail(undefined, `nobody answers at ${address}`);
    } else {
      listener.process.deliver(delayMs, () => {
        const admission = listener.admit(hello, host);
        if (!admission.ok) return fail(admission.code, admission.message);
        const accepted = new MemoryStream(this, listener.process, listener.host, hello, hello.purpose, true);
        const dialled = new MemoryStream(this, process, host, admission.hello, hello.purpose, false);
        accepted.peer = dialled;
        dialled.peer = accepted;
        accepted.open(admission.accept(accepted));
        process.deliver(delayMs, () => {
          if (state.settled) return;
          state.settled = true;
          if (accepted.closed) callbacks.onFailed(broken);
          else dialled.open(callbacks.onOpen(dialled));
        });
      });
    }
    return {
      cancel: () => {
        if (state.settled) return;
        state.settled = true;
        process.deliver(0, () => callbacks.onFailed({ code: undefined, message: "cancelled", local: true }));
      },
    };
  }

  deliverable(from: MemoryStream, payload: Uint8Array): Uint8Array | undefined {
    const { intercept } = this;
    return intercept === undefined ? payload : intercept(from.host, from.peer.host, from.purpose, payload);
  }
}

const broken: StreamClosed = { code: undefined, message: "the connection broke", local: false };

export class MemoryStream implements Stream {
  readonly hello: Hello;
  readonly remoteAddress = "memory";
  readonly process: VirtualProcess;
  readonly host: string;
  readonly purpose: Purpose;
  /** This is the listener's end. */
  readonly accepted: boolean;
  peer!: MemoryStream;
  /** False: this end takes nothing, what is sent to it stays unconfirmed. */
  reading = true;
  unconfirmedBytes = 0;
  closed = false;
  #handlers: StreamHandlers | undefined = undefined;
  #arrived: Uint8Array[] = [];
  readonly #network: MemoryNetwork;

  constructor(
    network: MemoryNetwork,
    process: VirtualProcess,
    host: string,
    hello: Hello,
    purpose: Purpose,
    accepted: boolean,
  ) {
    this.#network = network;
    this.process = process;
    this.host = host;
    this.hello = hello;
    this.purpose = purpose;
    this.accepted = accepted;
    network.streams.add(this);
  }

  open(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    this.process.deliver(0, () => this.#take());
  }

  send(payload: Uint8Array): void {
    if (this.closed) return;
    this.unconfirmedBytes += payload.length;
    this.peer.process.deliver(delayMs, () => {
      if (this.peer.closed) return;
      this.peer.#arrived.push(payload);
      this.peer.#take();
    });
  }

  /** Reading again. */
  resume(): void {
    this.reading = true;
    this.process.deliver(0, () => this.#take());
  }

  #take(): void {
    while (!this.closed && this.reading && this.#handlers !== undefined && this.#arrived.length > 0) {
      const payload = this.#arrived.shift()!;
      const delivered = this.#network.deliverable(this.peer, payload);
      if (delivered !== undefined) this.#handlers.onMessage(delivered.slice());
      this.peer.process.deliver(delayMs, () => {
        this.peer.unconfirmedBytes -= payload.length;
        if (!this.peer.closed) this.peer.#handlers?.onConfirmed?.();
      });
    }
  }

  close(): void {
    if (this.closed) return;
    this.end({ code: undefined, message: "closed by this side", local: true });
    this.peer.process.deliver(delayMs, () =>
      this.peer.end({ code: undefined, message: "closed by the other side", local: false }),
    );
  }

  end(reason: StreamClosed): void {
    if (this.closed) return;
    this.closed = true;
    this.#network.streams.delete(this);
    this.process.deliver(0, () => this.#handlers?.onClose(reason));
  }
}
