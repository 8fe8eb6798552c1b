/**
 * One end of a simulated stream. What is sent arrives in order, after the delay of the way; over a blocked way it
 * waits, as TCP's retransmission does, until the way is free again or the stream breaks.
 */
import { assert } from "@flotilla/base";
import type { ErrorCode } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Hello, Stream, StreamClosed, StreamHandlers } from "@flotilla/transport";
import type { NodeTime } from "../time/node-time.ts";

/** What a stream needs of the network between its ends. */
export interface Path {
  /** Undefined while the way from one host to the other is blocked; then `wait` is called. */
  delayMicros(from: string, to: string): number | undefined;
  /** Calls back once the way is free. */
  whenFree(from: string, to: string, run: () => void): void;
  /** What the faults of the way do to this payload. */
  fate(from: string, to: string, stream: VirtualStream): "deliver" | "drop" | "duplicate" | "reorder";
  readonly nowMicros: number;
  forget(stream: VirtualStream): void;
  delivered(payload: Uint8Array, checksum: number): void;
}

type Parcel =
  | { readonly kind: "payload"; readonly payload: Uint8Array; readonly checksum: number }
  /** The other side's process has taken so many bytes. */
  | { readonly kind: "confirm"; bytes: number }
  | { readonly kind: "close"; readonly code: ErrorCode | undefined; readonly message: string };

export class VirtualStream implements Stream {
  readonly hello: Hello;
  readonly remoteAddress: string;
  readonly node: NodeTime;
  readonly host: string;
  readonly path: Path;
  /** The process that holds this end; a later one of the same node knows nothing of it. */
  readonly #life: number;
  /** The other end; set by `connect`. */
  #peer: VirtualStream | undefined;
  /** Undefined until this end is open; what arrives before waits in `#early`. */
  #handlers: StreamHandlers | undefined;
  #early: Parcel[] = [];
  #closed = false;
  /** Why, once it is closed. */
  #ended: StreamClosed | undefined;
  #closeReported = false;
  #unconfirmedBytes = 0;
  /** Nothing sent from here arrives before this. */
  #arrivalMicros = 0;
  /** On the way from here to the other end, in order. Every arrival takes the first of them, whichever it was for. */
  readonly #flight: Parcel[] = [];
  /** Arrivals that a blocked way owes. */
  #owed = 0;
  /** A confirmation that is under way takes further bytes with it. */
  #confirmation: { kind: "confirm"; bytes: number } | undefined;

  constructor(node: NodeTime, host: string, hello: Hello, remoteAddress: string, path: Path) {
    this.node = node;
    this.host = host;
    this.hello = hello;
    this.remoteAddress = remoteAddress;
    this.path = path;
    this.#life = node.life;
  }

  static connect(a: VirtualStream, b: VirtualStream): void {
    a.#peer = b;
    b.#peer = a;
  }

  get peer(): VirtualStream {
    assert(this.#peer !== undefined, "a stream has two ends");
    return this.#peer;
  }

  get unconfirmedBytes(): number {
    return this.#unconfirmedBytes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Something reaches the process that holds this end, if it still lives then. */
  deliver(delayMicros: number, run: () => void): void {
    this.node.deliver(delayMicros, () => {
      if (this.node.life === this.#life) run();
      else this.peer.reset();
    });
  }

  /** This end is open from now on. What was sent to it waits until then. */
  open(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    if (this.#ended !== undefined) this.deliver(0, () => this.#reportClose(this.#ended!));
    if (this.#early.length === 0) return;
    this.deliver(0, () => {
      const early = this.#early;
      this.#early = [];
      for (const parcel of early) this.#take(parcel);
    });
  }

  /** The other end's process is gone: its machine answers so. */
  reset(): void {
    // Not by `deliver`: two ends that are both gone would answer each other for ever.
    this.node.deliver(0, () => {
      if (this.node.life === this.#life)
        this.end({ code: undefined, message: "the connection was reset", local: false });
    });
  }

  send(payload: Uint8Array): void {
    if (this.#closed) return;
    this.#unconfirmedBytes += payload.length;
    this.#post({ kind: "payload", payload, checksum: nodeByteOperations.crc32(payload, 0, payload.length, 0) });
  }

  close(): void {
    if (this.#closed) return;
    this.end({ code: undefined, message: "closed by this side", local: true });
    this.#post({ kind: "close", code: undefined, message: "closed by the other side" });
  }

  /** This end learns that the stream is over; the other end is not told. */
  end(reason: StreamClosed): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#ended = reason;
    if (this.#handlers !== undefined) this.deliver(0, () => this.#reportClose(reason));
    this.path.forget(this);
  }

  #reportClose(reason: StreamClosed): void {
    if (this.#closeReported) return;
    this.#closeReported = true;
    this.#handlers?.onClose(reason);
  }

  /** Sets out to the other end, behind everything that was sent before. */
  #post(parcel: Parcel): void {
    this.#flight.push(parcel);
    this.#travel();
  }

  #travel(): void {
    const delay = this.#owed > 0 ? undefined : this.path.delayMicros(this.host, this.peer.host);
    if (delay === undefined) {
      this.#owe();
      return;
    }
    this.#arrivalMicros = Math.max(this.#arrivalMicros, this.path.nowMicros + delay);
    this.peer.deliver(this.#arrivalMicros - this.path.nowMicros, () => this.#arrive());
  }

  #owe(): void {
    this.#owed++;
    if (this.#owed > 1) return;
    this.path.whenFree(this.host, this.peer.host, () => {
      const owed = this.#owed;
      this.#owed = 0;
      for (let i = 0; i < owed; i++) this.#travel();
    });
  }

  /** Runs at the other end. A way that was blocked meanwhile holds the parcel back after all. */
  #arrive(): void {
    const peer = this.peer;
    if (this.#owed > 0 || this.path.delayMicros(this.host, peer.host) === undefined) {
      this.#owe();
      return;
    }
    const parcel = this.#flight.shift();
    if (parcel === undefined || peer.closed) return;
    if (peer.#handlers === undefined || peer.#early.length > 0) peer.#early.push(parcel);
    else peer.#take(parcel);
  }

  #take(parcel: Parcel): void {
    if (this.#closed) return;
    switch (parcel.kind) {
      case "payload":
        this.#takePayload(parcel.payload, parcel.checksum);
        return;
      case "confirm":
        if (this.peer.#confirmation === parcel) this.peer.#confirmation = undefined;
        this.#unconfirmedBytes -= parcel.bytes;
        this.#handlers?.onConfirmed?.();
        return;
      case "close":
        this.end({ code: parcel.code, message: parcel.message, local: false });
        return;
      default:
        parcel satisfies never;
    }
  }

  #takePayload(payload: Uint8Array, checksum: number): void {
    const found = nodeByteOperations.crc32(payload, 0, payload.length, 0);
    assert(found === checksum, "a payload changed between send and delivery");
    this.path.delivered(payload, checksum);
    const fate = this.path.fate(this.peer.host, this.host, this);
    if (fate === "reorder") {
      // It comes later than what was sent after it.
      this.deliver(2_000, () => this.#hand(payload));
      return;
    }
    if (fate === "duplicate") this.deliver(1_000, () => this.#handOnly(payload));
    if (fate === "drop") this.#confirm(payload.length);
    else this.#hand(payload);
  }

  #hand(payload: Uint8Array): void {
    this.#handOnly(payload);
    this.#confirm(payload.length);
  }

  #handOnly(payload: Uint8Array): void {
    // Its own memory, as after a real network: what one side does to it, the other cannot see.
    if (!this.#closed) this.#handlers?.onMessage(Buffer.from(payload));
  }

  #confirm(bytes: number): void {
    if (this.#closed) return;
    if (this.#confirmation !== undefined) {
      this.#confirmation.bytes += bytes;
      return;
    }
    this.#confirmation = { kind: "confirm", bytes };
    this.#post(this.#confirmation);
  }
}
