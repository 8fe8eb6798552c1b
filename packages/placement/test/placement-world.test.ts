import { storeId } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { indexCluster } from "../src/index.ts";
import { PlacementWorld } from "./support/placement-world.ts";
import { SmallRandom } from "./support/small-random.ts";

function rounds(world: PlacementWorld, most: number): number {
  let idle = 0;
  for (let i = 0; i < most; i++) {
    idle = world.round() === 0 && world.running.size === 0 ? idle + 1 : 0;
    // Longer than every pause and cool-down together.
    if (idle > 40) return i;
  }
  throw new Error(`there is no end after ${most} rounds`);
}

function farthest(world: PlacementWorld, of: "replicas" | "leaders" | "bytes"): number {
  const live = [...indexCluster(world.state()).stores.values()].filter(({ store }) => store.health === "live");
  const counts = live.map((load) => load[of]);
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return Math.max(...counts.map((count) => Math.abs(count - mean) / mean));
}

/** Moves for balance or spread of a replica that came to its store within the cool-down. */
function restless(world: PlacementWorld): string[] {
  const cameMs = new Map<string, number>();
  const found: string[] = [];
  for (const { rangeId, goal, source, createdMs, endedMs } of world.ended) {
    if (goal.kind !== "move" && goal.kind !== "repair") continue;
    const before = cameMs.get(`${rangeId} on ${goal.from}`);
    if (source === "balance-replicas" && before !== undefined && createdMs - before < 600_000)
      found.push(`range ${rangeId} after ${createdMs - before} ms`);
    cameMs.set(`${rangeId} on ${goal.to}`, endedMs);
  }
  return found;
}

describe("a cluster of 20 stores", () => {
  test("is even within a tenth after it grew, failed and was repaired, and then nothing moves any more", () => {
    const world = new PlacementWorld(20, 16, 2000, new SmallRandom(20));
    for (let i = 0; i < 15; i++) world.round();
    world.grow(0.1);
    world.downSinceMs.set(storeId(3), world.nowMs);
    rounds(world, 1500);
    for (const { descriptor } of world.ranges.values()) {
      expect(descriptor.replicas).toHaveLength(3);
      expect(descriptor.replicas.map((replica) => replica.storeId)).not.toContain(storeId(3));
    }
    expect(farthest(world, "replicas")).toBeLessThan(0.1);
    expect(farthest(world, "leaders")).toBeLessThan(0.1);
    expect(farthest(world, "bytes")).toBeLessThan(0.1);
    expect(restless(world)).toEqual([]);
    world.downSinceMs.delete(storeId(3));
    rounds(world, 1500);
    expect(farthest(world, "replicas")).toBeLessThan(0.1);
    expect(restless(world)).toEqual([]);
  }, 120_000);
});
