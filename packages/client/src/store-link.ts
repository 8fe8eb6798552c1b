/**
 * The one stream to a store: dials, says Hello, dials again with back-off, bundles what is posted in a turn, and hands
 * answers to whoever asked. It knows nothing of keys and routes.
 */
import { MalformedError, keyMax, noStore, userPrefix } from "@flotilla/base";
import type { Environment, ErrorCode, StoreId } from "@flotilla/base";
import type {
  AdminResponse,
  ClientMessage,
  Codec,
  CommandResults,
  Dialer,
  Hello,
  RangeRefused,
  ReadResults,
  RouteResponse,
  ScanPage,
  ServerMessage,
  Stream,
  StreamClosed,
  StreamHandlers,
} from "@flotilla/transport";
import { backoffMs } from "./backoff.ts";
import type { ClientSettings } from "./client-settings.ts";
import type { SentBatch } from "./sent-batch.ts";

/** A store that said something so lately is there. */
export const probeAfterMs = 500;

/** What all links of a client share. */
export interface LinkContext {
  readonly settings: ClientSettings;
  readonly environment: Environment;
  readonly dialer: Dialer;
  readonly codec: Codec;
  readonly owner: LinkOwner;
}

export interface LinkOwner {
  hello(): Hello;
  /** False: this store must not be used (another cluster); the link closes with `refuse`. */
  admits(link: StoreLink, hello: Hello): boolean;
  opened(link: StoreLink): void;
  /** The link is not open any more, or a dial failed (`wasOpen` false). Its batches are still in `outstanding`; scans and requests have been told. */
  closed(link: StoreLink, wasOpen: boolean): void;
  commandResults(link: StoreLink, message: CommandResults): void;
  readResults(link: StoreLink, message: ReadResults): void;
  batchRefused(link: StoreLink, message: RangeRefused): void;
  goingAway(link: StoreLink): void;
  /** Something was posted: `flush` is wanted at the end of the turn. */
  posted(link: StoreLink): void;
  /** A payload has been handled completely. */
  received(): void;
}

export interface ScanListener {
  page(message: ScanPage): void;
  refused(message: RangeRefused): void;
  linkClosed(): void;
}

export interface RequestListener {
  answered(message: RouteResponse | AdminResponse): void;
  linkClosed(): void;
}

export interface LinkFailure {
  readonly code: ErrorCode | undefined;
  readonly message: string;
  /** Nothing came at all: the node may be gone, or slow. */
  readonly silent: boolean;
}

export class StoreLink {
  readonly address: string;
  readonly #context: LinkContext;

  state: "idle" | "dialing" | "open" = "idle";
  /** By the last Hello; 0 before the first, and for a node without a cluster. */
  storeId: StoreId = noStore;
  clusterId = "";
  /** Failures since the link was last open. */
  failures = 0;
  lastFailure: LinkFailure | undefined = undefined;
  /** No dial before (monotonic). */
  retryAtMs = 0;
  dialStartedMs = 0;
  lastReceivedMs = 0;
  /** It did not answer lately: others are asked first until then. */
  suspectUntilMs = 0;
  /** When it was first suspected since it last said anything (monotonic); Infinity = it is not. */
  silentSinceMs: number = Infinity;
  /** It said that it will close the stream soon: nothing new goes there. */
  leaving = false;
  /** Operations wait because this link is at its limit. */
  blocked = false;

  inFlight = 0;
  inFlightBytes = 0;
  /** Values that the reads under way are expected to bring. */
  expectedBytes = 0;
  readonly outstanding: Map<number, SentBatch> = new Map();
  readonly scans: Map<number, ScanListener> = new Map();
  readonly requests: Map<number, RequestListener> = new Map();

  #stream: Stream | undefined = undefined;
  #dial: { cancel(): void } | undefined = undefined;
  #attempt = 0;
  #nextId = 1;
  /** A question that every store answers at once; undefined: none is under way. */
  #probe: { readonly requestId: number; readonly sentMs: number } | undefined = undefined;
  #outbox: ClientMessage[] = [];
  #outboxBytes: number[] = [];
  /** Of all that was given to the stream. */
  #sentBytes = 0;
  /** Batches in the outbox. */
  #leaving: SentBatch[] = [];
  /** Batches that the store has not taken yet, in their order. */
  #onTheWay: SentBatch[] = [];
  /** When the store last took something (monotonic). */
  #takenMs = 0;
  #helloWallMs = 0;
  #helloAtMs = 0;

  constructor(address: string, context: LinkContext) {
    this.address = address;
    this.#context = context;
  }

  /** Unique on the stream, and on all streams of this link. */
  nextId(): number {
    return this.#nextId++;
  }

  /** Open, and no reason known to prefer another. */
  usable(nowMs: number): boolean {
    return this.state === "open" && !this.leaving && nowMs >= this.suspectUntilMs;
  }

  /** A request got no answer in its time. A store that says nothing at all is avoided for a while; any word clears it. */
  suspect(requestSentMs: number, nowMs: number): void {
    if (this.state !== "open" || this.lastReceivedMs > requestSentMs) return;
    this.suspectUntilMs = nowMs + this.#context.settings.attemptMs;
    if (this.silentSinceMs === Infinity) this.silentSinceMs = nowMs;
  }

  /** Asks whether the store is there at all, unless it is known by a word that it said lately. One question at a time. */
  probe(nowMs: number): void {
    if (this.state !== "open" || this.#probe !== undefined || nowMs - this.lastReceivedMs < probeAfterMs) return;
    const requestId = this.nextId();
    const over = (): void => {
      if (this.#probe?.requestId === requestId) this.#probe = undefined;
    };
    this.#probe = { requestId, sentMs: nowMs };
    this.requests.set(requestId, { answered: over, linkClosed: over });
    this.post({ type: "route", requestId, start: userPrefix, end: keyMax, limit: 1 }, 64);
  }

  /** False: the store cannot be reached, or has left questions without an answer and has said nothing since. */
  answers(nowMs: number): boolean {
    if (this.state !== "open" || this.silentSinceMs !== Infinity) return false;
    return this.#probe === undefined || nowMs - this.#probe.sentMs < this.#context.settings.routeTimeoutMs;
  }

  /** The store's wall clock as its Hello told, advanced by our monotonic clock. */
  wallMs(nowMs: number): number {
    return this.#helloWallMs + (nowMs - this.#helloAtMs);
  }

  /** Begins to dial unless the link is open, dialing or waits for the end of its back-off. */
  connect(nowMs: number): void {
    if (this.state !== "idle" || nowMs < this.retryAtMs) return;
    this.state = "dialing";
    this.dialStartedMs = nowMs;
    const attempt = ++this.#attempt;
    this.#dial = this.#context.dialer.dial(this.address, this.#context.owner.hello(), {
      onOpen: (stream) => this.#opened(stream, attempt),
      onFailed: (reason) => {
        if (attempt === this.#attempt) this.#failed(reason.code, reason.message);
      },
    });
  }

  #opened(stream: Stream, attempt: number): StreamHandlers {
    if (attempt !== this.#attempt) {
      stream.close();
      return { onMessage() {}, onClose() {} };
    }
    this.#dial = undefined;
    const { owner, environment } = this.#context;
    if (!owner.admits(this, stream.hello)) {
      this.#attempt++;
      stream.close();
      this.#failed("WrongCluster", `${this.address} belongs to cluster ${stream.hello.clusterId}`);
      return { onMessage() {}, onClose() {} };
    }
    this.#helloAtMs = environment.clock.monotonicMs();
    this.#helloWallMs = stream.hello.wallMs;
    this.storeId = stream.hello.storeId;
    this.clusterId = stream.hello.clusterId;
    this.lastReceivedMs = this.#helloAtMs;
    this.suspectUntilMs = 0;
    this.silentSinceMs = Infinity;
    this.leaving = false;
    this.failures = 0;
    this.lastFailure = undefined;
    this.state = "open";
    this.#stream = stream;
    this.#sentBytes = 0;
    this.#leaving = [];
    this.#onTheWay = [];
    this.#takenMs = this.#helloAtMs;
    owner.opened(this);
    return {
      onMessage: (payload) => {
        if (attempt === this.#attempt) this.#receive(payload);
      },
      onClose: (reason: StreamClosed) => {
        if (attempt === this.#attempt) this.#failed(reason.code, reason.message);
      },
      onConfirmed: () => {
        if (attempt === this.#attempt) this.#noteTaken();
      },
    };
  }

  /** A stream keeps its order: what is confirmed is known by its place. */
  #noteTaken(): void {
    const takenBytes = this.#sentBytes - this.#stream!.unconfirmedBytes;
    this.#takenMs = this.#context.environment.clock.monotonicMs();
    let taken = 0;
    while (taken < this.#onTheWay.length && this.#onTheWay[taken]!.endsAtBytes! <= takenBytes)
      this.#onTheWay[taken++]!.takenMs = this.#takenMs;
    if (taken > 0) this.#onTheWay.splice(0, taken);
  }

  /** Since when the store owes an answer to the batch; while that is on its way, since it last took anything. */
  owesSinceMs(batch: SentBatch): number {
    return batch.takenMs ?? Math.max(batch.sentMs, this.#takenMs);
  }

  /** Gives a dial up that takes too long. */
  abandonDial(): void {
    this.#attempt++;
    this.#dial?.cancel();
    this.#failed(undefined, `${this.address} did not answer within ${this.#context.settings.dialTimeoutMs} ms`, true);
  }

  /** Ends the stream from this side, because it is of no use; the link may dial again after its back-off. */
  drop(reason: string): void {
    this.#attempt++;
    this.#stream?.close();
    this.#failed(undefined, reason);
  }

  /** For the end of the client: nothing is called back afterwards. */
  shutDown(): void {
    this.#attempt++;
    this.#dial?.cancel();
    this.#stream?.close();
    this.#stream = undefined;
    this.state = "idle";
  }

  #failed(code: ErrorCode | undefined, message: string, silent: boolean = false): void {
    const { environment, settings, owner } = this.#context;
    const wasOpen = this.state === "open";
    this.state = "idle";
    this.#stream = undefined;
    this.#dial = undefined;
    this.#outbox = [];
    this.#outboxBytes = [];
    this.failures++;
    this.lastFailure = { code, message, silent };
    const wait = backoffMs(environment.random, this.failures, settings.backoffMinMs * 5, settings.backoffMaxMs * 4);
    this.retryAtMs = environment.clock.monotonicMs() + wait;
    const scans = [...this.scans.values()];
    const requests = [...this.requests.values()];
    this.scans.clear();
    this.requests.clear();
    for (const scan of scans) scan.linkClosed();
    for (const request of requests) request.linkClosed();
    owner.closed(this, wasOpen);
  }

  /** Queues a message for the end of the turn. `bytes`: roughly its size. No effect unless the link is open. */
  post(message: ClientMessage, bytes: number): void {
    if (this.state !== "open") return;
    this.#outbox.push(message);
    this.#outboxBytes.push(bytes);
    if (this.#outbox.length === 1) this.#context.owner.posted(this);
  }

  /** A message with the operations of a batch. */
  postBatch(batch: SentBatch, message: ClientMessage, bytes: number): void {
    this.#leaving.push(batch);
    this.post(message, bytes);
  }

  /** Everything posted goes out, as one payload unless it is large. */
  flush(): void {
    const outbox = this.#outbox;
    const sizes = this.#outboxBytes;
    const stream = this.#stream;
    if (outbox.length === 0 || stream === undefined) return;
    this.#outbox = [];
    this.#outboxBytes = [];
    const { codec, settings } = this.#context;
    const send = (messages: ClientMessage[]): void => {
      const payload = codec.encodeClient(messages);
      this.#sentBytes += payload.length;
      stream.send(payload);
    };
    let start = 0;
    let bytes = 0;
    for (let i = 0; i < outbox.length; i++) {
      if (i > start && bytes + sizes[i]! > settings.payloadBytesMax) {
        send(outbox.slice(start, i));
        start = i;
        bytes = 0;
      }
      bytes += sizes[i]!;
    }
    send(start === 0 ? outbox : outbox.slice(start));
    // Where each of them ends is not worth knowing: all have left when the last has.
    for (const batch of this.#leaving) {
      batch.endsAtBytes = this.#sentBytes;
      this.#onTheWay.push(batch);
    }
    this.#leaving = [];
    if (stream.unconfirmedBytes === 0) this.#noteTaken();
  }

  #receive(payload: Uint8Array): void {
    this.lastReceivedMs = this.#context.environment.clock.monotonicMs();
    this.suspectUntilMs = 0;
    this.silentSinceMs = Infinity;
    let messages: ServerMessage[];
    try {
      messages = this.#context.codec.decodeServer(payload);
    } catch (error) {
      if (!(error instanceof MalformedError)) throw error;
      this.drop(`${this.address} sent a malformed message: ${error.message}`);
      return;
    }
    const attempt = this.#attempt;
    for (const message of messages) {
      if (attempt !== this.#attempt) return;
      this.#dispatch(message);
    }
    this.#context.owner.received();
  }

  #dispatch(message: ServerMessage): void {
    const { owner } = this.#context;
    switch (message.type) {
      case "command-results":
        owner.commandResults(this, message);
        break;
      case "read-results":
        owner.readResults(this, message);
        break;
      case "scan-page":
        this.scans.get(message.scanId)?.page(message);
        break;
      case "range-refused":
        if (message.kind === "scan") this.scans.get(message.id)?.refused(message);
        else owner.batchRefused(this, message);
        break;
      case "route-response":
      case "admin-response": {
        const listener = this.requests.get(message.requestId);
        this.requests.delete(message.requestId);
        listener?.answered(message);
        break;
      }
      case "going-away":
        this.leaving = true;
        owner.goingAway(this);
        break;
      default:
        message satisfies never;
    }
  }
}
