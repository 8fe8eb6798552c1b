/**
 * The streams between this store and the others. A store dials every other one, once for each purpose, for what it wants
 * to receive; what it sends goes out on the streams that others have dialled to it. Messages of a turn leave together.
 */
import type { Clock, Environment, StoreId, Timer } from "@flotilla/base";
import { Failure, MalformedError, randomBelow } from "@flotilla/base";
import { sendInPayloads } from "./payloads.ts";
import type { StoreStatistics } from "./store-api.ts";
import type { StoreDirectory } from "./store-directory.ts";
import type {
  Admission,
  Codec,
  Dialer,
  Hello,
  PeerMessage,
  Purpose,
  StoreHeartbeat,
  Stream,
  StreamHandlers,
} from "@flotilla/transport";

export type Lane = "heartbeat" | "append" | "snapshot";
const lanes: readonly Lane[] = ["heartbeat", "append", "snapshot"];
const disownedHint =
  "each store has one directory and one process; if this is a copied or restored directory, do not start it beside the other";
const redialMsMin = 100;
/** Of a heartbeat's interval. */
const joinShare = 0.8;
/** Several heartbeats of a store: who was heard within it, on a stream that is open, lives. */
const heardMs = 1000;
const redialMsMax = 1000;
/** Of a store that was not heard of for so long: it dials by itself when it comes back, and is dialled then. */
const awayMs = 30_000;
const awayRedialMsMax = 4000;

interface OutLane {
  stream: Stream | undefined;
  outgoing: PeerMessage[];
  /** Of `outgoing`, on the wire, roughly. */
  outgoingBytes: number;
}

/** What is known of another store, from its streams. */
export interface Peer {
  readonly storeId: StoreId;
  address: string;
  /** Of the newest stream seen; older ones are refused. 0 = never. */
  incarnation: number;
  /** Monotonic, of the last payload; -Infinity = never. */
  lastHeardMs: number;
  /** Monotonic, of the last heartbeat; -Infinity = never. */
  lastBeatMs: number;
  /** As its last heartbeat says. */
  logHangs: boolean;
  /** Monotonic, of our last heartbeat to it; -Infinity = never. */
  beatSentMs: number;
  /** Its wall clock less ours, when it last told; what was on its way that long is in it, too. */
  clockOffsetMs: number;
  readonly out: Record<Lane, OutLane>;
}

export interface PeerEvents {
  onMessage(from: Peer, message: PeerMessage): void;
  /** A stream that carries our messages to this store is gone: what was under way may be lost. */
  onSendBroken(peer: Peer, lane: Lane): void;
  /** A stream in either direction was opened. */
  onConnected(peer: Peer): void;
  /** Another store knows somebody else as this store. */
  onDisowned(failure: Failure): void;
}

export class PeerLinks {
  readonly peers: Map<StoreId, Peer> = new Map();
  /** This store is out of the cluster, for good: another one said so, or the directory. */
  decommissioned = false;
  readonly #clusterId: string;
  readonly #directory: StoreDirectory;
  readonly #selfId: StoreId;
  readonly #environment: Environment;
  readonly #clock: Clock;
  readonly #dialer: Dialer;
  readonly #codec: Codec;
  readonly #encode: (messages: readonly PeerMessage[]) => Uint8Array;
  readonly #hello: (purpose: Purpose) => Hello;
  readonly #heartbeat: () => StoreHeartbeat;
  readonly #heartbeatMs: number;
  readonly #events: PeerEvents;
  readonly #dials: Map<string, { cancel(): void }> = new Map();
  /** Stores at whose address another cluster answered. */
  readonly #strangers: Set<StoreId> = new Set();
  /** By store and lane: why the last dial came to nothing. */
  readonly #warned: Map<string, string> = new Map();
  /** By store and lane: dials that wait for their time. */
  readonly #redials: Map<string, { readonly timer: Timer; now(): void }> = new Map();
  /** Streams we dialled: what we receive on. */
  readonly #incoming: Set<Stream> = new Set();
  readonly #unconfirmedBytesMax: number;
  /** Where the first stores may be found; as many as these are. */
  readonly #addresses: readonly string[];
  /** They were given at the start, and not taken from the directory. */
  readonly #moved: boolean;
  #started = false;
  #startedMs = 0;
  #closed = false;
  /** Messages dropped because a stream was missing or too far behind; for metrics. */
  dropped = 0;
  /** Messages that left, and the payloads that they left in. */
  #messagesSent = 0;
  #payloadsSent = 0;

  constructor(
    options: {
      readonly clusterId: string;
      readonly directory: StoreDirectory;
      /** Where the stores of the directory are now, in its order; another number of them = where it says. */
      readonly addresses: readonly string[];
      readonly selfId: StoreId;
      readonly unconfirmedBytesMax: number;
      /** Between two heartbeats to another store. */
      readonly heartbeatMs: number;
    },
    dependencies: {
      readonly environment: Environment;
      readonly dialer: Dialer;
      readonly codec: Codec;
      hello(purpose: Purpose): Hello;
      heartbeat(): StoreHeartbeat;
    },
    events: PeerEvents,
  ) {
    this.#clusterId = options.clusterId;
    this.#directory = options.directory;
    this.#selfId = options.selfId;
    this.#unconfirmedBytesMax = options.unconfirmedBytesMax;
    this.#environment = dependencies.environment;
    this.#clock = dependencies.environment.clock;
    this.#dialer = dependencies.dialer;
    this.#codec = dependencies.codec;
    this.#encode = (messages) => dependencies.codec.encodePeer(messages);
    this.#hello = (purpose) => dependencies.hello(purpose);
    this.#heartbeat = () => dependencies.heartbeat();
    this.#heartbeatMs = options.heartbeatMs;
    this.#events = events;
    const stores = [...options.directory.stores.values()];
    const moved = options.addresses.length === stores.length;
    this.#moved = moved;
    this.#addresses = moved ? options.addresses : stores.map(({ address }) => address);
    for (const [index, { storeId }] of stores.entries()) this.#addPeer(storeId, this.#addresses[index]!);
    options.directory.onChange(() => this.#followDirectory());
    this.#followDirectory();
  }

  #addPeer(storeId: StoreId, address: string): void {
    if (storeId === this.#selfId) return;
    const lane = (): OutLane => ({ stream: undefined, outgoing: [], outgoingBytes: 0 });
    const peer: Peer = {
      storeId,
      address,
      incarnation: 0,
      lastHeardMs: -Infinity,
      lastBeatMs: -Infinity,
      logHangs: false,
      beatSentMs: -Infinity,
      clockOffsetMs: 0,
      out: { heartbeat: lane(), append: lane(), snapshot: lane() },
    };
    this.peers.set(storeId, peer);
    if (this.#started) for (const each of lanes) this.#dial(peer, each, redialMsMin);
  }

  /** Said once; the others say it at each attempt to speak with them. */
  #noteDecommissioned(): void {
    if (this.decommissioned) return;
    this.decommissioned = true;
    this.#environment.logger.warn(
      { storeId: this.#selfId },
      "this store was decommissioned: the others speak with it no more; stop its node and remove its directory",
    );
    // Nor it with anybody: with others like it, it might still be a majority of what ranges were when it was given up.
    for (const { out } of this.peers.values()) for (const lane of lanes) out[lane].stream?.close();
    for (const stream of this.#incoming) stream.close();
  }

  /** Stores that joined are dialled, those that left are not any more. */
  #followDirectory(): void {
    if (this.#directory.entry(this.#selfId)?.state === "decommissioned") this.#noteDecommissioned();
    for (const { storeId, address, state } of this.#directory.stores.values()) {
      const peer = this.peers.get(storeId);
      if (state === "decommissioned") this.#removePeer(storeId);
      else if (peer === undefined) this.#addPeer(storeId, address);
      // Where it is now, it says itself once it is met; and a directory may be older than the addresses that were given.
      else if (peer.incarnation === 0 && !this.#moved) peer.address = address;
    }
  }

  #removePeer(storeId: StoreId): void {
    const peer = this.peers.get(storeId);
    if (peer === undefined) return;
    this.peers.delete(storeId);
    for (const lane of lanes) {
      const name = `${storeId} ${lane}`;
      this.#redials.get(name)?.timer.cancel();
      this.#redials.delete(name);
      this.#dials.get(name)?.cancel();
      this.#dials.delete(name);
      peer.out[lane].stream?.close();
    }
    for (const stream of this.#incoming) if (stream.hello.storeId === storeId) stream.close();
  }

  told(): Pick<StoreStatistics, "peerStreams" | "peerMessagesSent" | "peerPayloadsSent" | "decommissioned"> {
    return {
      peerStreams: this.#incoming.size,
      peerMessagesSent: this.#messagesSent,
      peerPayloadsSent: this.#payloadsSent,
      decommissioned: this.decommissioned,
    };
  }

  /** Where every store is, as far as known. */
  addresses(own: string): { readonly storeId: StoreId; readonly address: string }[] {
    const all = [{ storeId: this.#selfId, address: own }];
    for (const { storeId, address } of this.peers.values()) all.push({ storeId, address });
    return all;
  }

  start(): void {
    this.#startedMs = this.#clock.monotonicMs();
    this.#started = true;
    for (const peer of this.peers.values()) for (const lane of lanes) this.#dial(peer, lane, redialMsMin);
  }

  close(): void {
    this.#closed = true;
    for (const { timer } of this.#redials.values()) timer.cancel();
    for (const dial of this.#dials.values()) dial.cancel();
    for (const stream of this.#incoming) stream.close();
    for (const peer of this.peers.values()) for (const lane of lanes) peer.out[lane].stream?.close();
  }

  /** Heard of within `ms`. */
  alive(store: StoreId, ms: number): boolean {
    if (store === this.#selfId) return true;
    const peer = this.peers.get(store);
    return peer !== undefined && this.#clock.monotonicMs() - peer.lastHeardMs <= ms;
  }

  /** A stream to it is open on this lane. */
  reachable(store: StoreId, lane: Lane): boolean {
    return this.peers.get(store)?.out[lane].stream !== undefined;
  }

  /** Streams of this lane are open both ways: what is asked there can be answered. */
  mutual(store: StoreId, lane: Lane): boolean {
    if (!this.reachable(store, lane)) return false;
    for (const { hello } of this.#incoming) if (hello.storeId === store && hello.purpose === lane) return true;
    return false;
  }

  snapshotStream(store: StoreId): Stream | undefined {
    return this.peers.get(store)?.out.snapshot.stream;
  }

  /** False when it cannot leave: the caller treats the store as unreachable for this message. */
  send(to: StoreId, lane: Lane, message: PeerMessage): boolean {
    const out = this.peers.get(to)?.out[lane];
    if (out?.stream === undefined || out.outgoingBytes + out.stream.unconfirmedBytes > this.#unconfirmedBytesMax) {
      this.dropped++;
      return false;
    }
    out.outgoing.push(message);
    out.outgoingBytes += messageBytes(message);
    return true;
  }

  /** Each tick: who has had no heartbeat for so long gets one. */
  beat(): void {
    this.#beatTo(this.peers.values(), this.#heartbeatMs);
  }

  #beatTo(peers: Iterable<Peer>, elapsedMs: number): void {
    const now = this.#clock.monotonicMs();
    for (const peer of peers) {
      if (now - peer.beatSentMs < elapsedMs) continue;
      peer.beatSentMs = now;
      this.send(peer.storeId, "heartbeat", this.#heartbeat());
    }
  }

  /** End of the turn: everything collected leaves. A heartbeat that is nearly due goes along, and needs no payload of its own. */
  flush(): void {
    for (const peer of this.peers.values()) {
      if (peer.out.heartbeat.outgoing.length > 0) this.#beatTo([peer], joinShare * this.#heartbeatMs);
      for (const lane of lanes) {
        const out = peer.out[lane];
        if (out.outgoing.length === 0) continue;
        const messages = out.outgoing;
        forgetOutgoing(out);
        if (out.stream === undefined) continue;
        this.#payloadsSent += sendInPayloads(out.stream, messages, messageBytes, this.#encode);
        this.#messagesSent += messages.length;
      }
    }
  }

  /** A stream that another store dialled: it carries what we send. */
  admit(hello: Hello, own: Hello): Admission {
    const refusal = this.#identityRefusal(hello);
    if (refusal !== undefined) return refusal;
    const peer = this.peers.get(hello.storeId)!;
    const lane = hello.purpose as Lane;
    return {
      ok: true,
      hello: own,
      accept: (stream) => {
        this.#noteHello(peer, hello);
        this.#redialNow(peer);
        const out = peer.out[lane];
        const previous = out.stream;
        out.stream = stream;
        forgetOutgoing(out);
        previous?.close();
        // What was under way on the old one may be lost, as when it breaks.
        if (previous !== undefined) this.#events.onSendBroken(peer, lane);
        this.#events.onConnected(peer);
        return this.#handlers(peer, stream, () => {
          if (out.stream !== stream) return;
          out.stream = undefined;
          forgetOutgoing(out);
          this.#events.onSendBroken(peer, lane);
        });
      },
    };
  }

  #identityRefusal(hello: Hello): Admission | undefined {
    const refuse = (code: "WrongCluster" | "Refused" | "InUse" | "NotFound", message: string): Admission => ({
      ok: false,
      code,
      message,
    });
    if (this.decommissioned)
      return refuse("Refused", `store ${this.#selfId} was decommissioned: it speaks with nobody any more`);
    if (hello.clusterId !== this.#clusterId) {
      return refuse(
        "WrongCluster",
        `store ${hello.storeId} belongs to cluster ${hello.clusterId}, this is ${this.#clusterId}`,
      );
    }
    const entry = this.#directory.entry(hello.storeId);
    if (entry === undefined || hello.storeId === this.#selfId) {
      return refuse("Refused", `store ${hello.storeId} is not a store that this one may speak with`);
    }
    if (entry.state === "decommissioned") {
      return refuse("NotFound", `store ${hello.storeId} was decommissioned: it is not part of the cluster any more`);
    }
    if (entry.storeKey !== hello.storeKey) {
      return refuse(
        "InUse",
        `store ${hello.storeId} shows another store key: its directory is not the one that the cluster knows`,
      );
    }
    const { leaseMs } = this.#hello("heartbeat");
    if (hello.leaseMs !== leaseMs) {
      return refuse(
        "Refused",
        `store ${hello.storeId} grants leases of ${hello.leaseMs} ms, this one of ${leaseMs} ms: set tickMs, electionTicksMin and leasePercent alike on all nodes`,
      );
    }
    const peer = this.peers.get(hello.storeId)!;
    if (hello.incarnation < peer.incarnation) {
      return refuse(
        "InUse",
        `store ${hello.storeId} was started again since: incarnation ${peer.incarnation}, not ${hello.incarnation}`,
      );
    }
    // A later start elsewhere is a move, unless the earlier one is still alive: then it is a copy, which has forgotten
    // what the original has promised since (hazard F22).
    const elsewhere = hello.address !== peer.address && peer.incarnation !== 0;
    if (elsewhere && (hello.incarnation === peer.incarnation || this.#isHeard(peer))) {
      return refuse(
        "InUse",
        `store ${hello.storeId} runs at ${peer.address} already: ${hello.address} is started from a copy of its directory`,
      );
    }
    return undefined;
  }

  #isHeard(peer: Peer): boolean {
    if (this.#clock.monotonicMs() - peer.lastHeardMs > heardMs) return false;
    return lanes.some((lane) => peer.out[lane].stream !== undefined);
  }

  #noteHello(peer: Peer, hello: Hello): void {
    if (hello.incarnation > peer.incarnation) this.#closeOlder(peer, hello.incarnation);
    this.#strangers.delete(peer.storeId);
    for (const lane of lanes) this.#warned.delete(`${peer.storeId} ${lane}`);
    if (hello.address !== "") peer.address = hello.address;
    peer.incarnation = hello.incarnation;
    this.noteClock(peer, hello.wallMs);
    peer.lastHeardMs = this.#clock.monotonicMs();
  }

  /** It has just dialled us: it is there, and what it sends must be heard before anybody rests on its vote. */
  #redialNow(peer: Peer): void {
    for (const lane of lanes) {
      const redial = this.#redials.get(`${peer.storeId} ${lane}`);
      redial?.timer.cancel();
      redial?.now();
    }
  }

  noteBeat(peer: Peer, { wallMs, logHangs }: StoreHeartbeat): void {
    this.noteClock(peer, wallMs);
    peer.lastBeatMs = this.#clock.monotonicMs();
    peer.logHangs = logHangs;
  }

  noteClock(peer: Peer, wallMs: number): void {
    peer.clockOffsetMs = wallMs - this.#clock.wallMs();
  }

  /** The store was started again: what an earlier process of it still says, or is still sent, is void. */
  #closeOlder(peer: Peer, incarnation: number): void {
    for (const lane of lanes) {
      const { stream } = peer.out[lane];
      if (stream !== undefined && stream.hello.incarnation < incarnation) stream.close();
    }
    for (const stream of this.#incoming) {
      if (stream.hello.storeId === peer.storeId && stream.hello.incarnation < incarnation) stream.close();
    }
  }

  /** Another store answers where this one was looked for: the addresses that were given may stand in any order. */
  #noteElsewhere(peer: Peer, hello: Hello): void {
    const found = this.peers.get(hello.storeId);
    if (found?.incarnation === 0 && this.#identityRefusal(hello) === undefined) found.address = peer.address;
    const at = this.#addresses.indexOf(peer.address);
    // Where a store that joined is, its own entry says.
    if (peer.incarnation !== 0 || at < 0) return;
    peer.address = this.#addresses[(at + 1) % this.#addresses.length]!;
  }

  /** Dials are repeated; the same reason is said once. */
  #warn(dial: string, { storeId, address }: Peer, message: string): void {
    if (this.#warned.get(dial) === message) return;
    this.#warned.set(dial, message);
    this.#environment.logger.warn({ storeId, address }, message);
  }

  /**
   * Most of the addresses belong to another cluster, and no store of the own one was ever heard: this directory is not
   * where it should be (hazard H8). Nothing would ever come of waiting.
   */
  #isAmongStrangers(peer: Peer): boolean {
    if (this.#closed) return true;
    this.#strangers.add(peer.storeId);
    if (this.#strangers.size * 2 <= this.peers.size) return false;
    for (const { incarnation } of this.peers.values()) if (incarnation !== 0) return false;
    const addresses = [...this.#strangers].map((store) => this.peers.get(store)!.address).join(", ");
    this.#events.onDisowned(
      new Failure(
        "WrongCluster",
        `this directory belongs to cluster ${this.#clusterId}, the stores at ${addresses} to another one`,
        { hint: "check the data directory and --peers of this node" },
      ),
    );
    return true;
  }

  #handlers(peer: Peer, stream: Stream, onClose: () => void): StreamHandlers {
    return {
      onMessage: (payload) => {
        if (this.#closed) return;
        peer.lastHeardMs = this.#clock.monotonicMs();
        let messages: PeerMessage[];
        try {
          messages = this.#codec.decodePeer(payload);
        } catch (error) {
          if (!(error instanceof MalformedError)) throw error;
          this.#environment.logger.warn(
            { storeId: peer.storeId, error: error.message },
            "malformed message from a store; its stream is closed",
          );
          stream.close();
          return;
        }
        for (const message of messages) this.#events.onMessage(peer, message);
      },
      onClose: () => onClose(),
    };
  }

  #redialMsMax({ lastHeardMs }: Peer): number {
    const silentMs = this.#clock.monotonicMs() - Math.max(lastHeardMs, this.#startedMs);
    return silentMs > awayMs ? awayRedialMsMax : redialMsMax;
  }

  #dial(peer: Peer, lane: Lane, delayMs: number): void {
    if (this.#closed || this.peers.get(peer.storeId) !== peer) return;
    const name = `${peer.storeId} ${lane}`;
    const redial = (after: number): void => {
      if (this.#closed || this.peers.get(peer.storeId) !== peer) return;
      const jittered = after / 2 + randomBelow(this.#environment.random, Math.ceil(after / 2));
      const again = (delay: number): void => {
        this.#redials.delete(name);
        this.#dial(peer, lane, delay);
      };
      const timer = this.#environment.scheduler.after(jittered, () =>
        again(Math.min(this.#redialMsMax(peer), after * 2)),
      );
      this.#redials.set(name, { timer, now: () => again(redialMsMin) });
    };
    const dial = this.#dialer.dial(peer.address, this.#hello(lane), {
      onFailed: (reason) => {
        this.#dials.delete(name);
        // Two that claim to be one store must not both vote: whom another store refuses as the second one ends.
        if (reason.code === "InUse" && !this.#closed)
          return this.#events.onDisowned(new Failure("Refused", reason.message, { hint: disownedHint }));
        if (reason.code === "NotFound") {
          this.#noteDecommissioned();
          return redial(redialMsMax);
        }
        if (reason.code !== undefined) this.#warn(name, peer, reason.message);
        if (reason.code === "WrongCluster" && this.#isAmongStrangers(peer)) return;
        redial(delayMs);
      },
      onOpen: (stream) => {
        this.#dials.delete(name);
        const refusal =
          stream.hello.storeId === peer.storeId
            ? this.#identityRefusal(stream.hello)
            : { ok: false as const, message: "another store answers" };
        if (stream.hello.storeId !== peer.storeId) this.#noteElsewhere(peer, stream.hello);
        if (this.#closed || refusal !== undefined) {
          if (refusal !== undefined && !refusal.ok) this.#warn(name, peer, refusal.message);
          stream.close();
          redial(redialMsMax);
          return { onMessage() {}, onClose() {} };
        }
        this.#noteHello(peer, stream.hello);
        this.#incoming.add(stream);
        this.#events.onConnected(peer);
        return this.#handlers(peer, stream, () => {
          this.#incoming.delete(stream);
          redial(redialMsMin);
        });
      },
    });
    this.#dials.set(name, dial);
  }
}

function forgetOutgoing(out: OutLane): void {
  out.outgoing = [];
  out.outgoingBytes = 0;
}

function messageBytes(message: PeerMessage): number {
  if (message.type === "snapshot-chunk") return message.bytes.length + 64;
  if (message.type === "store-report") return 256 * (1 + message.ranges.length) + 9 * message.gone.length;
  if (message.type === "store-directory") return 256 * (1 + message.stores.length);
  if (message.type !== "raft" || message.message.type !== "append") return 128;
  let bytes = 128;
  for (const entry of message.message.entries) bytes += entry.data.length + 32;
  return bytes;
}
