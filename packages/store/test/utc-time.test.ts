import { expect, test } from "vitest";
import { utcTime } from "../src/placement/utc-time.ts";

test("times are written as the platform writes them", () => {
  const days = [0, 59, 60, 365, 789, 10_957, 11_016, 11_017, 19_782, 20_000, 47_541, 47_542];
  for (const day of days) {
    for (const ms of [0, 1, 59_999, 3_599_999, 86_399_999]) {
      const at = day * 86_400_000 + ms;
      expect(utcTime(at)).toBe(new Date(at).toISOString());
    }
  }
});
