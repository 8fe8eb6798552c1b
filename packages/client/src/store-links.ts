/** All streams of a client: by address, and which of them is the way to a store. */
import { noStore } from "@flotilla/base";
import type { StoreId } from "@flotilla/base";
import type { Consistency, Hello, StoreAddress } from "@flotilla/transport";
import { endpointReason } from "./endpoint-reason.ts";
import { FlotillaError } from "./flotilla-error.ts";
import type { CachedRange } from "./route-cache.ts";
import { StoreLink } from "./store-link.ts";
import type { LinkContext } from "./store-link.ts";

/** Beyond it new addresses are ignored: no cluster has so many stores. */
const linksMax = 4096;
/** A leader's stream that is being opened is waited for so long before others are asked. */
const dialPatienceMs = 500;

export class StoreLinks {
  readonly #context: LinkContext;
  readonly #links = new Map<string, StoreLink>();
  readonly #addresses = new Map<StoreId, string>();
  /** The open link of a store. */
  readonly #open = new Map<StoreId, StoreLink>();
  #clusterId = "";
  #everOpen = false;
  #firstDialMs: number | undefined = undefined;
  #lastAnyDialMs = -Infinity;
  #turn: number;

  constructor(context: LinkContext, firstEndpoint: number) {
    this.#context = context;
    for (const endpoint of context.settings.endpoints) this.#links.set(endpoint, new StoreLink(endpoint, context));
    this.#turn = firstEndpoint;
  }

  get clusterId(): string {
    return this.#clusterId;
  }

  get all(): IterableIterator<StoreLink> {
    return this.#links.values();
  }

  link(address: string): StoreLink | undefined {
    let link = this.#links.get(address);
    if (link === undefined && this.#links.size < linksMax) {
      link = new StoreLink(address, this.#context);
      this.#links.set(address, link);
    }
    return link;
  }

  /** The way to a store, open or not; undefined while its address is unknown. */
  forStore(storeId: StoreId): StoreLink | undefined {
    const open = this.#open.get(storeId);
    if (open !== undefined) return open;
    const address = this.#addresses.get(storeId);
    if (address === undefined) return undefined;
    const link = this.link(address);
    // Another store answers at the address that was told: it is stale.
    return link !== undefined && link.state === "open" && link.storeId !== storeId ? undefined : link;
  }

  learn(stores: readonly StoreAddress[]): void {
    for (const { storeId, address } of stores) {
      if (storeId === noStore || address === "") continue;
      if (this.#addresses.has(storeId) || this.#addresses.size < linksMax) this.#addresses.set(storeId, address);
    }
  }

  /** The first cluster id that is heard is the client's; a store of another cluster is never used. */
  admits(hello: Hello): boolean {
    if (hello.clusterId === "") return true;
    if (this.#clusterId === "") this.#clusterId = hello.clusterId;
    return hello.clusterId === this.#clusterId;
  }

  opened(link: StoreLink): void {
    if (inCluster(link)) this.#everOpen = true;
    if (link.storeId === noStore) return;
    const other = this.#open.get(link.storeId);
    if (other === undefined || other.state !== "open") this.#open.set(link.storeId, link);
    if (!this.#addresses.has(link.storeId)) this.#addresses.set(link.storeId, link.address);
  }

  closed(link: StoreLink): void {
    if (this.#open.get(link.storeId) === link) this.#open.delete(link.storeId);
  }

  /** Where linearizable work of a range goes now; undefined: nowhere yet, streams are being opened. */
  leaderOf(range: CachedRange, nowMs: number): StoreLink | undefined {
    if (range.leader !== noStore) {
      const link = this.forStore(range.leader);
      if (link?.usable(nowMs) === true) return link;
      link?.connect(nowMs);
      if (link?.state === "dialing" && nowMs - link.dialStartedMs < dialPatienceMs) return undefined;
    }
    return this.#anyReplica(range, nowMs, range.cursor, "linearizable");
  }

  /** Finds out which of the range's stores are there. */
  probe(range: CachedRange, nowMs: number): void {
    for (const { storeId } of range.descriptor.replicas) {
      const link = this.forStore(storeId);
      link?.connect(nowMs);
      link?.probe(nowMs);
    }
  }

  /** Any replica of the range, another one each time. */
  anyOf(range: CachedRange, nowMs: number): StoreLink | undefined {
    return this.#anyReplica(range, nowMs, this.#turn++, "stale");
  }

  #anyReplica(range: CachedRange, nowMs: number, first: number, consistency: Consistency): StoreLink | undefined {
    const { replicas } = range.descriptor;
    for (let i = 0; i < replicas.length; i++) {
      const replica = replicas[(first + i) % replicas.length]!;
      if (consistency === "linearizable" && replica.role === "learner") continue;
      const link = this.forStore(replica.storeId);
      if (link?.usable(nowMs) === true) return link;
      link?.connect(nowMs);
    }
    return undefined;
  }

  /** An open link, another one each time; for what any store can answer. */
  any(nowMs: number, accept: (link: StoreLink) => boolean = inCluster): StoreLink | undefined {
    const open: StoreLink[] = [];
    let doubtful: StoreLink | undefined;
    for (const link of this.#links.values()) {
      if (link.state !== "open" || !accept(link)) continue;
      if (link.usable(nowMs)) open.push(link);
      else doubtful = link;
    }
    if (open.length === 0) return doubtful;
    return open[this.#turn++ % open.length];
  }

  /** Dials known addresses one after the other, the next beside the last after a moment, until one is open. */
  connectAny(nowMs: number): void {
    this.#firstDialMs ??= nowMs;
    if (nowMs - this.#lastAnyDialMs < this.#context.settings.dialStaggerMs && this.#anyDialing()) return;
    const links = [...this.#links.values()];
    for (let i = 0; i < links.length; i++) {
      const link = links[(this.#turn + i) % links.length]!;
      if (link.state !== "idle" || nowMs < link.retryAtMs) continue;
      this.#turn += i + 1;
      this.#lastAnyDialMs = nowMs;
      link.connect(nowMs);
      return;
    }
  }

  #anyDialing(): boolean {
    for (const link of this.#links.values()) if (link.state === "dialing") return true;
    return false;
  }

  /**
   * Why nothing at all can be reached: no stream is open, and every address failed since. With `patient` only when that is
   * certain enough to end calls before their time: every address refuses for good, or each has refused for long.
   * A node without a cluster is as good as none, unless it is what the call is for (`needsCluster` false).
   */
  unreachable(nowMs: number, patient: boolean, needsCluster: boolean = true): FlotillaError | undefined {
    if (this.#firstDialMs === undefined && !this.#everOpen) return undefined;
    const failures: Record<string, string> = {};
    let permanent: StoreLink | undefined;
    let everyPermanent = true;
    let anySilent = false;
    for (const link of this.#links.values()) {
      if (needsCluster && link.state === "open" && !inCluster(link)) {
        permanent = link;
        failures[link.address] = "it has no cluster yet";
        continue;
      }
      if (link.failures === 0) return undefined;
      if (link.lastFailure?.silent === true) anySilent = true;
      failures[link.address] = link.lastFailure?.message ?? "";
      if (isPermanent(link)) permanent = link;
      else everyPermanent = false;
    }
    const clusterless = permanent?.state === "open" ? permanent : undefined;
    if (clusterless !== undefined && everyPermanent) return withoutCluster(clusterless, failures);
    if (permanent !== undefined && everyPermanent) {
      return new FlotillaError(permanent.lastFailure!.code!, permanent.lastFailure!.message, {
        details: { endpoints: failures },
      });
    }
    if (patient) {
      // A node that does not answer yet, on a machine with much to do, is no node that cannot be reached.
      if (anySilent) return undefined;
      const waitedMs = this.#everOpen || this.#firstDialMs === undefined ? 0 : nowMs - this.#firstDialMs;
      if (waitedMs < this.#context.settings.connectTimeoutMs) return undefined;
    }
    if (clusterless !== undefined) return withoutCluster(clusterless, failures);
    const list = Object.entries(failures).map(
      ([address, message]) => `${address} (${endpointReason(address, message)})`,
    );
    return new FlotillaError("ConnectFailed", `no endpoint can be reached: ${list.join(", ")}`, {
      hint: "check that the cluster is running and that the endpoints are right",
      details: { endpoints: failures },
    });
  }

  /** After calls have failed with `unreachable`, the next ones get the same time again. */
  forgetFirstDial(): void {
    this.#firstDialMs = undefined;
  }

  /** Dials that hang are given up; streams on which a store says nothing at all are closed. */
  tick(nowMs: number): void {
    const { dialTimeoutMs, attemptMs } = this.#context.settings;
    for (const link of this.#links.values()) {
      if (link.state === "dialing" && nowMs - link.dialStartedMs >= dialTimeoutMs) link.abandonDial();
      else if (link.state === "open" && nowMs - link.silentSinceMs >= 2 * attemptMs) {
        link.drop(`${link.address} has not answered for ${Math.round(nowMs - link.lastReceivedMs)} ms`);
      }
    }
  }
}

export const inCluster = (link: StoreLink): boolean => link.clusterId !== "";

function withoutCluster({ address }: StoreLink, endpoints: Record<string, string>): FlotillaError {
  return new FlotillaError("Refused", `the node at ${address} has no cluster yet`, {
    hint: `start all nodes with --peers, then run once: flotilla cluster init --endpoints ${address}`,
    details: { endpoints },
  });
}

function isPermanent(link: StoreLink): boolean {
  const code = link.lastFailure?.code;
  return code === "WrongCluster" || code === "ProtocolMismatch" || code === "FormatTooNew" || code === "Refused";
}
