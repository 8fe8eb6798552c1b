/** How a store presents itself: in handshakes, and in its heartbeats to other stores. */
import type { Clock } from "@flotilla/base";
import { protocolMax, protocolMin } from "@flotilla/transport";
import type { Hello, Purpose, StoreHeartbeat } from "@flotilla/transport";
import type { MetaWhereabouts } from "./placement/meta-whereabouts.ts";
import type { StoreOptions } from "./store-api.ts";
import type { StoreDirectory } from "./store-directory.ts";
import { leaseMs } from "./store-settings.ts";

export class StoreGreetings {
  readonly #options: StoreOptions;
  readonly #clock: Clock;
  readonly #meta: MetaWhereabouts;
  readonly #stores: StoreDirectory;
  readonly #address: () => string;

  constructor(
    options: StoreOptions,
    dependencies: {
      readonly clock: Clock;
      readonly meta: MetaWhereabouts;
      readonly stores: StoreDirectory;
      address(): string;
    },
  ) {
    this.#options = options;
    this.#clock = dependencies.clock;
    this.#meta = dependencies.meta;
    this.#stores = dependencies.stores;
    this.#address = () => dependencies.address();
  }

  hello(purpose: Purpose): Hello {
    const { plan, nodeId, storeId, storeKey, incarnation, settings } = this.#options;
    return {
      protocolMin,
      protocolMax,
      clusterId: plan.clusterId,
      nodeId,
      storeId,
      storeKey: purpose === "client" ? "" : storeKey,
      incarnation,
      wallMs: this.#clock.wallMs(),
      leaseMs: leaseMs(settings),
      purpose,
      address: this.#address(),
    };
  }

  heartbeat(logHangs: boolean): StoreHeartbeat {
    return {
      type: "store-heartbeat",
      wallMs: this.#clock.wallMs(),
      nodeId: this.#options.nodeId,
      address: this.#address(),
      httpAddress: this.#options.httpAddress,
      metaRange: this.#meta.descriptor,
      metaLeader: this.#meta.leaderFirstHand,
      directoryRevision: this.#stores.revision,
      logHangs,
    };
  }
}
