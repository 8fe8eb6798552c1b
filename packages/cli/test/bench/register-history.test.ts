import { describe, expect, test } from "vitest";
import { RegisterModel, checkHistory, parseRegisterHistory } from "@flotilla/simulator";
import { foreignValue, noValue, RegisterHistory } from "../../src/bench/register-history.ts";

const never = new AbortController().signal;

/** A register that is what it should be: `rounds` writes and reads of each key, one after the other. */
function record(history: RegisterHistory, keys: number, rounds: number): void {
  let clock = 0;
  for (let round = 0; round < rounds; round++) {
    for (let key = 0; key < keys; key++) {
      const value = history.newValue();
      history.record(key, "write", value, noValue, clock, clock + 2, "ok");
      history.record(key, "read", value, noValue, clock + 3, clock + 4, "ok");
      clock += 5;
    }
  }
}

describe("a recorded history", () => {
  test("of a register passes, over several blocks and portions", async () => {
    const history = new RegisterHistory(50, 1_000_000);
    record(history, 50, 1500);
    const checked = await history.check(never);
    expect(checked).toMatchObject({ verdict: "pass", operations: 150_000, keys: 50, complete: true, failures: [] });
  });

  test("in which a read brings what was overwritten fails, and names the key", async () => {
    const history = new RegisterHistory(3, 1000);
    record(history, 3, 2);
    const old = history.newValue();
    history.record(1, "write", old, noValue, 100, 101, "ok");
    history.record(1, "write", history.newValue(), noValue, 102, 103, "ok");
    history.record(1, "read", old, noValue, 104, 105, "ok");
    const checked = await history.check(never);
    expect(checked.verdict).toBe("fail");
    expect(checked.failures.map(({ key }) => key)).toEqual([1]);
    expect(checked.failures[0]!.operations.length).toBeGreaterThan(0);
  });

  test.each([
    ["nothing although a write was acknowledged", noValue],
    ["what nobody has written", foreignValue],
  ])("in which a read brings %s fails", async (_what, read) => {
    const history = new RegisterHistory(1, 1000);
    history.record(0, "write", history.newValue(), noValue, 0, 1, "ok");
    history.record(0, "read", read, noValue, 2, 3, "ok");
    expect((await history.check(never)).verdict).toBe("fail");
  });

  test("lets a write of unknown outcome take effect late or never, but not without a reader's word", async () => {
    const history = new RegisterHistory(1, 1000);
    const [first, lost] = [history.newValue(), history.newValue()];
    history.record(0, "write", first, noValue, 0, 1, "ok");
    history.record(0, "write", lost, noValue, 2, 3, "unknown");
    history.record(0, "read", first, noValue, 4, 5, "ok");
    history.record(0, "read", lost, noValue, 6, 7, "ok");
    expect((await history.check(never)).verdict).toBe("pass");
    history.record(0, "read", first, noValue, 8, 9, "ok");
    expect((await history.check(never)).verdict).toBe("fail");
  });

  test("of compare-and-sets fails when two of them found the same value", async () => {
    const history = new RegisterHistory(1, 1000);
    const start = history.newValue();
    history.record(0, "write", start, noValue, 0, 1, "ok");
    history.record(0, "compare-and-set", history.newValue(), start, 2, 3, "ok");
    history.record(0, "compare-and-set", history.newValue(), start, 4, 5, "mismatch");
    expect((await history.check(never)).verdict).toBe("pass");
    history.record(0, "compare-and-set", history.newValue(), start, 6, 7, "ok");
    expect((await history.check(never)).verdict).toBe("fail");
  });

  test("that is full ends at an instant: what was under way then counts as unanswered, later things not at all", async () => {
    const history = new RegisterHistory(1, 2);
    const [first, second, underWay, later] = [1, 2, 3, 4].map(() => history.newValue()) as [
      number,
      number,
      number,
      number,
    ];
    history.record(0, "write", first, noValue, 0, 1, "ok");
    // Full with a read of a write whose own end comes later.
    history.record(0, "read", underWay, noValue, 5, 6, "ok");
    history.record(0, "write", underWay, noValue, 4, 9, "ok");
    history.record(0, "write", later, noValue, 7, 10, "ok");
    history.record(0, "read", second, noValue, 3, 11, "ok");
    const checked = await history.check(never);
    expect(checked).toMatchObject({ verdict: "pass", operations: 3, complete: false });
  });

  test("written as lines is what check-history reads, with the same verdict", () => {
    const history = new RegisterHistory(2, 1000);
    record(history, 2, 3);
    history.record(0, "compare-and-set", history.newValue(), noValue, 50, 51, "mismatch");
    history.record(1, "write", history.newValue(), noValue, 50, 51, "unknown");
    const operations = parseRegisterHistory([...history.lines()].join(""));
    expect(operations.length).toBe(14);
    expect(operations.at(-1)!.return).toBe(Infinity);
    expect(checkHistory(operations, () => new RegisterModel()).verdict).toBe("pass");
  });

  test("is not checked to its end when the user interrupts", async () => {
    const history = new RegisterHistory(1, 1000);
    record(history, 1, 2);
    await expect(history.check(AbortSignal.abort(new Error("interrupted")))).rejects.toThrow("interrupted");
  });
});
