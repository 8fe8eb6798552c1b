import { expect, test } from "vitest";
import { DecisionPace } from "../src/placement/decision-pace.ts";

/** The seconds, of `count`, in which the driver looks. */
function looks(pace: DecisionPace, fromMs: number, count: number, sight: (second: number) => string): number[] {
  const looked: number[] = [];
  for (let second = 0; second < count; second++) {
    const nowMs = fromMs + second * 1000;
    if (!pace.isDue(nowMs, sight(second), 2)) continue;
    pace.noteLook(nowMs);
    looked.push(second);
  }
  return looked;
}

test("the driver looks each second while it sees something new or begins something, and rests when it does not", () => {
  const pace = new DecisionPace();
  expect(looks(pace, 0, 15, () => "a")).toEqual([0, 1, 6, 11]);
  expect(looks(pace, 25_000, 5, (second) => String(second))).toEqual([0, 1, 2, 3, 4]);
  pace.noteBegun();
  expect(looks(pace, 30_000, 5, () => "4")).toEqual([0, 1]);
  expect(pace.isDue(31_500, "b", 2)).toBe(false);
  expect(pace.isDue(32_000, "b", 2)).toBe(true);
  pace.reset();
  expect(pace.isDue(32_000, "b", 2)).toBe(true);
});
