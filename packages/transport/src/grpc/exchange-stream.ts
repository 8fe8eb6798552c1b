/**
 * A stream after both Hellos, the same on both sides: frames out of the queue into gRPC messages, frames of received
 * messages to the handlers, and the confirmations that tell the sender how much the other process has taken.
 *
 * Memory: everything given to `send` counts in `unconfirmedBytes` until the other process has confirmed it. At most
 * `inFlightBytesMax` of it (and one payload more) is in the hands of gRPC and HTTP/2, whose own queues have no bound;
 * the rest waits here as it was given. Payloads that wait together leave together.
 */
import { BinaryReader, MalformedError, writeUint53 } from "@flotilla/base";
import type { Logger } from "@flotilla/base";
import type { Hello, Stream, StreamClosed, StreamHandlers } from "../link.ts";
import { payloadBytesMax } from "../protocol.ts";
import { confirmationBytes, frameHeaderBytes, frameKind, nextFrame } from "./frames.ts";
import type { GrpcSettings } from "./grpc-settings.ts";

/** One gRPC call, seen from either side. */
export interface Wire {
  readonly remoteAddress: string;
  /** False: no more before `drained`. */
  write(message: Buffer): boolean;
  /** Ends this side behind what was written. */
  end(): void;
  /** Cuts the call, whatever is still under way. No effect when it has ended. */
  destroy(): void;
}

export class ExchangeStream implements Stream {
  readonly hello: Hello;
  readonly remoteAddress: string;
  readonly #wire: Wire;
  readonly #settings: GrpcSettings;
  readonly #logger: Logger;
  #handlers: StreamHandlers | undefined;

  /** Payloads from `#head` on wait to be written; those before it are gone. */
  #queue: (Uint8Array | undefined)[] = [];
  #head = 0;
  #flushScheduled = false;
  #wireFull = false;

  /** Bytes of payload frames; confirmed ≤ written ≤ sent. */
  #sent = 0;
  #written = 0;
  #confirmed = 0;
  /** Bytes of payload frames that came in; told ≤ taken. */
  #taken = 0;
  #told = 0;
  #confirmTimer: NodeJS.Timeout | undefined;
  #confirmTimerRuns = false;

  #closed = false;
  #lingerTimer: NodeJS.Timeout | undefined;

  constructor(hello: Hello, wire: Wire, settings: GrpcSettings, logger: Logger) {
    this.hello = hello;
    this.remoteAddress = wire.remoteAddress;
    this.#wire = wire;
    this.#settings = settings;
    this.#logger = logger;
  }

  get #confirmMs(): number {
    const { purpose } = this.hello;
    const { confirmMs, peerConfirmMs } = this.#settings;
    return purpose === "heartbeat" || purpose === "append" ? peerConfirmMs : confirmMs;
  }

  get unconfirmedBytes(): number {
    return this.#sent - this.#confirmed;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Called once, with what the owner gave for this stream. */
  attach(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  send(payload: Uint8Array): void {
    if (this.#closed) return;
    if (payload.length > payloadBytesMax) {
      this.#fail(`a payload of ${payload.length} bytes was to be sent, at most ${payloadBytesMax} are allowed`);
      return;
    }
    this.#queue.push(payload);
    this.#sent += frameHeaderBytes + payload.length;
    this.#scheduleFlush();
  }

  close(): void {
    if (this.#closed) return;
    this.#wireFull = false;
    this.#flush();
    this.#end({ code: undefined, message: "closed by this side", local: true });
    this.#wire.end();
    this.#lingerTimer = setTimeout(() => this.#wire.destroy(), this.#settings.lingerMs);
    this.#lingerTimer.unref();
  }

  /** The gRPC call is over, in whatever way. */
  wireClosed(reason: string): void {
    clearTimeout(this.#lingerTimer);
    if (!this.#closed) this.#end({ code: undefined, message: reason, local: false });
  }

  /** The other side sends no more. */
  wireEnded(): void {
    if (this.#closed) return;
    this.#end({ code: undefined, message: "closed by the other side", local: false });
    this.#wire.end();
    this.#lingerTimer = setTimeout(() => this.#wire.destroy(), this.#settings.lingerMs);
    this.#lingerTimer.unref();
  }

  wireDrained(): void {
    this.#wireFull = false;
    if (!this.#closed) this.#flush();
  }

  /** A gRPC message, or the part of it behind `offset`. A malformed one closes this stream, and nothing else. */
  receive(message: Uint8Array, offset: number): void {
    const handlers = this.#handlers;
    if (this.#closed || handlers === undefined) return;
    try {
      const reader = new BinaryReader(message, offset);
      while (reader.remaining > 0 && !this.#closed) this.#receiveFrame(message, reader, handlers);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.#fail(`malformed message: ${error.message}`);
    }
    this.#oweConfirmation();
  }

  #receiveFrame(message: Uint8Array, reader: BinaryReader, handlers: StreamHandlers): void {
    const { kind, start, end } = nextFrame(reader);
    if (kind === frameKind.payload) {
      handlers.onMessage(message.subarray(start, end));
      this.#taken += frameHeaderBytes + end - start;
    } else if (kind === frameKind.confirmation) {
      if (end - start !== confirmationBytes) throw new MalformedError(`confirmation of ${end - start} bytes`);
      this.#takeConfirmation(new BinaryReader(message, start, end).uint53(), handlers);
    } else {
      throw new MalformedError(`frame of kind ${kind} on an open stream`);
    }
  }

  #takeConfirmation(total: number, handlers: StreamHandlers): void {
    if (total < this.#confirmed || total > this.#written) {
      throw new MalformedError(`${total} bytes confirmed, after ${this.#confirmed} and of ${this.#written} written`);
    }
    if (total === this.#confirmed) return;
    this.#confirmed = total;
    if (this.#head < this.#queue.length) this.#scheduleFlush();
    handlers.onConfirmed?.();
  }

  /** At once when much is owed; else with the next message this way, or when the timer runs out. */
  #oweConfirmation(): void {
    const owed = this.#taken - this.#told;
    if (owed === 0 || this.#closed) return;
    if (owed >= this.#settings.confirmBytes) {
      this.#scheduleFlush();
    } else if (!this.#confirmTimerRuns) {
      this.#confirmTimerRuns = true;
      if (this.#confirmTimer === undefined) {
        this.#confirmTimer = setTimeout(() => this.#confirmTime(), this.#confirmMs);
        this.#confirmTimer.unref();
      } else {
        this.#confirmTimer.refresh();
      }
    }
  }

  #confirmTime(): void {
    this.#confirmTimerRuns = false;
    if (this.#closed || this.#taken === this.#told) return;
    this.#writeMessage(0, 0);
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(flushLater, this);
  }

  /** For `flushLater` only. */
  flushNow(): void {
    this.#flushScheduled = false;
    if (!this.#closed) this.#flush();
  }

  #flush(): void {
    while (
      this.#head < this.#queue.length &&
      !this.#wireFull &&
      this.#written - this.#confirmed < this.#settings.inFlightBytesMax
    ) {
      let bytes = 0;
      let end = this.#head;
      while (end < this.#queue.length) {
        const more = frameHeaderBytes + this.#queue[end]!.length;
        if (bytes > 0 && bytes + more > this.#settings.joinBytesMax) break;
        bytes += more;
        end++;
      }
      this.#writeMessage(end, bytes);
    }
    if (this.#taken - this.#told >= this.#settings.confirmBytes) this.#writeMessage(this.#head, 0);
  }

  /** One gRPC message: the confirmation that is owed, and the queue's payloads up to `end`, which take `bytes`. */
  #writeMessage(end: number, bytes: number): void {
    const confirm = this.#taken > this.#told;
    const message = Buffer.allocUnsafeSlow(bytes + (confirm ? frameHeaderBytes + confirmationBytes : 0));
    let at = 0;
    if (confirm) {
      message[0] = frameKind.confirmation;
      message.writeUInt32BE(confirmationBytes, 1);
      writeUint53(new DataView(message.buffer), frameHeaderBytes, this.#taken);
      this.#told = this.#taken;
      at = frameHeaderBytes + confirmationBytes;
    }
    for (; this.#head < end; this.#head++) {
      const payload = this.#queue[this.#head]!;
      this.#queue[this.#head] = undefined;
      message[at] = frameKind.payload;
      message.writeUInt32BE(payload.length, at + 1);
      message.set(payload, at + frameHeaderBytes);
      at += frameHeaderBytes + payload.length;
    }
    if (this.#head === this.#queue.length) {
      this.#queue = [];
      this.#head = 0;
    }
    this.#written += bytes;
    if (!this.#wire.write(message)) this.#wireFull = true;
  }

  /** This side gives up on the stream. */
  #fail(message: string): void {
    this.#logger.warn({ remoteAddress: this.remoteAddress, purpose: this.hello.purpose }, message);
    this.#end({ code: undefined, message, local: true });
    this.#wire.destroy();
  }

  #end(reason: StreamClosed): void {
    this.#closed = true;
    this.#queue = [];
    this.#head = 0;
    clearTimeout(this.#confirmTimer);
    // The owner may be in the middle of a call to this stream: it hears of the end when that has returned.
    process.nextTick(() => this.#handlers?.onClose(reason));
  }
}

/** Without a closure per turn. */
function flushLater(stream: ExchangeStream): void {
  stream.flushNow();
}
