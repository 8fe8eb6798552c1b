import { expect, test, vi } from "vitest";
import { failed, passed, runStages } from "../test-run/stage.mjs";
import type { Stage } from "../test-run/stage.mjs";

interface Outcome {
  readonly exitCode: number;
  readonly lines: string[];
}

async function outcome(stages: Stage[]): Promise<Outcome> {
  const lines: string[] = [];
  const log = vi.spyOn(console, "log").mockImplementation((line: string) => void lines.push(line));
  try {
    return { exitCode: await runStages(stages), lines };
  } finally {
    log.mockRestore();
  }
}

function stage(name: string, run: Stage["run"], isBase = false): Stage {
  return { name, budgetSeconds: 60, isBase, run };
}

test("the last line is the counts of all stages, alone, and the exit code says whether any failed", async () => {
  const good = stage("good", () => Promise.resolve({ passed: 3, failed: 0, notes: [] }));
  const bad = stage("bad", () => Promise.resolve(failed("why")));
  expect(await outcome([good, good])).toMatchObject({ exitCode: 0 });
  const { exitCode, lines } = await outcome([good, bad, good]);
  expect(exitCode).toBe(1);
  expect(lines.at(-1)).toBe("6 passed, 1 failed");
});

test("a stage that throws has failed, and the others still run", async () => {
  const throws = stage("throws", () => Promise.reject(new Error("no disk")));
  vi.spyOn(console, "error").mockImplementationOnce(() => {});
  const { exitCode, lines } = await outcome([throws, stage("good", () => Promise.resolve(passed()))]);
  expect(exitCode).toBe(1);
  expect(lines.at(-1)).toBe("1 passed, 1 failed");
  expect(lines).toContain("    no disk");
});

test("without its base nothing runs: a failed build is not hidden behind a thousand failed tests", async () => {
  const run = vi.fn(() => Promise.resolve(passed()));
  const base = stage("base", () => Promise.resolve(failed("does not compile")), true);
  const { exitCode, lines } = await outcome([base, stage("later", run)]);
  expect(exitCode).toBe(1);
  expect(run).not.toHaveBeenCalled();
  expect(lines.at(-1)).toBe("0 passed, 1 failed");
});

test("a run in which nothing passed is no success", async () => {
  expect(await outcome([])).toMatchObject({ exitCode: 1 });
});
