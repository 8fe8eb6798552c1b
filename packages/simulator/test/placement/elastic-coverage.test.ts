import { expect, test } from "vitest";
import {
  changesMissed,
  changesSeedsMin,
  changesWanted,
  coverageLines,
  coverageOf,
  coverageSeedsMin,
  mergeCoverageLines,
  mergesWanted,
  recoveryCoverageLines,
  sleepCoverageLines,
} from "../../src/placement/elastic-coverage.ts";

const allLines = [...coverageLines, ...sleepCoverageLines, ...mergeCoverageLines, ...recoveryCoverageLines];

/** What enough seeds of all scenarios have brought about, each line and each kind once. */
function everything(): Record<string, number> {
  const lines = allLines.flatMap(({ kinds }) => kinds);
  const kinds = [
    ...lines.map((kind) => (kind.endsWith(":") ? `${kind} any` : kind)),
    ...changesWanted,
    ...mergesWanted,
  ];
  return Object.fromEntries(kinds.map((kind) => [kind, 1]));
}

const without = (counts: Readonly<Record<string, number>>, gone: readonly string[]): Record<string, number> =>
  Object.fromEntries(
    Object.entries(counts).filter(
      ([kind]) => !gone.some((each) => (each.endsWith(":") ? kind.startsWith(each) : kind === each)),
    ),
  );

test("a line sums up the kinds that it stands for, and no others", () => {
  const changes = { split: 3, "split: ordered": 2, "move: ordered": 4, "move: decided": 5, "move ends: failed": 6 };
  const coverage = coverageOf(changes, { elastic: 1, merging: 0, recovering: 0 });
  expect(coverage).toMatchObject({ split: 3, "move done": 9, "repair done": 0 });
  expect(Object.keys(coverage)).toEqual([...coverageLines, ...sleepCoverageLines].map(({ name }) => name));
  expect(coverageOf(changes, { elastic: 0, merging: 0, recovering: 0 })).toEqual({});
});

test("so many seeds that one line stays at nothing are a failure that names it; fewer are none", () => {
  const counts = everything();
  const enough = { elastic: coverageSeedsMin, merging: coverageSeedsMin, recovering: coverageSeedsMin };
  expect(changesMissed(counts, enough)).toEqual([]);
  for (const { name, kinds } of allLines) {
    // One order is in the line of all orders, too.
    expect(changesMissed(without(counts, kinds), enough)).toContain(name);
    expect(changesMissed(without(counts, kinds), { elastic: coverageSeedsMin - 1, merging: 0, recovering: 0 })).toEqual(
      [],
    );
  }
  expect(changesMissed(without(counts, ["merged"]), { elastic: coverageSeedsMin, merging: 0, recovering: 0 })).toEqual(
    [],
  );
});

test("many seeds reach every single kind of change", () => {
  const enough = { elastic: changesSeedsMin, merging: changesSeedsMin, recovering: 0 };
  expect(changesMissed(without(everything(), ["stopped behind: learner added"]), enough)).toEqual([
    "stopped behind: learner added",
  ]);
  expect(changesMissed(without(everything(), ["stalled with: merge"]), enough)).toEqual(["stalled with: merge"]);
});
