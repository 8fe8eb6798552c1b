import { describe, expect, it } from "vitest";
import { harness } from "./support/harness.ts";

describe("back-pressure", () => {
  it("H9 keeps operations and bytes under way within the limits, the rest in a bounded queue, beyond it Busy", async () => {
    const { client, cluster, world, run } = harness({
      inFlightMax: 20,
      inFlightBytesMax: 3_000,
      queuedMax: 30,
      queuedBytesMax: 1_000_000,
    });
    await run(client.get("a"));
    cluster.dropAnswer = () => true;
    const outcomes: string[] = [];
    for (let i = 0; i < 100; i++) {
      client.put(`k${i}`, "x".repeat(100)).then(
        () => outcomes.push("ok"),
        (error: { code: string; outcome: string }) => outcomes.push(`${error.code} ${error.outcome}`),
      );
    }
    await world.pass(10);
    const { inFlight, inFlightBytes, queued } = client.internals.load;
    expect(inFlight).toBeLessThanOrEqual(20);
    expect(inFlightBytes).toBeLessThanOrEqual(3_000);
    expect(queued).toBe(30);
    expect(outcomes).toEqual(new Array(100 - 30 - inFlight).fill("Busy not-applied"));
    cluster.dropAnswer = () => false;
    await world.pass(60_000);
    expect(outcomes).toHaveLength(100);
    expect(client.internals.load).toEqual({ inFlight: 0, inFlightBytes: 0, queued: 0 });
  });

  it("bounds what is under way to one store, so that others go on", async () => {
    const { client, cluster, world, run } = harness({ inFlightPerStoreMax: 5 });
    cluster.split("m");
    cluster.moveLeader(2, "z");
    await run(Promise.all([client.put("a", ""), client.put("z", "")]));
    cluster.stores.get([...cluster.stores.keys()][0]!)!.silent = true;
    for (let i = 0; i < 20; i++) client.put(`a${i}`, "x").catch(() => {});
    await world.pass(10);
    const links = [...client.internals.links.all];
    expect(links.find((link) => link.storeId === 1)!.inFlight).toBe(5);
    await run(client.put("z", "still"));
    await client.close();
  });

  it("goes on with what had no room as answers come", async () => {
    const { client, cluster, run } = harness({ inFlightPerStoreMax: 3, inFlightMax: 10 });
    await run(Promise.all(Array.from({ length: 50 }, (_, i) => client.put(`k${i}`, "x"))));
    expect(cluster.applied).toHaveLength(50);
    await run(Promise.all(Array.from({ length: 50 }, (_, i) => client.get(`k${i}`))));
  });

  it("asks for few keys at once while values are large or of unknown size, and for many when they are small", async () => {
    // A sixteenth of the defaults, so that little is copied.
    const { client, cluster, run } = harness({ readBatchBytesTarget: 128 * 1024 });
    const keysAsked = async (key: string): Promise<number> => {
      cluster.payloads.clear();
      await run(client.getMany(Array.from({ length: 300 }, () => key)));
      return Math.max(
        ...[...cluster.payloads.values()]
          .flat(2)
          .map((message) => (message.type === "reads" ? message.keys.length : 0)),
      );
    };
    await run(client.put("small", "x"));
    await run(client.put("large", "x".repeat(64 * 1024)));
    void client.getMany(Array.from({ length: 300 }, () => "large"));
    await cluster.world.pass(2);
    const first = [...cluster.payloads.values()]
      .flat(2)
      .flatMap((message) => (message.type === "reads" ? message.keys : []));
    expect(first.length).toBeLessThanOrEqual(8);
    await cluster.world.pass(1_000);
    expect(await keysAsked("large")).toBe(2);
    for (let i = 0; i < 8; i++) await run(client.get("small"));
    expect(await keysAsked("small")).toBe(256);
  });

  it("keeps batches below their limit unless one command is larger", async () => {
    const { client, cluster, run } = harness({ batchBytesMax: 10_000, payloadBytesMax: 15_000 });
    await run(client.get("warm"));
    cluster.payloads.clear();
    await run(
      Promise.all(Array.from({ length: 20 }, (_, i) => client.put(`k${i}`, "x".repeat(i === 7 ? 50_000 : 3_000)))),
    );
    const payloads = [...cluster.payloads.values()].flat();
    const batches = payloads.flat().filter((message) => message.type === "commands");
    for (const batch of batches) {
      const bytes = batch.commands.reduce((sum, command) => sum + command.key.length + command.value.length, 0);
      if (batch.commands.length > 1) expect(bytes).toBeLessThanOrEqual(10_000);
    }
    expect(batches.reduce((sum, batch) => sum + batch.commands.length, 0)).toBe(20);
    expect(payloads.length).toBeGreaterThan(5);
  });

  it("operations are reusable from inside their settlement, and each submit is settled once", async () => {
    const { Operation } = await import("../src/internal.ts");
    const { client, cluster, run, world } = harness();
    await run(client.get("a"));
    const core = client.internals;
    const bytes = new Uint8Array([1]);
    let rounds = 0;
    await run(
      new Promise<void>((resolve) => {
        const owner = {
          settled(operation: InstanceType<typeof Operation>): void {
            expect(operation.error).toBeUndefined();
            if (++rounds === 200) resolve();
            else if (rounds < 191) core.submit(operation);
          },
        };
        for (let i = 0; i < 10; i++) {
          const operation = new Operation(owner);
          operation.key = ("\x01key" + i) as typeof operation.key;
          operation.value = bytes;
          core.submit(operation);
        }
      }),
    );
    await world.pass(100);
    expect(rounds).toBe(200);
    expect(cluster.applied).toHaveLength(200);
  });
});
