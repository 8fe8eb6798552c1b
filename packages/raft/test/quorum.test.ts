import { describe, expect, it } from "vitest";
import fc from "fast-check";
import { integerMax } from "@flotilla/base";
import type { LogIndex, ReplicaId } from "@flotilla/base";
import { committedIndex, majority, majorityValue, voteResult } from "@flotilla/raft";
import { configurationOf, at, id } from "./support/replica.ts";

const fixed = { seed: 20_26, numRuns: 300 };

const voters = fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { maxLength: 7 });
const matches = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 0, max: 9 })), {
    selector: ([member]) => member,
  })
  .map((pairs) => new Map<ReplicaId, LogIndex>(pairs.map(([member, index]) => [id(member), at(index)])));
const answers = fc
  .uniqueArray(fc.tuple(fc.integer({ min: 1, max: 7 }), fc.boolean()), { selector: ([member]) => member })
  .map((pairs) => new Map<ReplicaId, boolean>(pairs.map(([member, granted]) => [id(member), granted])));

/** By the words of the paper: the largest index for which a majority has at least that much. */
function committedByCounting(members: readonly number[], match: ReadonlyMap<ReplicaId, LogIndex>): number {
  if (members.length === 0) return integerMax;
  for (let index = 9; index > 0; index--) {
    if (members.filter((member) => (match.get(id(member)) ?? 0) >= index).length > members.length / 2) return index;
  }
  return 0;
}

describe("majorities", () => {
  it("a majority is more than half", () => {
    expect([1, 2, 3, 4, 5, 6, 7].map(majority)).toEqual([1, 2, 2, 3, 3, 4, 4]);
  });

  it("what a majority has reached is what counting says", () => {
    fc.assert(
      fc.property(voters, matches, (members, match) => {
        expect(committedIndex(configurationOf(members), match)).toBe(committedByCounting(members, match));
      }),
      fixed,
    );
  });

  it("B5 in a joint configuration both majorities have reached it", () => {
    fc.assert(
      fc.property(voters, voters, matches, (incoming, outgoing, match) => {
        const both = committedIndex(configurationOf(incoming, { outgoing }), match);
        expect(both).toBe(Math.min(committedByCounting(incoming, match), committedByCounting(outgoing, match)));
      }),
      fixed,
    );
  });

  it("learners count for nothing", () => {
    fc.assert(
      fc.property(voters, voters, matches, (members, learners, match) => {
        expect(committedIndex(configurationOf(members, { learners }), match)).toBe(
          committedIndex(configurationOf(members), match),
        );
      }),
      fixed,
    );
  });

  it("two majorities of a configuration have a member in common, and so do those of neighbouring configurations", () => {
    fc.assert(
      fc.property(voters, fc.integer({ min: 1, max: 7 }), fc.nat(), fc.nat(), (members, other, a, b) => {
        fc.pre(members.length > 0);
        const neighbour = members.includes(other) ? members.filter((member) => member !== other) : [...members, other];
        const first = rotated(members, a).slice(0, majority(members.length));
        const second = rotated(neighbour, b).slice(0, majority(neighbour.length));
        fc.pre(neighbour.length > 0);
        expect(first.some((member) => second.includes(member))).toBe(true);
      }),
      fixed,
    );
  });

  const rotated = (members: readonly number[], by: number): number[] =>
    members.map((_, i) => members[(i + by) % members.length]!);

  it("sorting stays within the values that count", () => {
    const values = [5, 1, 9, 77, 78];
    expect(majorityValue(values, 3)).toBe(5);
    expect(values.slice(3)).toEqual([77, 78]);
  });
});

describe("votes", () => {
  const result = (members: readonly number[], votes: ReadonlyMap<ReplicaId, boolean>): "won" | "lost" | "pending" => {
    if (members.length === 0) return "won";
    const granted = members.filter((member) => votes.get(id(member)) === true).length;
    const refused = members.filter((member) => votes.get(id(member)) === false).length;
    if (granted > members.length / 2) return "won";
    return members.length - refused > members.length / 2 ? "pending" : "lost";
  };

  it("an election is won by a majority, lost when none can come together, else open", () => {
    fc.assert(
      fc.property(voters, answers, (members, votes) => {
        expect(voteResult(configurationOf(members), votes)).toBe(result(members, votes));
      }),
      fixed,
    );
  });

  it("B5 a joint election is won by both majorities and lost by either", () => {
    fc.assert(
      fc.property(voters, voters, answers, (incoming, outgoing, votes) => {
        const results = [result(incoming, votes), result(outgoing, votes)];
        const expected = results.includes("lost") ? "lost" : results.includes("pending") ? "pending" : "won";
        expect(voteResult(configurationOf(incoming, { outgoing }), votes)).toBe(expected);
      }),
      fixed,
    );
  });

  it("a result that is reached stays when the rest answers", () => {
    fc.assert(
      fc.property(voters, voters, answers, answers, (incoming, outgoing, first, rest) => {
        const configuration = configurationOf(incoming, { outgoing });
        const before = voteResult(configuration, first);
        fc.pre(before !== "pending");
        expect(voteResult(configuration, new Map([...rest, ...first]))).toBe(before);
      }),
      fixed,
    );
  });
});
