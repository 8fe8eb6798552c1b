/** Nothing in a seed depends on an engine's order, clock or rounding. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { nodeOf, supportedNodes } from "../packages/node-of.ts";
import { root, run } from "../packages/packed-project.ts";

const simulator = join(root, "packages", "simulator", "dist", "main.js");

function result(node: string, seeds: number, flags: readonly string[]): Record<string, unknown> {
  const { out } = run(node, [simulator, "--seeds", String(seeds), "-o", "json", ...flags], root);
  const { traceHash, operations, simulatedSeconds, faults, failedSeeds } = JSON.parse(out) as Record<string, unknown>;
  return { traceHash, operations, simulatedSeconds, faults, failedSeeds };
}

describe("I9 one seed is one run, on every Node that is supported", () => {
  test.each([
    ["a cluster", 6, []],
    ["a cluster whose ranges are split and moved", 2, ["--elastic"]],
    ["a group", 100, ["--group"]],
  ] as const)(
    "with %s",
    (_, seeds, flags) => {
      const results = supportedNodes.map((major) => {
        const node = nodeOf(major, tmpdir());
        expect(run(node, ["--version"], root).out).toMatch(new RegExp(`^v${major}\\.`));
        return result(node, seeds, flags);
      });
      expect(results[0]).toMatchObject({ failedSeeds: [] });
      expect(results[0]!["traceHash"]).toMatch(/^[0-9a-f]{16}$/);
      for (const each of results) expect(each).toEqual(results[0]);
    },
    600_000,
  );
});
