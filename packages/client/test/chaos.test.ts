import { storeId } from "@flotilla/base";
import { describe, expect, it } from "vitest";
import { FlotillaError } from "../src/internal.ts";
import { harness, logical, text } from "./support/harness.ts";
import { seededRandom } from "./support/manual-world.ts";

/**
 * One writer a key, so that the last acknowledged value says what may be read, together with every value of unknown fate:
 * those may still arrive. Impatient calls end while their messages are under way.
 */
async function chaos(seed: number): Promise<{ acknowledged: number; unknown: number; refused: number }> {
  const { client, cluster, run, world } = harness(
    { timeoutMs: 8_000, batchCommandsMax: 4, scanCreditBytes: 500 },
    3,
    seed,
  );
  const random = seededRandom(seed * 31);
  const below = (limit: number): number => random.uint32() % limit;
  const counts = { acknowledged: 0, unknown: 0, refused: 0 };
  const possible = new Map<string, (string | undefined)[]>();
  cluster.dropAnswer = () => below(100) < 3;
  cluster.interceptCommand = () => {
    const dice = below(100);
    if (dice < 3) return { status: "refused", code: "Busy", message: "" };
    return dice < 5 ? { status: "unknown", code: "NoQuorum", message: "" } : undefined;
  };
  cluster.disguise = (result) => (below(100) < 4 ? { ...result, status: "unknown", code: "NoQuorum" } : result);
  const chaosEnds = world.nowMs + 20_000;
  const disturb = (): void => {
    if (world.nowMs > chaosEnds) {
      cluster.dropAnswer = () => false;
      cluster.interceptCommand = () => undefined;
      cluster.disguise = (result) => result;
      for (const store of cluster.stores.values()) store.silent = false;
      return;
    }
    const key = `k${below(10)}`;
    const store = cluster.stores.get(storeId(1 + below(3)))!;
    switch (below(6)) {
      case 0:
        cluster.moveLeader(1 + below(3), key);
        break;
      case 1:
        cluster.split(key + below(10));
        break;
      case 2:
        cluster.merge(key);
        break;
      case 3:
        cluster.network.break(store.address);
        break;
      case 4:
        store.silent = !store.silent;
        break;
      default:
        cluster.network.delayMs = 1 + below(50);
    }
    world.after(below(800), disturb);
  };
  world.after(100, disturb);
  const writer = async (name: string): Promise<void> => {
    let settled: string | undefined;
    const unknown: (string | undefined)[] = [];
    possible.set(name, [undefined]);
    for (let i = 0; i < 25; i++) {
      const value = `${name}=${i}`;
      try {
        const timeoutMs = below(3) === 0 ? 1 + below(60) : 8_000;
        await (i % 5 === 4 ? client.delete(name, { timeoutMs }) : client.put(name, value, { timeoutMs }));
        settled = i % 5 === 4 ? undefined : value;
        counts.acknowledged++;
      } catch (error) {
        if (!(error instanceof FlotillaError)) throw error;
        if (error.outcome === "unknown") {
          counts.unknown++;
          unknown.push(i % 5 === 4 ? undefined : value);
        } else counts.refused++;
      }
      possible.set(name, [settled, ...unknown]);
      if (i % 3 !== 0) continue;
      const read = await client.get(name).then(text, (error: unknown) => {
        expect((error as FlotillaError).outcome).toBeUndefined();
        return possible.get(name)![0];
      });
      expect(possible.get(name)).toContain(read);
    }
  };
  const scanner = async (): Promise<void> => {
    for (let i = 0; i < 5; i++) {
      const keys = await client
        .scan({ reverse: i % 2 === 1, timeoutMs: 60_000 })
        .toArray()
        .then((entries) => entries.map((entry) => text(entry.key)!));
      const sorted = [...new Set(keys)].sort();
      expect(keys).toEqual(i % 2 === 1 ? sorted.reverse() : sorted);
    }
  };
  await run(Promise.all([...Array.from({ length: 10 }, (_, i) => writer(`k${i}`)), scanner()]));
  const numbers = cluster.applied.map((command) => command.number);
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.length).toBeGreaterThanOrEqual(counts.acknowledged);
  expect(numbers.length).toBeLessThanOrEqual(counts.acknowledged + counts.unknown);
  await world.pass(30_000);
  expect(cluster.cursors.size).toBe(0);
  expect(client.internals.load).toEqual({ inFlight: 0, inFlightBytes: 0, queued: 0 });
  for (const link of client.internals.links.all)
    expect([link.inFlight, link.inFlightBytes, link.expectedBytes, link.outstanding.size]).toEqual([0, 0, 0, 0]);
  for (const [name, values] of possible) {
    const record = cluster.records.get(logical(name));
    expect(values).toContain(text(record?.value));
  }
  await client.close();
  await world.pass(100);
  expect(world.idle).toBe(true);
  return counts;
}

describe("under faults", () => {
  it("H1 H2 no command is applied twice, no acknowledged one is lost, and no refused one took effect", async () => {
    const all = { acknowledged: 0, unknown: 0, refused: 0 };
    for (let seed = 1; seed <= 12; seed++) {
      const counts = await chaos(seed);
      for (const name of ["acknowledged", "unknown", "refused"] as const) all[name] += counts[name];
    }
    expect(all.acknowledged).toBeGreaterThan(1_000);
    expect(all.unknown).toBeGreaterThan(100);
    expect(all.refused).toBeGreaterThan(20);
  });
});
