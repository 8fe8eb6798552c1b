import { key, keyMax, rangeId, replicaId, storeId, systemPrefix } from "@flotilla/base";
import type { Key, RangeDescriptor } from "@flotilla/base";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RangeMap, assertPartition } from "../src/map-update.ts";

const at = (position: number): Key =>
  position === 0 ? systemPrefix : position === 256 ? keyMax : key("\x01" + String.fromCharCode(position));

function range(id: number, start: number, end: number, bounds = 1, members = 1): RangeDescriptor {
  const replicas = [{ replicaId: replicaId(id * 10 + members), storeId: storeId(1), role: "voter" as const }];
  return { rangeId: rangeId(id), start: at(start), end: at(end), epoch: { bounds, members }, replicas };
}

interface Change {
  readonly kind: "split" | "merge" | "members";
  readonly pick: number;
  readonly position: number;
}

/** What a cluster goes through: every descriptor that was ever true, and those that are in the end. */
function history(changes: readonly Change[]): { all: RangeDescriptor[]; final: RangeDescriptor[] } {
  let ranges = [{ id: 1, start: 0, end: 256, bounds: 1, members: 1 }];
  let nextId = 2;
  const all: RangeDescriptor[] = [];
  const describeRange = (r: (typeof ranges)[number]): RangeDescriptor =>
    range(r.id, r.start, r.end, r.bounds, r.members);
  for (const { kind, pick, position } of changes) {
    const i = pick % ranges.length;
    const one = ranges[i]!;
    if (kind === "members") one.members++;
    if (kind === "split" && one.end - one.start > 1) {
      const middle = one.start + 1 + (position % (one.end - one.start - 1));
      const right = { id: nextId++, start: middle, end: one.end, bounds: ++one.bounds, members: 1 };
      one.end = middle;
      ranges.splice(i + 1, 0, right);
    }
    const right = ranges[i + 1];
    if (kind === "merge" && right !== undefined) {
      one.bounds = Math.max(one.bounds, right.bounds) + 1;
      one.end = right.end;
      ranges = ranges.filter((other) => other !== right);
    }
    for (const r of ranges) all.push(describeRange(r));
  }
  return { all, final: ranges.map(describeRange) };
}

const change = (kinds: Change["kind"][]): fc.Arbitrary<Change> =>
  fc.record({ kind: fc.constantFrom(...kinds), pick: fc.nat(1000), position: fc.nat(1000) });

function converges(kinds: Change["kind"][]): void {
  const input = fc.record({
    changes: fc.array(change(kinds), { minLength: 1, maxLength: 25 }),
    order: fc.array(fc.nat(100_000), { maxLength: 400 }),
    loses: fc.array(fc.boolean(), { maxLength: 50 }),
  });
  const property = fc.property(input, ({ changes, order, loses }) => {
    const { all, final } = history(changes);
    const map = new RangeMap([range(1, 0, 256)]);
    let writes = 0;
    const deliver = (descriptor: RangeDescriptor): void => {
      const before = new Map(map.all().map((one) => [one.rangeId, one]));
      map.report(descriptor);
      const update = map.update();
      if (update === undefined || loses[writes++] === true) return;
      map.commit(update);
      assertPartition(map.all());
      const ends = new Set(map.all().map(({ end }) => end));
      for (const end of update.deletes) expect(ends.has(end)).toBe(false);
      for (const now of map.all()) {
        const then = before.get(now.rangeId);
        if (then !== undefined) expect(now.epoch.bounds).toBeGreaterThanOrEqual(then.epoch.bounds);
      }
    };
    for (const n of order) deliver(all[n % all.length]!);
    // In the end each leader says what is true, in some order.
    const last = final.map((descriptor, i) => ({ descriptor, n: order[i] ?? 0 })).sort((a, b) => a.n - b.n);
    for (const { descriptor } of last) deliver(descriptor);
    const update = map.update();
    if (update !== undefined) map.commit(update);
    expect(map.all()).toEqual(final);
    expect(map.update()).toBeUndefined();
  });
  fc.assert(property, { numRuns: 300, seed: 20261128 });
}

describe("the map of ranges", () => {
  test("E18 ends as the exact partition at the highest epochs, whatever order splits are reported in", () => {
    converges(["split", "members"]);
  });

  test("E18 takes merges in any order too", () => {
    converges(["split", "merge", "members"]);
  });

  test("the left half of a split waits for the right one", () => {
    const map = new RangeMap([range(1, 0, 256)]);
    map.report(range(1, 0, 100, 2));
    expect(map.update()).toBeUndefined();
    expect(map.find(at(200)).rangeId).toBe(1);
    map.report(range(2, 100, 256, 2));
    expect(map.update()?.puts.map(({ rangeId: id }) => id)).toEqual([1, 2]);
  });

  test("an update that was not written is given again", () => {
    const map = new RangeMap([range(1, 0, 256)]);
    map.report(range(1, 0, 256, 1, 2));
    expect(map.update()).toEqual(map.update());
    map.commit(map.update()!);
    expect(map.get(rangeId(1))?.epoch.members).toBe(2);
    expect(map.update()).toBeUndefined();
  });

  test("a late descriptor from before a split says nothing new", () => {
    const map = new RangeMap([range(1, 0, 100, 2), range(2, 100, 256, 2)]);
    expect(map.report(range(1, 0, 256, 1, 9))).toBe(false);
    expect(map.waitingCount).toBe(0);
  });

  test("refuses to begin with a map that has a hole", () => {
    expect(() => new RangeMap([range(1, 0, 100), range(2, 101, 256)])).toThrow("does not begin where");
  });
});
