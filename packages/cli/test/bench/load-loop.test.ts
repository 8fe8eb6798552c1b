import { describe, expect, test } from "vitest";
import { LoadLoop, LoadSlot } from "../../src/bench/load-loop.ts";
import type { LoadDriver } from "../../src/bench/load-loop.ts";
import { ManualClock } from "./manual-clock.ts";

/** Answers after a time that may depend on when it was asked. */
class Server implements LoadDriver<LoadSlot> {
  begun = 0;
  underWay = 0;
  mostUnderWay = 0;
  /** Operation number from which on everything fails with this code. */
  failing: { readonly from: number; readonly code: string; readonly unknown: boolean } | undefined;
  readonly #clock: ManualClock;
  readonly #loop: LoadLoop<LoadSlot>;
  readonly #answerAt: (nowMs: number) => number;

  constructor(clock: ManualClock, loop: LoadLoop<LoadSlot>, answerAt: (nowMs: number) => number) {
    this.#clock = clock;
    this.#loop = loop;
    this.#answerAt = answerAt;
  }

  createSlot(index: number): LoadSlot {
    return new LoadSlot(index);
  }

  begin(slot: LoadSlot): void {
    const number = this.begun++;
    this.underWay++;
    this.mostUnderWay = Math.max(this.mostUnderWay, this.underWay);
    const nowMs = this.#clock.nowMs();
    this.#clock.after(this.#answerAt(nowMs) - nowMs, () => {
      this.underWay--;
      const { failing } = this;
      if (failing !== undefined && number >= failing.from) this.#loop.failed(slot, failing.code, failing.unknown);
      else this.#loop.answered(slot);
    });
  }
}

interface Setup {
  readonly clock: ManualClock;
  readonly loop: LoadLoop<LoadSlot>;
  readonly server: Server;
}

function setup(inFlight: number, ratePerSecond: number | undefined, answerAt: (nowMs: number) => number): Setup {
  const clock = new ManualClock();
  const loop = new LoadLoop<LoadSlot>({ inFlight, ratePerSecond }, clock);
  return { clock, loop, server: new Server(clock, loop, answerAt) };
}

/** Answers in 1 ms, but nothing between the 1st and the 2nd second. */
const stalling = (nowMs: number): number => (nowMs >= 1000 && nowMs < 2000 ? 2001 : nowMs + 1);

describe("a closed load", () => {
  test("keeps its number of operations under way, and counts what is answered", () => {
    const { clock, loop, server } = setup(10, undefined, (nowMs) => nowMs + 5);
    loop.start(server);
    clock.runUntil(1000);
    loop.endWindow();
    expect(server.mostUnderWay).toBe(10);
    expect(loop.meter.operations).toBe(2000);
    expect(loop.meter.latencyMs.p50).toBeCloseTo(5, 1);
    expect(loop.meter.serviceMs).toBeUndefined();
  });

  test("hides a stall: one slow answer for each slot is all that it sees", () => {
    const { clock, loop, server } = setup(1, undefined, stalling);
    loop.start(server);
    clock.runUntil(4000);
    loop.endWindow();
    expect(loop.meter.latencyMs.p99).toBeLessThan(2);
    expect(loop.meter.longestPause.ms).toBeCloseTo(1001, 0);
    expect(loop.meter.longestPause.atMs).toBeCloseTo(1000, 0);
  });

  test("what was sent inside the window counts with its latency although the answer comes behind it", async () => {
    const { clock, loop, server } = setup(4, undefined, (nowMs) => nowMs + 300);
    loop.start(server);
    clock.runUntil(100);
    loop.endWindow();
    const drained = loop.drain();
    clock.runUntil(400);
    await drained;
    expect(loop.meter.operations).toBe(0);
    expect(loop.meter.latencyMs.p50).toBeCloseTo(300, 0);
    expect(server.begun).toBe(4);
  });

  test("forgets the warm-up", () => {
    const { clock, loop, server } = setup(1, undefined, (nowMs) => nowMs + (nowMs < 1000 ? 100 : 1));
    loop.start(server);
    clock.runUntil(1000);
    loop.beginWindow();
    clock.runUntil(2000);
    loop.endWindow();
    expect(loop.meter.latencyMs.max).toBeLessThan(2);
    expect(loop.meter.elapsedMs(clock.nowMs())).toBe(1000);
  });

  test("counts errors by code, and rests after each", () => {
    const { clock, loop, server } = setup(1, undefined, (nowMs) => nowMs + 1);
    server.failing = { from: 10, code: "Busy", unknown: true };
    loop.start(server);
    clock.runUntil(1000);
    loop.endWindow();
    expect(loop.meter.operations).toBe(10);
    expect(loop.meter.errorCodes).toEqual(new Map([["Busy", loop.meter.errors]]));
    expect(loop.meter.unknown).toBe(loop.meter.errors);
    // One attempt in 11 ms.
    expect(loop.meter.errors).toBe(90);
  });
});

describe("an open load", () => {
  test("begins operations by the clock", () => {
    const { clock, loop, server } = setup(100, 500, (nowMs) => nowMs + 1);
    loop.start(server);
    clock.runUntil(10_000);
    expect(loop.endWindow()).toBe(0);
    expect(server.begun).toBe(5001);
    expect(loop.meter.latencyMs.max).toBeCloseTo(1, 1);
  });

  test("counts latency from when an operation was due: a stall of a second shows in a quarter of four seconds", () => {
    const { clock, loop, server } = setup(1, 100, stalling);
    loop.start(server);
    clock.runUntil(4000);
    expect(loop.endWindow()).toBe(0);
    // 100 operations were due in the second without answers; they waited from 0 to 1000 ms, evenly.
    const { latencyMs, serviceMs } = loop.meter;
    expect(latencyMs.p50).toBeLessThan(20);
    expect(latencyMs.p90).toBeGreaterThan(500);
    expect(latencyMs.p99).toBeGreaterThan(900);
    expect(latencyMs.max).toBeCloseTo(1001, 0);
    // From sending alone, only the one that was under way was slow.
    expect(serviceMs!.p99).toBeLessThan(2);
    expect(serviceMs!.max).toBeCloseTo(1001, 0);
  });

  test("catches up after a stall with what was due, no more", () => {
    const { clock, loop, server } = setup(1, 100, stalling);
    loop.start(server);
    clock.runUntil(4000);
    expect(server.begun).toBe(401);
    expect(loop.unsent).toBe(0);
  });

  test("what was due and never sent counts with the age that it reached", () => {
    const { clock, loop, server } = setup(2, 100, (nowMs) => nowMs + 1_000_000);
    loop.start(server);
    clock.runUntil(1000);
    expect(loop.endWindow()).toBe(99);
    // Due 20, 30, … 1000 ms after the start, and it is 1000 now.
    expect(loop.meter.latencyMs.p50).toBeCloseTo(490, -1);
    expect(loop.meter.latencyMs.max).toBeCloseTo(980, 0);
    expect(loop.meter.operations).toBe(0);
  });

  test("never has more under way than it may", () => {
    const { clock, loop, server } = setup(7, 10_000, (nowMs) => nowMs + 20);
    loop.start(server);
    clock.runUntil(500);
    expect(server.mostUnderWay).toBe(7);
    expect(loop.unsent).toBeGreaterThan(4000);
  });
});

describe("the meter", () => {
  test("has a row for every second, also for those without an answer", () => {
    const { clock, loop, server } = setup(1, undefined, stalling);
    loop.start(server);
    clock.runUntil(4000);
    loop.endWindow();
    expect(loop.meter.seconds.map(({ operations }) => operations > 900)).toEqual([true, false, true, true]);
    expect(loop.meter.seconds[1]!.operations).toBe(1);
    expect(loop.meter.seconds[2]!.maxMs).toBeGreaterThan(990);
  });

  test("gives percentiles that never fall", () => {
    const { clock, loop, server } = setup(3, undefined, (nowMs) => nowMs + 1 + (nowMs % 7));
    loop.start(server);
    clock.runUntil(2000);
    loop.endWindow();
    const values = loop.meter.distribution.map(([, ms]) => ms);
    expect(values.length).toBeGreaterThan(30);
    expect(values).toEqual(values.toSorted((a, b) => a - b));
  });
});
