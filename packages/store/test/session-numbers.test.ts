import { describe, expect, test } from "vitest";
import { SessionNumbers } from "../src/replica/session-numbers.ts";
import type { AppliedCommand } from "../src/replica/session-numbers.ts";

/** A small generator, so that each seed is one sequence. */
function randomOf(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * below);
  };
}

function expectAlike(numbers: SessionNumbers, model: ReadonlyMap<number, AppliedCommand>): void {
  const rising = [...model.keys()].sort((a, b) => a - b);
  expect(numbers.size).toBe(rising.length);
  for (const [i, number] of rising.entries()) {
    expect(numbers.at(i)).toBe(number);
    expect(numbers.find(number)).toBe(i);
    expect(numbers.get(number)).toEqual(model.get(number));
  }
}

describe("the numbers of one client", () => {
  test("behave as a map from number to outcome, in whatever order numbers come and go (20 seeds)", () => {
    for (let seed = 1; seed <= 20; seed++) {
      const below = randomOf(seed);
      const numbers = new SessionNumbers();
      const model = new Map<number, AppliedCommand>();
      let floor = 1;
      for (let step = 0; step < 300; step++) {
        // Mostly behind the highest, sometimes anywhere.
        const number = below(4) === 0 ? floor + below(200) : floor + model.size + below(8);
        const action = below(20);
        if (action < 13) {
          const command = {
            status: below(3),
            version: 2 ** 52 + step,
            existed: below(2) === 1,
            firstSent: 2 ** 51 + step,
          };
          numbers.set(number, command.status, command.version, command.existed, command.firstSent);
          model.set(number, command);
        } else if (action < 17) {
          numbers.delete(number);
          model.delete(number);
        } else if (action < 19) {
          floor += below(40);
          numbers.dropAppliedBelow(floor);
          for (const [each, { status }] of model) if (each < floor && status !== 0) model.delete(each);
        } else {
          numbers.retain((i) => numbers.statusAt(i) !== 0);
          for (const [each, { status }] of model) if (status === 0) model.delete(each);
        }
        if (step % 60 === 0) expectAlike(numbers, model);
      }
      expectAlike(numbers, model);
    }
  });

  test("tell apart what is there from what never was, at both ends and between", () => {
    const numbers = new SessionNumbers();
    expect(numbers.has(1)).toBe(false);
    for (const number of [10, 30, 20]) numbers.set(number, 1, number, false, number);
    for (const number of [9, 15, 25, 31]) expect(numbers.find(number)).toBe(-1);
    expect(() => numbers.at(3)).toThrow("number 3 of 3");
  });

  test("a flood of numbers that is settled leaves room for what comes, one behind the other", () => {
    const numbers = new SessionNumbers();
    for (let number = 1; number <= 50_000; number++) {
      numbers.set(number, 1, number, false, number);
      if (number % 1000 === 0) numbers.dropAppliedBelow(number - 10);
    }
    expect(numbers.size).toBe(11);
    expect([numbers.at(0), numbers.at(10)]).toEqual([49_990, 50_000]);
  });
});
