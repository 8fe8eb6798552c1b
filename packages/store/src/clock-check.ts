/**
 * Rule "versions only rise": versions come from the leader's clock, and one that is far ahead would force every later
 * version above it. So a store whose clock is far from most other stores' leads nothing.
 */
import type { Logger } from "@flotilla/base";
import type { Peer } from "./peer-links.ts";

export const clockOffMsMax = 10_000;

export class ClockCheck {
  off = false;
  readonly #peers: ReadonlyMap<number, Peer>;
  readonly #logger: Logger;

  constructor(peers: ReadonlyMap<number, Peer>, logger: Logger) {
    this.#peers = peers;
    this.#logger = logger;
  }

  /** Of all other stores, not of those heard of: two alone cannot tell whose clock is wrong. */
  look(): void {
    let far = 0;
    for (const { clockOffsetMs } of this.#peers.values()) if (Math.abs(clockOffsetMs) > clockOffMsMax) far++;
    const off = far * 2 > this.#peers.size;
    if (off === this.off) return;
    this.off = off;
    const offsetsMs = [...this.#peers.values()].map(({ clockOffsetMs }) => Math.round(clockOffsetMs));
    if (off) this.#logger.error({ offsetsMs }, "the clock is far from most other stores': this one leads nothing");
    else this.#logger.info({ offsetsMs }, "the clock agrees with most other stores' again");
  }
}
