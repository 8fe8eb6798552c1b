/** The accepting side of one gRPC call: from the other's Hello to an open stream or a refusal. */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { BinaryReader, MalformedError } from "@flotilla/base";
import { UnknownHelloFormat, commonProtocol, decodeHello, encodeHello } from "../hello-codec.ts";
import type { Admission, Hello } from "../link.ts";
import { ExchangeStream } from "./exchange-stream.ts";
import type { Wire } from "./exchange-stream.ts";
import { frameKind, helloMessage, nextFrame, refusalMessage } from "./frames.ts";
import type { Refusal } from "./frames.ts";
import { protocolMismatch } from "./grpc-dialer.ts";
import type { GrpcDependencies } from "./grpc-dialer.ts";
import type { GrpcSettings } from "./grpc-settings.ts";

export type Admit = (hello: Hello, remoteAddress: string) => Admission;

export interface AcceptedCallOwner {
  readonly settings: GrpcSettings;
  readonly dependencies: GrpcDependencies;
  readonly admit: Admit;
  /** The call is over. */
  forget(call: AcceptedCall): void;
  /** Cuts the connection that the call came on. */
  cut(remoteAddress: string): void;
}

export class AcceptedCall implements Wire {
  readonly remoteAddress: string;
  readonly #call: ServerDuplexStream<Buffer, Buffer>;
  readonly #owner: AcceptedCallOwner;
  readonly #timer: NodeJS.Timeout;
  #stream: ExchangeStream | undefined;
  #refused = false;
  #over = false;

  constructor(call: ServerDuplexStream<Buffer, Buffer>, owner: AcceptedCallOwner) {
    this.remoteAddress = call.getPeer();
    this.#call = call;
    this.#owner = owner;
    call.on("data", (message: Buffer) => this.#receive(message));
    call.on("drain", () => this.#stream?.wireDrained());
    call.on("end", () => this.#ended());
    call.on("cancelled", () => this.#finish());
    call.on("close", () => this.#finish());
    call.on("error", () => this.#finish());
    this.#timer = setTimeout(() => this.#timeOut(), owner.settings.helloTimeoutMs);
    this.#timer.unref();
  }

  /** The listener closes. */
  close(): void {
    if (this.#stream !== undefined) this.#stream.close();
    else this.destroy();
  }

  write(message: Buffer): boolean {
    return this.#call.write(message);
  }

  end(): void {
    this.#call.end();
  }

  destroy(): void {
    if (this.#over) return;
    this.#finish();
    // grpc-js has no way to reset a call from the server's side: a peer that reads nothing would keep it for ever.
    this.#owner.cut(this.remoteAddress);
  }

  #timeOut(): void {
    this.#warn(`no Hello within ${this.#owner.settings.helloTimeoutMs} ms`);
    this.destroy();
  }

  #receive(message: Buffer): void {
    if (this.#stream !== undefined) {
      this.#stream.receive(message, 0);
      return;
    }
    if (this.#refused || this.#over) return;
    try {
      this.#open(message);
    } catch (error) {
      if (error instanceof UnknownHelloFormat) {
        this.#refuse({ code: "ProtocolMismatch", message: error.message });
      } else if (error instanceof MalformedError) {
        this.#warn(`malformed Hello: ${error.message}`);
        this.#refuse({ code: "InvalidArgument", message: `malformed Hello: ${error.message}` });
      } else {
        throw error;
      }
    }
  }

  #open(message: Buffer): void {
    const { bytes, logger } = this.#owner.dependencies;
    const reader = new BinaryReader(message);
    const frame = nextFrame(reader);
    if (frame.kind !== frameKind.hello) throw new MalformedError(`frame of kind ${frame.kind} instead of a Hello`);
    const theirs = decodeHello(message.subarray(frame.start, frame.end), bytes);
    const admission = this.#owner.admit(theirs, this.remoteAddress);
    if (!admission.ok) {
      this.#refuse(admission);
      return;
    }
    if (commonProtocol(admission.hello, theirs) === undefined) {
      this.#refuse({ code: "ProtocolMismatch", message: protocolMismatch(admission.hello, theirs) });
      return;
    }
    clearTimeout(this.#timer);
    this.write(helloMessage(encodeHello(admission.hello, bytes), bytes));
    const stream = new ExchangeStream(theirs, this, this.#owner.settings, logger);
    this.#stream = stream;
    stream.attach(admission.accept(stream));
    stream.receive(message, reader.offset);
  }

  #refuse(refusal: Refusal): void {
    this.#refused = true;
    this.write(refusalMessage(refusal, this.#owner.dependencies.bytes));
    this.end();
    // Who does not take the refusal is cut off by the timer that waits for a Hello.
  }

  #ended(): void {
    if (this.#stream !== undefined) this.#stream.wireEnded();
    else this.end();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#stream?.wireClosed("the connection broke");
    this.#owner.forget(this);
  }

  #warn(message: string): void {
    this.#owner.dependencies.logger.warn({ remoteAddress: this.remoteAddress }, message);
  }
}
