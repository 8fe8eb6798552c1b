import { expect, test } from "vitest";
import { readDefects } from "../sim-defects/defect.ts";
import { defectArguments } from "../test-run/simulator.mjs";
import { root } from "../bootstrap/workspace.mjs";
import { parts } from "../test-run/test-long.mjs";

test("a long run has the seeds of every scenario, without a gap, the kept ones, and the defects", () => {
  const names = parts(250).map(({ name }) => name);
  for (const scenario of ["cluster", "elastic", "merge", "recovery", "placement"])
    expect(names.filter((name) => name.startsWith(`${scenario} seeds`))).toEqual(
      ["1-100", "101-200", "201-250"].map((seeds) => `${scenario} seeds ${seeds}`),
    );
  expect(names.filter((name) => name.startsWith("group seeds"))).toHaveLength(1);
  expect(names.filter((name) => name.startsWith("large placement seeds"))).toHaveLength(20);
  expect(names).toEqual(expect.arrayContaining(["kept seeds", "defects"]));
  expect(new Set(names).size).toBe(names.length);
});

test("a long run seeks the defects that a short one only builds, and there are some", () => {
  expect(defectArguments(true)).toContain("--long");
  expect(defectArguments(false)).not.toContain("--long");
  expect(readDefects(root).some(({ long }) => long)).toBe(true);
});
