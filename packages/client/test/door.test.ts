import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { storeId } from "@flotilla/base";
import { nodeByteOperations, silentLogger } from "@flotilla/platform";
import { GrpcListenerFactory } from "@flotilla/transport/grpc";
import type { Listener } from "@flotilla/transport";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createClient, FlotillaError } from "../src/index.ts";
import type { ClientEvent } from "../src/index.ts";
import { FakeCluster } from "./support/fake-cluster.ts";
import { ManualWorld } from "./support/manual-world.ts";

/** The real door over gRPC on a loopback port; behind it the scripted store. Nothing here waits for time. */
describe("createClient", () => {
  let cluster: FakeCluster;
  let listener: Listener;

  beforeEach(async () => {
    const world = new ManualWorld();
    world.wallOffsetMs = Date.now() - world.nowMs;
    cluster = new FakeCluster(world, 1);
    const store = cluster.stores.get(storeId(1))!;
    const admit = cluster.network.listeners.get(store.address)!;
    listener = await new GrpcListenerFactory({}, { bytes: nodeByteOperations, logger: silentLogger }).listen(
      "127.0.0.1:0",
      (hello) => admit.admit(hello),
    );
    store.address = listener.address;
  });
  afterEach(() => listener.close());

  it("speaks to a store over gRPC, with typed codecs, and closes", async () => {
    const client = createClient({ endpoints: [listener.address], key: "utf8", value: "json" });
    const { version } = await client.put("a", { n: 1 });
    await Promise.all(Array.from({ length: 500 }, (_, i) => client.put(`k${String(i).padStart(3, "0")}`, i)));
    expect(await client.getEntry("a")).toEqual({ key: "a", value: { n: 1 }, version });
    const keys: string[] = [];
    for await (const { key } of client.scan({ prefix: "k", limit: 300, reverse: true })) keys.push(key);
    expect([keys.length, keys[0], keys[299]]).toEqual([300, "k499", "k200"]);
    expect(await client.count()).toBe(501);
    await client.close();
    await client.closed;
    expect(cluster.applied).toHaveLength(501);
  });

  it("takes a URL, and tells diagnostics channels of streams and errors", async () => {
    const seen: ClientEvent[] = [];
    const listen = (message: unknown): void => void seen.push(message as ClientEvent);
    const names = ["flotilla:client:connection", "flotilla:client:error"];
    for (const name of names) subscribe(name, listen);
    const client = createClient(`flotilla://${listener.address}`);
    await client.put("a", "1", { ifAbsent: true });
    const error = await client.put("a", "1", { ifAbsent: true }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FlotillaError);
    await client.close();
    for (const name of names) unsubscribe(name, listen);
    expect(seen.map((event) => event.type)).toEqual(["connection", "error"]);
  });

  it("cancels by an AbortSignal", async () => {
    const client = createClient(listener.address);
    await client.put("a", "1");
    cluster.dropAnswer = () => true;
    const controller = new AbortController();
    const read = client.get("a", { signal: controller.signal }).catch((reason: unknown) => reason);
    controller.abort();
    expect(((await read) as FlotillaError).code).toBe("Cancelled");
    await client.close();
  });

  it("has Symbol.asyncDispose", () => {
    const client = createClient(listener.address);
    expect(typeof Symbol.asyncDispose).toBe("symbol");
    expect(typeof client[Symbol.asyncDispose]).toBe("function");
    return client[Symbol.asyncDispose]();
  });
});
