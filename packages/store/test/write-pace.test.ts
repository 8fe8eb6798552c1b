import { describe, expect, test } from "vitest";
import { WritePace } from "../src/write-pace.ts";

const tickMs = 100;
const MiB = 1024 * 1024;

/** Writers that take whatever they are given, in entries of 96 KiB, at most `perSecond`; what they wrote in the time, bytes. */
function write(pace: WritePace, clock: { ms: number }, forMs: number, perSecond: number, files: () => number): number {
  const entry = 96 * 1024;
  let total = 0;
  for (const untilMs = clock.ms + forMs; clock.ms < untilMs;) {
    for (let inTick = 0; pace.open && inTick < (perSecond * tickMs) / 1000; inTick += entry) {
      pace.spend(entry);
      total += entry;
    }
    clock.ms += tickMs;
    pace.look(clock.ms, files());
  }
  return total;
}

describe("the pace of writers", () => {
  test("is theirs while compaction keeps up", () => {
    const pace = new WritePace();
    const clock = { ms: 0 };
    expect(write(pace, clock, 10_000, 40 * MiB, () => 6)).toBeGreaterThan(390 * MiB);
    expect(pace.rate).toBe(Infinity);
  });

  test("falls with every file at level zero from the seventh on, and never under 1 MiB a second", () => {
    const pace = new WritePace();
    const clock = { ms: 0 };
    write(pace, clock, 10_000, 20 * MiB, () => 4);
    const rates = [7, 8, 9, 10, 11].map((files) => {
      write(pace, clock, 1000, 20 * MiB, () => files);
      return pace.rate / MiB;
    });
    rates.forEach((rate, i) => expect(rate).toBeCloseTo(20 * 0.8 ** (i + 1), 0));
    for (let files = 12; files < 60; files++) write(pace, clock, tickMs, 20 * MiB, () => files);
    expect(pace.rate).toBe(MiB);
    const written = write(pace, clock, 10_000, 20 * MiB, () => 59);
    expect(written / MiB).toBeGreaterThan(9);
    expect(written / MiB).toBeLessThan(11.5);
  });

  test("rises as files go, and is given up below five", () => {
    const pace = new WritePace();
    const clock = { ms: 0 };
    write(pace, clock, 10_000, 20 * MiB, () => 9);
    const low = pace.rate;
    write(pace, clock, tickMs, 20 * MiB, () => 6);
    expect(pace.rate).toBeCloseTo(low * 1.25 ** 3, 0);
    write(pace, clock, tickMs, 20 * MiB, () => 4);
    expect(pace.rate).toBe(Infinity);
    expect(pace.open).toBe(true);
  });

  test("says once when those who were held go on", () => {
    const pace = new WritePace();
    pace.look(tickMs, 7);
    pace.spend(MiB / 5);
    expect([pace.open, pace.look(2 * tickMs, 7), pace.open]).toEqual([false, false, false]);
    expect([pace.look(3 * tickMs, 7), pace.look(4 * tickMs, 7)]).toEqual([true, false]);
  });

  test("keeps an engine that compacts a third of what comes in below the twelve files that stop it", () => {
    const pace = new WritePace();
    const clock = { ms: 0 };
    const fileBytes = 32 * MiB;
    // While lower levels are compacted none of level zero goes; then all of them go at once.
    let unflushed = 0;
    let files = 0;
    let most = 0;
    let drainMs = 0;
    for (let tick = 0; tick < 3000; tick++) {
      unflushed += write(pace, clock, tickMs, 30 * MiB, () => files);
      files += Math.floor(unflushed / fileBytes);
      unflushed %= fileBytes;
      most = Math.max(most, files);
      if (files < 4) drainMs = 0;
      else if ((drainMs += tickMs) >= 10_000) [files, drainMs] = [0, 0];
    }
    expect(most).toBeLessThan(12);
  });
});
