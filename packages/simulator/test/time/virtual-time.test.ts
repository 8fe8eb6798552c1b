import { describe, expect, test } from "vitest";
import { Deadlock, NodeTime, SeededRandom, VirtualTime } from "@flotilla/simulator";

function setup(): { time: VirtualTime; node: NodeTime } {
  const time = new VirtualTime();
  return { time, node: new NodeTime("node-1", time, new SeededRandom(1)) };
}

describe("VirtualTime", () => {
  test("events run in the order of their instants, and of scheduling where those are equal", async () => {
    const { time } = setup();
    const order: string[] = [];
    const random = new SeededRandom(7);
    const expected: { at: number; name: string }[] = [];
    for (let i = 0; i < 500; i++) {
      const at = random.below(50);
      expected.push({ at, name: `${at}/${i}` });
      time.at(at, () => order.push(`${at}/${i}`));
    }
    await time.runUntil(100);
    expected.sort((a, b) => a.at - b.at);
    expect(order).toEqual(expected.map((event) => event.name));
    expect(time.nowMicros).toBe(100);
  });

  test("every promise that an event settles is followed up to its end before the next event", async () => {
    const { time } = setup();
    const log: string[] = [];
    const deep = async (name: string): Promise<void> => {
      for (let i = 0; i < 200; i++) await Promise.resolve();
      await new Promise<void>((resolve) => process.nextTick(resolve));
      for (let i = 0; i < 200; i++) await Promise.resolve();
      log.push(`${name} done`);
    };
    for (let i = 0; i < 300; i++) {
      time.at(5, () => {
        log.push(`${i} begins`);
        void deep(String(i));
      });
    }
    await time.runUntil(5);
    expect(log).toEqual(Array.from({ length: 300 }, (_, i) => [`${i} begins`, `${i} done`]).flat());
  });

  test("complete runs until the promise is settled and no further", async () => {
    const { time } = setup();
    let late = false;
    const promise = new Promise<string>((resolve) => time.at(10, () => resolve("value")));
    time.at(11, () => {
      late = true;
    });
    expect(await time.complete(promise)).toBe("value");
    expect(late).toBe(false);
    expect(time.nowMicros).toBe(10);
  });

  test("complete rejects when nothing is left that could settle the promise", async () => {
    const { time } = setup();
    await expect(time.complete(new Promise(() => undefined))).rejects.toThrow(Deadlock);
  });

  test("complete rejects with what the promise rejects with", async () => {
    const { time } = setup();
    const promise = new Promise((_, reject) => time.at(1, () => reject(new Error("this one"))));
    await expect(time.complete(promise)).rejects.toThrow("this one");
  });

  test("what an event throws ends the run", async () => {
    const { time } = setup();
    time.at(1, () => {
      throw new Error("broken");
    });
    await expect(time.runUntil(5)).rejects.toThrow("broken");
    await time.runUntil(5);
  });

  test("an event that schedules itself without delay is called a livelock", async () => {
    const { time } = setup();
    const again = (): void => {
      time.after(0, again);
    };
    again();
    await expect(time.runUntil(1)).rejects.toThrow("livelock");
  });

  test("afterEvent is called once after each event, with its promises followed up", async () => {
    const { time } = setup();
    const log: string[] = [];
    time.afterEvent = () => log.push("check");
    time.at(1, () => void Promise.resolve().then(() => log.push("one")));
    time.at(2, () => void Promise.resolve().then(() => log.push("two")));
    await time.runUntil(3);
    expect(log).toEqual(["one", "check", "two", "check"]);
  });

  test("the trace hash is equal for equal runs and differs with the order of events", async () => {
    const run = async (swap: boolean): Promise<string> => {
      const { time, node } = setup();
      node.scheduler.after(swap ? 3 : 1, () => undefined);
      node.scheduler.after(2, () => undefined);
      await time.runUntil(10_000);
      return time.trace.digest();
    };
    expect(await run(false)).toBe(await run(false));
    expect(await run(false)).not.toBe(await run(true));
  });
});

describe("NodeTime", () => {
  test("timers run at their time and not when cancelled", async () => {
    const { time, node } = setup();
    const at: number[] = [];
    node.scheduler.after(5, () => at.push(time.nowMicros));
    node.scheduler.after(3, () => at.push(time.nowMicros)).cancel();
    await time.runUntil(10_000);
    expect(at).toEqual([5000]);
  });

  test("a crash forgets timers, turns and deliveries, and a new life begins with none of them", async () => {
    const { time, node } = setup();
    const log: string[] = [];
    node.scheduler.after(5, () => log.push("timer"));
    node.scheduler.endOfTurn(() => log.push("turn"));
    node.deliver(7000, () => log.push("message"));
    node.crash();
    node.start();
    node.scheduler.after(6, () => log.push("new timer"));
    await time.runUntil(20_000);
    expect(log).toEqual(["new timer"]);
  });

  test("H12 a paused node gets everything afterwards, in order", async () => {
    const { time, node } = setup();
    const log: string[] = [];
    for (const ms of [1, 2, 3]) node.scheduler.after(ms, () => log.push(`${ms} at ${time.nowMicros}`));
    node.pause();
    await time.runUntil(2500);
    expect(log).toEqual([]);
    node.resume();
    await time.runUntil(10_000);
    expect(log).toEqual(["1 at 2500", "2 at 2500", "3 at 3000"]);
  });

  test("I2 a pause goes on the clocks, a suspended machine loses its monotonic time", async () => {
    const { time, node } = setup();
    const begin = [node.clock.monotonicMs(), node.clock.wallMs()] as const;
    node.pause();
    await time.runFor(1_000_000);
    node.resume();
    expect(node.clock.monotonicMs() - begin[0]).toBe(1000);
    node.pause(true);
    await time.runFor(1_000_000);
    node.resume();
    expect(node.clock.monotonicMs() - begin[0]).toBe(1000);
    expect(node.clock.wallMs() - begin[1]).toBe(2000);
  });

  test("a process that ended while its machine was suspended starts with a clock that runs", async () => {
    const { time, node } = setup();
    node.pause(true);
    node.crash();
    node.start();
    const begin = node.clock.monotonicMs();
    await time.runFor(1_000_000);
    expect(node.clock.monotonicMs() - begin).toBe(1000);
  });

  test("C10 a jump moves the wall clock alone", async () => {
    const { node } = setup();
    const begin = [node.clock.monotonicMs(), node.clock.wallMs()] as const;
    node.jumpWall(-600_000);
    expect(node.clock.monotonicMs()).toBe(begin[0]);
    expect(node.clock.wallMs()).toBe(begin[1] - 600_000);
  });

  test("C10 drift bends both clocks and the timers with them, also those that wait already", async () => {
    const { time, node } = setup();
    const begin = node.clock.monotonicMs();
    const at: number[] = [];
    node.scheduler.after(1000, () => at.push(time.nowMicros));
    node.drift(-0.5);
    await time.runUntil(4_000_000);
    expect(at).toEqual([2_000_000]);
    expect(node.clock.monotonicMs() - begin).toBe(2000);
  });

  test("a monotonic clock never goes back, whatever happens to it", async () => {
    const { time, node } = setup();
    const random = new SeededRandom(3);
    let last = node.clock.monotonicMs();
    for (let i = 0; i < 200; i++) {
      await time.runFor(random.below(10_000));
      const what = random.below(5);
      if (what === 0) node.drift((random.below(200) - 100) / 1000);
      if (what === 1) node.jumpWall(random.below(2000) - 1000);
      if (what === 2) node.pause(random.chance(0.5));
      if (what === 3) node.resume();
      const now = node.clock.monotonicMs();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });
});
