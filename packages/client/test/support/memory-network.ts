/** Streams inside one process on a `ManualWorld`: in order, with a delay, and with the faults a test asks for. */
import type { Admission, Dialer, Hello, Stream, StreamClosed, StreamHandlers } from "@flotilla/transport";
import type { ManualWorld } from "./manual-world.ts";

export interface MemoryListener {
  admit(hello: Hello): Admission;
}

class End implements Stream {
  readonly remoteAddress: string;
  readonly hello: Hello;
  unconfirmedBytes = 0;
  /** When all that was sent has left (only with a bandwidth). */
  #freeAtMs = 0;
  closed = false;
  handlers: StreamHandlers | undefined;
  other!: End;
  readonly #world: ManualWorld;
  readonly #network: MemoryNetwork;

  constructor(world: ManualWorld, network: MemoryNetwork, hello: Hello, remoteAddress: string) {
    this.#world = world;
    this.#network = network;
    this.hello = hello;
    this.remoteAddress = remoteAddress;
  }

  send(payload: Uint8Array): void {
    if (this.closed) return;
    const { other } = this;
    const { bytesPerMs, delayMs } = this.#network;
    const nowMs = this.#world.nowMs;
    this.#freeAtMs = Math.max(nowMs, this.#freeAtMs) + payload.length / bytesPerMs;
    if (bytesPerMs !== Infinity) this.unconfirmedBytes += payload.length;
    this.#world.after(delayMs + this.#freeAtMs - nowMs, () => {
      if (other.closed) return;
      other.handlers?.onMessage(payload);
      if (this.unconfirmedBytes === 0 || this.closed) return;
      this.unconfirmedBytes -= payload.length;
      this.handlers?.onConfirmed?.();
    });
  }

  close(): void {
    this.end({ code: undefined, message: "closed here", local: true });
    this.other.end({ code: undefined, message: "the connection broke", local: false });
  }

  end(reason: StreamClosed): void {
    if (this.closed) return;
    this.closed = true;
    this.#world.after(0, () => this.handlers?.onClose(reason));
  }
}

export class MemoryNetwork implements Dialer {
  delayMs = 1;
  /** Of each direction of each stream. */
  bytesPerMs = Infinity;
  /** Addresses that refuse connections. */
  readonly down: Set<string> = new Set();
  /** Addresses that take connections and never answer. */
  readonly hanging: Set<string> = new Set();
  readonly listeners: Map<string, MemoryListener> = new Map();
  readonly dials: string[] = [];
  readonly #world: ManualWorld;
  readonly #ends = new Map<string, Set<End>>();

  constructor(world: ManualWorld) {
    this.#world = world;
  }

  openStreams(address: string): number {
    let open = 0;
    for (const end of this.#ends.get(address) ?? []) if (!end.closed) open++;
    return open;
  }

  /** Breaks every stream to the address. */
  break(address: string): void {
    for (const end of this.#ends.get(address) ?? []) end.close();
    this.#ends.delete(address);
  }

  dial(
    address: string,
    hello: Hello,
    callbacks: { onOpen(stream: Stream): StreamHandlers; onFailed(reason: StreamClosed): void },
  ): { cancel(): void } {
    this.dials.push(address);
    let cancelled = false;
    const fail = (reason: StreamClosed): void => {
      if (!cancelled) callbacks.onFailed(reason);
    };
    this.#world.after(this.delayMs, () => {
      if (cancelled || this.hanging.has(address)) return;
      const listener = this.listeners.get(address);
      if (listener === undefined || this.down.has(address))
        return fail({ code: undefined, message: "connection refused", local: false });
      const admission = listener.admit(hello);
      if (!admission.ok) return fail({ code: admission.code, message: admission.message, local: false });
      const near = new End(this.#world, this, admission.hello, address);
      const far = new End(this.#world, this, hello, "client");
      near.other = far;
      far.other = near;
      const ends = this.#ends.get(address) ?? new Set();
      this.#ends.set(address, ends.add(near));
      far.handlers = admission.accept(far);
      near.handlers = callbacks.onOpen(near);
    });
    return { cancel: () => void (cancelled = true) };
  }
}
