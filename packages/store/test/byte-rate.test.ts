import { expect, test } from "vitest";
import { ByteRate } from "../src/snapshot/byte-rate.ts";

function rateAt(bytesPerSecond: number): { rate: ByteRate; clock: { nowMs: number } } {
  const clock = { nowMs: 5000 };
  const rate = new ByteRate(bytesPerSecond, { monotonicMs: () => clock.nowMs, wallMs: () => 0 });
  return { rate, clock };
}

test("a rate is shared in the order in which it is taken", () => {
  const { rate } = rateAt(1000);
  expect([rate.take(250), rate.take(500), rate.take(500), rate.take(0)]).toEqual([0, 500, 1000, 1000]);
});

test("what was not used for a while is a quarter of a second's worth, not more", () => {
  const { rate, clock } = rateAt(1000);
  rate.take(1000);
  clock.nowMs += 3_600_000;
  expect([rate.take(250), rate.take(250)]).toEqual([0, 250]);
});

test("more than a second's worth at once waits for all of it", () => {
  const { rate } = rateAt(1000);
  expect(rate.take(10_250)).toBe(10_000);
});
