/** Which intervals are compacted, and when, against an engine that only counts. */
import { key } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { nodeByteOperations } from "@flotilla/platform";
import type { Engine } from "@flotilla/storage";
import { describe, expect, test } from "vitest";
import { DeletedSpace } from "../src/engine/deleted-space.ts";

const MiB = 1024 * 1024;
const interval = (start: string, end: string): { start: Key; end: Key } => ({ start: key(start), end: key(end) });
const written = { puts: 1000, putBytes: 8 * MiB, deletes: 0 };
const deleted = { puts: 0, putBytes: 0, deletes: 1000 };

class World {
  nowMs = 0;
  levelZero = 0;
  sizes: Map<string, number> = new Map();
  tookMs = 100;
  readonly compacted: string[] = [];
  readonly space: DeletedSpace;

  constructor() {
    const name = (bytes: Uint8Array): string => String.fromCharCode(...bytes.subarray(1));
    const engine = {
      levelZeroFiles: () => this.levelZero,
      approximateBytes: async (start: Uint8Array) => this.sizes.get(name(start)) ?? 8 * MiB,
      compact: async (start: Uint8Array, end: Uint8Array) => {
        this.compacted.push(`${name(start)}-${name(end)}`);
        this.nowMs += this.tookMs;
      },
    } as Partial<Engine> as Engine;
    this.space = new DeletedSpace(engine, { monotonicMs: () => this.nowMs, wallMs: () => 0 }, nodeByteOperations);
  }

  async runFor(ms: number): Promise<string[]> {
    const from = this.compacted.length;
    for (const untilMs = this.nowMs + ms; this.nowMs < untilMs; this.nowMs += 500) await this.space.look();
    return this.compacted.slice(from);
  }
}

describe("the room of what was deleted", () => {
  test("is given back when no more is deleted there for a moment, once", async () => {
    const world = new World();
    world.space.note(interval("a", "b"), written);
    world.space.note(interval("a", "b"), deleted);
    expect(await world.runFor(4500)).toEqual([]);
    expect(await world.runFor(1500)).toEqual(["a-b"]);
    expect(await world.runFor(100_000)).toEqual([]);
    world.space.note(interval("a", "b"), { ...deleted, deletes: 999 });
    expect(await world.runFor(10_000)).toEqual(["a-b"]);
  });

  test("is given back where deleting never ends, too, but not all the time", async () => {
    const world = new World();
    for (let second = 0; second < 300; second++) {
      world.space.note(interval("a", "b"), { puts: 100, putBytes: MiB, deletes: 100 });
      await world.runFor(1000);
    }
    expect(world.compacted.length).toBeGreaterThan(3);
    expect(world.compacted.length).toBeLessThan(6);
  });

  test("is left where it is little: of a small interval, or a small part of a large one", async () => {
    const world = new World();
    world.sizes.set("a", 200 * 1024);
    world.space.note(interval("a", "b"), { ...written, deletes: 1000 });
    world.sizes.set("c", 100 * MiB);
    world.space.note(interval("c", "d"), written);
    world.space.note(interval("c", "d"), deleted);
    expect(await world.runFor(100_000)).toEqual([]);
    // With what comes later it is enough.
    world.space.note(interval("c", "d"), { ...deleted, deletes: 3000 });
    expect(await world.runFor(100_000)).toEqual(["c-d"]);
  });

  test("is given back of records that were there before the start, and of a replica that is gone", async () => {
    const world = new World();
    world.space.note(interval("a", "b"), { ...deleted, deletes: 1 });
    world.space.noteCleared(interval("c", "d"));
    world.space.noteCleared(interval("e", "e"));
    expect(await world.runFor(20_000)).toEqual(["a-b", "c-d"]);
    expect(await world.runFor(100_000)).toEqual([]);
  });

  test("is given back in both halves of a range that was split behind the deletes", async () => {
    const world = new World();
    world.space.note(interval("a", "c"), deleted);
    world.space.note(interval("a", "b"), { puts: 1, putBytes: 10, deletes: 0 });
    world.space.note(interval("b", "c"), { puts: 1, putBytes: 10, deletes: 0 });
    world.sizes.set("a", 512 * 1024);
    world.space.note(interval("a", "b"), { ...deleted, deletes: 50_000 });
    expect(await world.runFor(20_000)).toEqual(["a-c"]);
  });

  test("waits while compaction is behind with what is written, and for some times as long as it takes", async () => {
    const world = new World();
    world.levelZero = 5;
    for (const [start, end] of ["ab", "cd", "ef"]) world.space.note(interval(start!, end!), deleted);
    expect(await world.runFor(20_000)).toEqual([]);
    world.levelZero = 4;
    world.tookMs = 3000;
    expect(await world.runFor(500)).toEqual(["a-b"]);
    expect(await world.runFor(11_500)).toEqual([]);
    expect(await world.runFor(1000)).toEqual(["c-d"]);
    expect(await world.runFor(13_000)).toEqual(["e-f"]);
  });
});
