import { key as asKey, keyMax, rangeId, replicaId, storeId, userPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RouteCache } from "../src/route-cache.ts";

const descriptor = (id: number, start: Key, end: Key, bounds: number, members = 1): RangeDescriptor => ({
  rangeId: rangeId(id),
  start,
  end,
  epoch: { bounds, members },
  replicas: [{ replicaId: replicaId(id), storeId: storeId(1), role: "voter" }],
});

const at = (text: string): Key => asKey("\x01" + text);

describe("RouteCache", () => {
  it("rule: newest epoch. Ends at the truth in whatever order descriptors of splits and merges arrive", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(9), { minLength: 1, maxLength: 12 }), fc.nat(), (steps, shuffle) => {
        let truth = [descriptor(1, userPrefix, keyMax, 1)];
        const history = [...truth];
        steps.forEach((step, i) => {
          const index = step % truth.length;
          const range = truth[index]!;
          const middle = at(String.fromCharCode(97 + ((step * 7 + i * 3) % 26)) + i);
          if (step % 3 === 0 && truth[index + 1] !== undefined) {
            const right = truth[index + 1]!;
            const bounds = Math.max(range.epoch.bounds, right.epoch.bounds) + 1;
            truth.splice(index, 2, descriptor(range.rangeId, range.start, right.end, bounds));
            history.push(truth[index]!);
          } else if (middle > range.start && middle < range.end) {
            const bounds = range.epoch.bounds + 1;
            truth.splice(
              index,
              1,
              descriptor(range.rangeId, range.start, middle, bounds),
              descriptor(100 + i, middle, range.end, bounds),
            );
            history.push(truth[index]!, truth[index + 1]!);
          } else {
            truth = truth.with(index, { ...range, epoch: { ...range.epoch, members: range.epoch.members + 1 } });
            history.push(truth[index]!);
          }
        });
        const cache = new RouteCache(1000, 256);
        const shuffled = history
          .map((entry, i) => ({ entry, order: ((i + 1) * 2654435761 + shuffle) >>> 0 }))
          .sort((a, b) => a.order - b.order);
        for (const { entry } of shuffled) cache.apply({ descriptor: entry, leader: storeId(0) }, false);
        // What was believed for a while may hide a part of the truth; the stores' next answers bring it back.
        for (const entry of truth) cache.apply({ descriptor: entry, leader: storeId(0) }, false);
        const found: RangeDescriptor[] = [];
        cache.forEach((range) => void found.push(range.descriptor));
        expect(found).toEqual(truth);
      }),
      { seed: 7, numRuns: 300 },
    );
  });

  it("finds by key and from behind, and nothing in holes", () => {
    const cache = new RouteCache(1000, 256);
    cache.apply({ descriptor: descriptor(1, at("b"), at("d"), 1), leader: storeId(1) }, false);
    cache.apply({ descriptor: descriptor(2, at("f"), at("h"), 1), leader: storeId(1) }, false);
    const idOf = (key: string): number | undefined => cache.find(at(key))?.descriptor.rangeId;
    expect(["a", "b", "c", "d", "e", "f", "g\xff", "h", "z"].map(idOf)).toEqual([
      undefined,
      1,
      1,
      undefined,
      undefined,
      2,
      2,
      undefined,
      undefined,
    ]);
    const before = (key: string): number | undefined => cache.findBefore(at(key))?.descriptor.rangeId;
    expect(["b", "c", "d", "e", "f", "g", "h", "i"].map(before)).toEqual([
      undefined,
      1,
      1,
      undefined,
      undefined,
      2,
      2,
      undefined,
    ]);
  });

  it("takes a leader only from one who should know, or when none is known", () => {
    const cache = new RouteCache(1000, 256);
    const range = descriptor(1, at("b"), at("d"), 1);
    cache.apply({ descriptor: range, leader: storeId(0) }, false);
    cache.apply({ descriptor: range, leader: storeId(2) }, false);
    expect(cache.find(at("b"))!.leader).toBe(2);
    cache.apply({ descriptor: range, leader: storeId(3) }, false);
    expect(cache.find(at("b"))!.leader).toBe(2);
    cache.apply({ descriptor: range, leader: storeId(3) }, true);
    expect(cache.find(at("b"))!.leader).toBe(3);
    cache.apply({ descriptor: range, leader: storeId(0) }, true);
    expect(cache.find(at("b"))!.leader).toBe(3);
  });

  it("forgets ranges nobody waits for when there are too many", () => {
    const cache = new RouteCache(10, 256);
    for (let i = 0; i < 25; i++) {
      const start = at(String(i).padStart(3, "0"));
      cache.apply({ descriptor: descriptor(i + 1, start, asKey(start + "z"), 1), leader: storeId(1) }, false);
    }
    expect(cache.size).toBeLessThanOrEqual(10);
    expect(cache.find(at("024"))).toBeDefined();
  });
});
