/** One script, case by case, against the code. */
import { parseScript } from "./script.ts";
import type { Case } from "./script.ts";

export interface ScriptRun {
  /** The answer to a command; undefined: there is no such verb. */
  answer(one: Case): string[] | undefined;
  /** What of an answer has a meaning, in one spelling; applied to the expected and the actual one. */
  normalize(lines: readonly string[]): string[];
}

export interface Difference {
  readonly case: Case;
  readonly actual: readonly string[];
}

export interface Outcome {
  readonly cases: number;
  readonly differences: readonly Difference[];
  /** The script with the actual answers in place of the expected ones. */
  readonly rewritten: string;
}

export function runScript(text: string, run: ScriptRun): Outcome {
  const cases = parseScript(text);
  const differences: Difference[] = [];
  const lines = text.split("\n");
  const edits: { from: number; to: number; actual: readonly string[] }[] = [];
  for (const one of cases) {
    const actual = answerOf(one, run);
    const same = run.normalize(actual).join("\n") === run.normalize(one.expected).join("\n");
    if (!same) differences.push({ case: one, actual });
    edits.push({ from: one.from, to: one.to, actual });
  }
  for (const { from, to, actual } of edits.reverse()) lines.splice(from, to - from, ...actual);
  return { cases: cases.length, differences, rewritten: lines.join("\n") };
}

function answerOf(one: Case, run: ScriptRun): string[] {
  try {
    return run.answer(one) ?? [`unknown verb: ${one.verb}`];
  } catch (error) {
    return [`failed: ${error instanceof Error ? error.message : String(error)}`];
  }
}
