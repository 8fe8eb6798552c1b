/**
 * `raft-vectors quorum|confchange|interaction [--rewrite] FILE...`: runs script files against `@flotilla/raft` and prints expected
 * and actual answer of every case that differs. Exit codes: 0 all as expected, 1 something differs, 2 wrong usage.
 * `--rewrite` writes the actual answers into the files instead.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { changeRun } from "./change-script.ts";
import { interactionRun } from "./interaction-script.ts";
import { quorumRun } from "./quorum-script.ts";
import { runScript } from "./script-run.ts";
import type { Difference, ScriptRun } from "./script-run.ts";

const kinds: Readonly<Record<string, () => ScriptRun>> = {
  quorum: quorumRun,
  confchange: changeRun,
  interaction: interactionRun,
};

function show(file: string, { case: one, actual }: Difference): void {
  console.log(`${file}:${one.line} ${one.verb}`);
  console.log("  expected:");
  for (const line of one.expected) console.log(`    ${line}`);
  console.log("  actual:");
  for (const line of actual) console.log(`    ${line}`);
}

function main(args: readonly string[]): number {
  const rewrite = args.includes("--rewrite");
  const [kind, ...files] = args.filter((arg) => arg !== "--rewrite");
  const start = kinds[kind ?? ""];
  if (start === undefined || files.length === 0) {
    console.error("usage: raft-vectors quorum|confchange|interaction [--rewrite] FILE...");
    return 2;
  }
  let cases = 0;
  let different = 0;
  for (const file of files) {
    const outcome = runScript(readFileSync(file, "utf8"), start());
    cases += outcome.cases;
    if (rewrite) {
      writeFileSync(file, outcome.rewritten);
      continue;
    }
    different += outcome.differences.length;
    for (const difference of outcome.differences) show(file, difference);
  }
  console.log(
    `raft-vectors ${kind}: ${cases} cases in ${files.length} files, ${rewrite ? "rewritten" : `${different} differ`}`,
  );
  return different === 0 ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  console.error(`raft-vectors: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 2;
}
