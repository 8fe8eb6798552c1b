/** Asks stores where ranges are: one question at a time, each answer brings the routes behind the one wanted as well. */
import { keyMax } from "@flotilla/base";
import type { Environment, Key } from "@flotilla/base";
import type { AdminResponse, RouteResponse } from "@flotilla/transport";
import { backoffMs } from "./backoff.ts";
import type { ClientSettings } from "./client-settings.ts";
import type { CachedRange } from "./route-cache.ts";
import type { StoreLink } from "./store-link.ts";
import type { StoreLinks } from "./store-links.ts";

export interface RouteSink {
  /** True when the answer says where `wanted` is. */
  learn(response: RouteResponse, wanted: Key): boolean;
  /** Where routes are kept, as far as known. */
  metaRange(): CachedRange | undefined;
  wakeAt(atMs: number): void;
  changed(): void;
}

export class RouteFetcher {
  readonly #settings: ClientSettings;
  readonly #environment: Environment;
  readonly #links: StoreLinks;
  readonly #sink: RouteSink;
  #wanted: Key | undefined;
  #asked: { link: StoreLink; requestId: number; sentMs: number } | undefined;
  /** Answers in a row that did not help. */
  #misses = 0;
  #notBeforeMs = 0;

  constructor(settings: ClientSettings, environment: Environment, links: StoreLinks, sink: RouteSink) {
    this.#settings = settings;
    this.#environment = environment;
    this.#links = links;
    this.#sink = sink;
  }

  get active(): boolean {
    return this.#wanted !== undefined;
  }

  /** Whoever is not served by the question under way asks again when routes have changed. */
  want(key: Key, nowMs: number): void {
    if (this.#wanted !== undefined) return;
    this.#wanted = key;
    this.tick(nowMs);
  }

  /** Nobody waits any more. */
  forget(): void {
    this.#wanted = undefined;
    if (this.#asked !== undefined) this.#asked.link.requests.delete(this.#asked.requestId);
    this.#asked = undefined;
  }

  /** Asks, or asks another store when the one asked is silent. Called again after every change of the links. */
  tick(nowMs: number): void {
    if (this.#wanted === undefined) return;
    if (this.#asked !== undefined) {
      const { link, requestId, sentMs } = this.#asked;
      if (nowMs - sentMs < this.#settings.routeTimeoutMs) return;
      link.requests.delete(requestId);
      link.suspect(sentMs, nowMs);
      this.#asked = undefined;
    }
    if (nowMs < this.#notBeforeMs) {
      this.#sink.wakeAt(this.#notBeforeMs);
      return;
    }
    const link = this.#whomToAsk(nowMs);
    if (link !== undefined) this.#ask(link, this.#wanted, nowMs);
  }

  /** Any store, first. One that has no replica of the meta range does not help, but says where that is. */
  #whomToAsk(nowMs: number): StoreLink | undefined {
    const metaRange = this.#misses === 0 ? undefined : this.#sink.metaRange();
    if (metaRange !== undefined) {
      const link = this.#links.anyOf(metaRange, nowMs);
      if (link !== undefined) return link;
    }
    const link = this.#links.any(nowMs);
    if (link === undefined || !link.usable(nowMs)) this.#links.connectAny(nowMs);
    return link;
  }

  #ask(link: StoreLink, wanted: Key, nowMs: number): void {
    const requestId = link.nextId();
    const asked = { link, requestId, sentMs: nowMs };
    this.#asked = asked;
    link.requests.set(requestId, {
      answered: (message) => {
        if (this.#asked === asked) this.#answered(message, wanted);
      },
      linkClosed: () => {
        if (this.#asked === asked) this.#asked = undefined;
      },
    });
    link.post(
      { type: "route", requestId, start: wanted, end: keyMax, limit: this.#settings.routeReadAhead },
      64 + wanted.length,
    );
    this.#sink.wakeAt(nowMs + this.#settings.routeTimeoutMs);
  }

  #answered(message: RouteResponse | AdminResponse, wanted: Key): void {
    const nowMs = this.#environment.clock.monotonicMs();
    this.#asked = undefined;
    const helped = message.type === "route-response" && this.#sink.learn(message, wanted);
    if (helped) {
      this.#misses = 0;
      this.#wanted = undefined;
    } else {
      this.#misses++;
      const { backoffMinMs, backoffMaxMs } = this.#settings;
      this.#notBeforeMs = nowMs + backoffMs(this.#environment.random, this.#misses, backoffMinMs, backoffMaxMs);
      this.#sink.wakeAt(this.#notBeforeMs);
    }
    this.#sink.changed();
  }
}
