/**
 * The network between the hosts of a simulation. Each host has an endpoint, which is its `Dialer` and its
 * `ListenerFactory`. Ways are directed: `a` may reach `b` while `b` does not reach `a`.
 */
import { Failure } from "@flotilla/base";
import type { ErrorCode } from "@flotilla/base";
import { commonProtocol } from "@flotilla/transport";
import type {
  Admission,
  Dialer,
  Hello,
  Listener,
  ListenerFactory,
  Purpose,
  Stream,
  StreamClosed,
  StreamHandlers,
} from "@flotilla/transport";
import type { NodeTime } from "../time/node-time.ts";
import type { SeededRandom } from "../time/seeded-random.ts";
import type { VirtualTime } from "../time/virtual-time.ts";
import { networkTimingDefault } from "./network-faults.ts";
import type { LinkFaults, NetworkTiming } from "./network-faults.ts";
import { VirtualStream } from "./virtual-stream.ts";
import type { Path } from "./virtual-stream.ts";

type Admit = (hello: Hello, remoteAddress: string) => Admission;
type DialCallbacks = Parameters<Dialer["dial"]>[2];

interface BoundListener {
  readonly address: string;
  readonly host: string;
  readonly node: NodeTime;
  readonly life: number;
  readonly admit: Admit;
  readonly streams: Set<VirtualStream>;
}

export interface NetworkEndpoint extends Dialer, ListenerFactory {
  readonly host: string;
}

/** One message in twenty comes much later than the others. */
const tailChance = 0.05;
const ephemeralPortMin = 40_000;

export class VirtualNetwork implements Path {
  readonly #time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #timing: NetworkTiming;
  readonly #nodes = new Map<string, NodeTime>();
  readonly #listeners = new Map<string, BoundListener>();
  /** Which host an address belongs to, also while nobody listens. */
  readonly #hostOfAddress = new Map<string, string>();
  readonly #links = new Map<string, Map<string, LinkFaults>>();
  readonly #whenFree = new Map<string, (() => void)[]>();
  readonly #streams = new Set<VirtualStream>();
  readonly #purposes = new WeakMap<VirtualStream, Purpose>();
  #nextPort = ephemeralPortMin;
  #messages = 0;

  constructor(time: VirtualTime, random: SeededRandom, timing: NetworkTiming = networkTimingDefault) {
    this.#time = time;
    this.#random = random;
    this.#timing = timing;
  }

  get nowMicros(): number {
    return this.#time.nowMicros;
  }

  /** Payloads that reached their host. */
  get messages(): number {
    return this.#messages;
  }

  get openStreams(): number {
    return this.#streams.size;
  }

  /** `host` is what stands before the port in its addresses. */
  endpoint(host: string, node: NodeTime): NetworkEndpoint {
    this.#nodes.set(host, node);
    return {
      host,
      dial: (address, hello, callbacks) => this.#dial(host, node, address, hello, callbacks),
      listen: (address, admit) => this.#listen(host, node, address, admit),
    };
  }

  // Faults.

  /** The way from one host to another, to be changed at will (but blocked and freed with `block` and `free`). */
  link(from: string, to: string): LinkFaults {
    let links = this.#links.get(from);
    if (links === undefined) {
      links = new Map();
      this.#links.set(from, links);
    }
    let link = links.get(to);
    if (link === undefined) {
      link = {
        blocked: false,
        delayMicrosMin: this.#timing.delayMicrosMin,
        delayMicrosMax: this.#timing.delayMicrosMax,
        detourMicros: 0,
        dropChance: 0,
        duplicateChance: 0,
        reorderChance: 0,
      };
      links.set(to, link);
    }
    return link;
  }

  /** One direction. Streams over it break after a while, unless it is freed before. */
  block(from: string, to: string): void {
    const link = this.link(from, to);
    if (link.blocked) return;
    link.blocked = true;
    for (const stream of this.#streams) {
      if (stream.host !== from || stream.peer.host !== to) continue;
      this.#breakWhen(stream, () => link.blocked);
      this.#breakWhen(stream.peer, () => link.blocked);
    }
  }

  free(from: string, to: string): void {
    const link = this.link(from, to);
    if (!link.blocked) return;
    link.blocked = false;
    const name = linkName(from, to);
    const waiting = this.#whenFree.get(name) ?? [];
    this.#whenFree.delete(name);
    for (const run of waiting) run();
  }

  /** Nobody of one side reaches anybody of the other, in both directions. */
  partition(one: readonly string[], other: readonly string[]): void {
    for (const a of one) {
      for (const b of other) {
        this.block(a, b);
        this.block(b, a);
      }
    }
  }

  /** All ways are free, fast and faithful again. */
  heal(): void {
    for (const [from, links] of this.#links) {
      for (const [to, link] of links) {
        this.free(from, to);
        link.delayMicrosMin = this.#timing.delayMicrosMin;
        link.delayMicrosMax = this.#timing.delayMicrosMax;
        link.detourMicros = 0;
        link.dropChance = 0;
        link.duplicateChance = 0;
        link.reorderChance = 0;
      }
    }
  }

  /** All streams between two hosts break now (a middlebox forgot them); each end hears of it a little later. */
  breakStreams(one: string, other: string): number {
    let broken = 0;
    for (const stream of [...this.#streams]) {
      if (stream.host !== one || stream.peer.host !== other) continue;
      this.#endSoon(stream);
      this.#endSoon(stream.peer);
      broken++;
    }
    return broken;
  }

  /** The process of a host ended: its kernel tells everybody. */
  processEnded(host: string): void {
    this.#dropHost(host, (stream) => this.#endSoon(stream));
  }

  /** The machine lost power: nobody is told, the others find out by themselves. */
  losePower(host: string): void {
    this.#dropHost(host, (stream) => this.#breakWhen(stream, () => true));
  }

  #dropHost(host: string, tell: (stream: VirtualStream) => void): void {
    for (const [address, listener] of this.#listeners) {
      if (listener.host === host) this.#listeners.delete(address);
    }
    for (const stream of [...this.#streams]) {
      if (stream.host !== host) continue;
      this.#streams.delete(stream);
      tell(stream.peer);
    }
  }

  #endSoon(stream: VirtualStream): void {
    stream.deliver(this.#random.between(0, 2 * this.#timing.delayMicrosMax), () => stream.end(broken()));
  }

  #breakWhen(stream: VirtualStream, condition: () => boolean): void {
    const micros = this.#random.between(this.#timing.breakMicrosMin, this.#timing.breakMicrosMax);
    stream.deliver(micros, () => {
      if (condition()) stream.end(broken());
    });
  }

  // What streams ask of the network.

  delayMicros(from: string, to: string): number | undefined {
    const link = this.link(from, to);
    if (link.blocked) return undefined;
    const delay = this.#random.between(link.delayMicrosMin, link.delayMicrosMax);
    return link.detourMicros + (this.#random.chance(tailChance) ? delay * this.#random.between(2, 10) : delay);
  }

  whenFree(from: string, to: string, run: () => void): void {
    const name = linkName(from, to);
    const waiting = this.#whenFree.get(name);
    if (waiting === undefined) this.#whenFree.set(name, [run]);
    else waiting.push(run);
  }

  fate(from: string, to: string, stream: VirtualStream): "deliver" | "drop" | "duplicate" | "reorder" {
    const link = this.link(from, to);
    if (link.dropChance + link.duplicateChance + link.reorderChance === 0) return "deliver";
    const purpose = this.#purposes.get(stream);
    if (purpose !== "append" && purpose !== "heartbeat") return "deliver";
    if (this.#random.chance(link.dropChance)) return "drop";
    if (this.#random.chance(link.duplicateChance)) return "duplicate";
    return this.#random.chance(link.reorderChance) ? "reorder" : "deliver";
  }

  forget(stream: VirtualStream): void {
    if (!this.#streams.delete(stream)) return;
    // Whatever became of the farewell: keepalive finds out that nobody is there any more.
    this.#breakWhen(stream.peer, () => true);
  }

  delivered(payload: Uint8Array, checksum: number): void {
    this.#messages++;
    this.#time.trace.fold(checksum);
    this.#time.trace.fold(payload.length);
  }

  // Dialling and listening.

  async #listen(host: string, node: NodeTime, address: string, admit: Admit): Promise<Listener> {
    const [name, port] = splitAddress(address);
    const bound = `${name}:${port === 0 ? this.#nextPort++ : port}`;
    if (this.#listeners.has(bound)) {
      throw new Failure("InUse", `${bound} is in use by another process`);
    }
    const listener: BoundListener = { address: bound, host, node, life: node.life, admit, streams: new Set() };
    this.#listeners.set(bound, listener);
    this.#hostOfAddress.set(bound, host);
    return {
      address: bound,
      close: () => {
        if (this.#listeners.get(bound) === listener) this.#listeners.delete(bound);
        for (const stream of listener.streams) stream.close();
        return Promise.resolve();
      },
    };
  }

  #dial(host: string, node: NodeTime, address: string, hello: Hello, callbacks: DialCallbacks): { cancel(): void } {
    // Who dialled may end and start again meanwhile: its next life knows nothing of this attempt.
    const attempt: Attempt = { settled: false, life: node.life };
    const fail = (delayMicros: number, code: ErrorCode | undefined, message: string): void => {
      node.deliver(delayMicros, () => {
        if (attempt.settled || attempt.life !== node.life) return;
        attempt.settled = true;
        callbacks.onFailed({ code, message, local: false });
      });
    };
    const target = this.#hostOfAddress.get(address);
    const there = target === undefined ? undefined : this.delayMicros(host, target);
    if (target !== undefined && (there === undefined || !this.#nodes.get(target)!.alive)) {
      fail(this.#timing.connectTimeoutMicros, undefined, `no answer from ${address}`);
    } else if (target === undefined || !this.#listeners.has(address)) {
      fail(this.#timing.delayMicrosMax, undefined, `nobody listens at ${address}`);
    } else {
      fail(4 * this.#timing.connectTimeoutMicros, undefined, `no answer from ${address}`);
      const origin = `${host}:${this.#nextPort++}`;
      this.#nodes.get(target)!.deliver(there ?? 0, () => {
        this.#knock({ host, node, address, origin, hello, callbacks, attempt, fail });
      });
    }
    return {
      cancel: () => {
        if (attempt.settled) return;
        attempt.settled = true;
        node.deliver(0, () => callbacks.onFailed({ code: undefined, message: "cancelled by this side", local: true }));
      },
    };
  }

  /** Runs at the listener's host. */
  #knock(dial: Dialled): void {
    const { host, node, address, origin, hello, callbacks, attempt, fail } = dial;
    const listener = this.#listeners.get(address);
    if (listener === undefined || listener.life !== listener.node.life) {
      fail(this.#timing.delayMicrosMax, undefined, `nobody listens at ${address}`);
      return;
    }
    const admission = listener.admit(hello, origin);
    const back = this.delayMicros(listener.host, host);
    if (!admission.ok) {
      // A refusal that is lost ends in the dial's own time limit.
      if (back !== undefined) fail(back, admission.code, admission.message);
      return;
    }
    if (commonProtocol(admission.hello, hello) === undefined) {
      if (back !== undefined) fail(back, "ProtocolMismatch", "the protocol ranges of both sides do not meet");
      return;
    }
    const accepted = new VirtualStream(listener.node, listener.host, hello, origin, this);
    const dialled = new VirtualStream(node, host, admission.hello, address, this);
    VirtualStream.connect(accepted, dialled);
    for (const stream of [accepted, dialled]) {
      this.#streams.add(stream);
      this.#purposes.set(stream, hello.purpose);
    }
    listener.streams.add(accepted);
    const handlers = admission.accept(accepted);
    accepted.open({
      onMessage: (payload) => handlers.onMessage(payload),
      onConfirmed: () => handlers.onConfirmed?.(),
      onClose: (reason) => {
        listener.streams.delete(accepted);
        handlers.onClose(reason);
      },
    });
    const open = (): void => {
      node.deliver(this.delayMicros(listener.host, host) ?? this.#timing.delayMicrosMax, () => {
        if (attempt.settled || attempt.life !== node.life || dialled.closed || !this.#streams.has(accepted)) {
          dialled.close();
          fail(0, undefined, "the connection broke");
          return;
        }
        attempt.settled = true;
        dialled.open(callbacks.onOpen(dialled));
      });
    };
    if (back === undefined) {
      const link = this.link(listener.host, host);
      this.#breakWhen(accepted, () => link.blocked);
      this.whenFree(listener.host, host, open);
    } else open();
  }
}

interface Attempt {
  /** One of `onOpen` and `onFailed` has been called, or will be next. */
  settled: boolean;
  /** Of the node that dialled. */
  readonly life: number;
}

interface Dialled {
  readonly host: string;
  readonly node: NodeTime;
  readonly address: string;
  readonly origin: string;
  readonly hello: Hello;
  readonly callbacks: { onOpen(stream: Stream): StreamHandlers; onFailed(reason: StreamClosed): void };
  readonly attempt: Attempt;
  fail(delayMicros: number, code: ErrorCode | undefined, message: string): void;
}

const broken = (): StreamClosed => ({ code: undefined, message: "the connection broke", local: false });

const linkName = (from: string, to: string): string => `${from} ${to}`;

function splitAddress(address: string): [host: string, port: number] {
  const colon = address.lastIndexOf(":");
  const port = Number(address.slice(colon + 1));
  if (colon < 0 || !Number.isInteger(port) || port < 0 || port > 65_535) throw new Error(`not an address: ${address}`);
  return [address.slice(0, colon), port];
}
