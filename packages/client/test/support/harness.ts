import { key as asKey } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { Client, FlotillaError } from "../../src/internal.ts";
import type { ClientEvent, ConnectionOptions } from "../../src/internal.ts";
import { codec, FakeCluster } from "./fake-cluster.ts";
import { ManualWorld } from "./manual-world.ts";

export interface Harness {
  readonly world: ManualWorld;
  readonly cluster: FakeCluster;
  readonly client: Client;
  readonly events: ClientEvent[];
  /** Lets time pass until the promise settles. */
  run<T>(promise: Promise<T>): Promise<T>;
  /** The error that the promise ends with. */
  failure(promise: Promise<unknown>): Promise<FlotillaError>;
}

export function harness(options: Partial<ConnectionOptions> = {}, storeCount = 3, seed = 1): Harness {
  const world = new ManualWorld(seed);
  const cluster = new FakeCluster(world, storeCount);
  const events: ClientEvent[] = [];
  const client = anotherClient(world, cluster, options, events);
  return {
    world,
    cluster,
    client,
    events,
    run: (promise) => world.until(promise),
    failure: async (promise) => {
      const error = await world.until(
        promise.then(
          () => undefined,
          (reason: unknown) => reason,
        ),
      );
      if (!(error instanceof FlotillaError)) throw new Error(`expected a FlotillaError, got ${String(error)}`);
      return error;
    },
  };
}

export function anotherClient(
  world: ManualWorld,
  cluster: FakeCluster,
  options: Partial<ConnectionOptions> = {},
  events: ClientEvent[] = [],
): Client {
  return new Client(
    { endpoints: cluster.endpoints, ...options },
    {
      environment: world.environment,
      dialer: cluster.network,
      codec,
      events: { enabled: () => true, publish: (event) => void events.push(event) },
    },
  );
}

/** A logical key from a user's text. */
export const logical = (text: string): Key => asKey("\x01" + text);

export const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString();
