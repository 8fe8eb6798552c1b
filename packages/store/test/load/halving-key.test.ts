import { key } from "@flotilla/base";
import type { Key } from "@flotilla/base";
import { describe, expect, test } from "vitest";
import { halvingKey } from "../../src/load/halving-key.ts";
import type { HalvingKey } from "../../src/load/halving-key.ts";
import { KeySampler, windowsKept } from "../../src/load/key-sampler.ts";
import { SmallRandom } from "../support/virtual-world.ts";

class Seeded extends SmallRandom {
  unit(): number {
    return this.uint32() / 2 ** 32;
  }
}

const start = key("\x01");
const keyOf = (at: number): Key => key(`\x01k${String(Math.floor(at)).padStart(8, "0")}`);
const operationsPerWindow = 8_000;

interface Operation {
  readonly key: Key;
  readonly bytes: number;
}

/** `draw` is asked for the operation at that moment, from 0 to 1 over all windows. */
function sampled(seed: number, draw: (random: Seeded, moment: number) => Operation, by: "operations" | "bytes") {
  const random = new Seeded(seed);
  const sampler = new KeySampler(new Seeded(seed + 1000));
  const all: Operation[] = [];
  for (let window = 0; window < windowsKept; window++) {
    for (let done = 0; done < operationsPerWindow;) {
      const batch: Operation[] = [];
      const length = 1 + (random.uint32() % 60);
      for (let i = 0; i < length; i++) batch.push(draw(random, (window + done / operationsPerWindow) / windowsKept));
      sampler.note(
        length,
        (at) => batch[at]!.key,
        (at) => (by === "bytes" ? batch[at]!.bytes : 1),
      );
      all.push(...batch);
      done += length;
    }
    sampler.endWindow();
  }
  return { found: halvingKey(sampler.windows()!, start), all };
}

/** The true share of the load in front of the key. */
function shareBefore(all: readonly Operation[], at: Key, by: "operations" | "bytes"): number {
  let [before, total] = [0, 0];
  for (const { key: each, bytes } of all) {
    const weight = by === "bytes" ? bytes : 1;
    total += weight;
    if (each < at) before += weight;
  }
  return before / total;
}

const reasonOf = (found: HalvingKey): string => ("reason" in found ? found.reason : `found ${found.key}`);
const drawOf =
  (position: (random: Seeded) => number) =>
  (random: Seeded): Operation => ({ key: keyOf(position(random)), bytes: 100 + (random.uint32() % 400) });
const gauss = (random: Seeded): number =>
  Math.sqrt(-2 * Math.log(1 - random.unit())) * Math.cos(2 * Math.PI * random.unit());

const distributions: Readonly<Record<string, (random: Seeded) => number>> = {
  uniform: (random) => random.unit() * 1e6,
  "skewed to the front": (random) => random.unit() ** 4 * 1e6,
  normal: (random) => Math.max(0, Math.min(1e6, 5e5 + gauss(random) * 5e4)),
  "two hills": (random) => Math.max(0, (random.unit() < 0.45 ? 1e5 : 8e5) + gauss(random) * 3e4),
  // The rank of a key is its place: the hottest ones lie side by side.
  zipfian: (random) => 1e5 ** random.unit(),
};

describe("the sampled key", () => {
  for (const [name, position] of Object.entries(distributions)) {
    for (const seed of [1, 2, 3, 4]) {
      test(`is within a tenth of the true median: ${name}, seed ${seed}`, () => {
        const by = seed % 2 === 0 ? "bytes" : "operations";
        const { found, all } = sampled(seed, drawOf(position), by);
        if (!("key" in found)) throw new Error(found.reason);
        const share = shareBefore(all, found.key, by);
        expect(share).toBeGreaterThan(0.4);
        expect(share).toBeLessThan(0.6);
      });
    }
  }

  test("is none where one key has most of the load", () => {
    for (const seed of [5, 6, 7]) {
      const { found } = sampled(
        seed,
        drawOf((random) => (random.unit() < 0.6 ? 5e5 : random.unit() * 1e6)),
        "operations",
      );
      expect(reasonOf(found)).toMatch(/^one key has (5[5-9]|6[0-5]) % of its load$/);
    }
  });

  test("is none where the keys move in one direction, up or down", () => {
    for (const seed of [8, 9, 10]) {
      const up = sampled(
        seed,
        (random, moment) => ({ key: keyOf(moment * 1e6 + random.unit()), bytes: 1 }),
        "operations",
      );
      expect(reasonOf(up.found)).toBe("its keys move in one direction");
      const down = sampled(seed, (_, moment) => ({ key: keyOf((1 - moment) * 1e6), bytes: 1 }), "operations");
      expect(reasonOf(down.found)).toBe("its keys move in one direction");
    }
  });

  test("is none where the load jumps from one end to the other and back", () => {
    const draw = (random: Seeded, moment: number): Operation => {
      const away = moment >= 1 / 3 && moment < 2 / 3;
      return { key: keyOf((away ? 8e5 : 0) + random.unit() * 1e5), bytes: 1 };
    };
    expect(reasonOf(sampled(11, draw, "operations").found)).toMatch(/^its (load moves to and fro|keys are too few)/);
  });

  test("divides a tail of new keys from the load on the rest", () => {
    const draw = (random: Seeded, moment: number): Operation =>
      random.unit() < 0.5
        ? { key: keyOf(2e6 + moment * 1e6), bytes: 1 }
        : { key: keyOf(random.unit() * 1e6), bytes: 1 };
    const { found, all } = sampled(12, draw, "operations");
    if (!("key" in found)) throw new Error(found.reason);
    expect(shareBefore(all, found.key, "operations")).toBeCloseTo(0.5, 1);
  });

  test("is never the range's first key, and a range with one key has none", () => {
    const { found } = sampled(13, () => ({ key: keyOf(1), bytes: 1 }), "operations");
    expect(reasonOf(found)).toBe("one key has 100 % of its load");
    const two = sampled(
      14,
      drawOf((random) => (random.unit() < 0.5 ? 1 : 2)),
      "operations",
    ).found;
    expect("key" in two && two.key).toBe(keyOf(2));
    const window = { keys: [start, start, keyOf(1)], weights: [1, 1, 2] };
    expect(halvingKey([window], start)).toEqual({ key: keyOf(1), leftShare: 0.5 });
  });
});

describe("a sampler", () => {
  test("keeps at most 512 keys of a window, from all of its time", () => {
    const sampler = new KeySampler(new Seeded(15));
    for (let window = 0; window < windowsKept + 2; window++) {
      for (let at = 0; at < 100_000; at += 100)
        sampler.note(
          100,
          (i) => keyOf(at + i),
          () => 1,
        );
      sampler.endWindow();
    }
    const windows = sampler.windows()!;
    expect(windows).toHaveLength(windowsKept);
    for (const { keys } of windows) {
      expect(keys.length).toBeGreaterThan(200);
      expect(keys.length).toBeLessThan(513);
      for (let tenth = 0; tenth < 10; tenth++) {
        const inside = keys.filter((each) => each >= keyOf(tenth * 1e4) && each < keyOf((tenth + 1) * 1e4)).length;
        expect(inside / keys.length).toBeGreaterThan(0.05);
      }
    }
  });

  test("says nothing by a window with few samples", () => {
    const sampler = new KeySampler(new Seeded(16));
    for (let window = 0; window < 10; window++) {
      sampler.note(
        20,
        (i) => keyOf(i),
        () => 1,
      );
      sampler.endWindow();
    }
    expect(sampler.windows()).toBeUndefined();
  });
});
