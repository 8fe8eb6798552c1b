/** The checks that read sources: linter, formatter, imports between packages, claims in the documents. */
import { join } from "node:path";
import { commands } from "../bootstrap/commands.mjs";
import { runCommand } from "../bootstrap/run-command.mjs";
import { root } from "../bootstrap/workspace.mjs";
import { failed, passed, printSummary, runStage, sum } from "./stage.mjs";

/** @type {[name: string, path: string, ...args: string[]][]} */
const checks = [
  ["oxlint", commands.oxlint, "--type-aware", "--deny-warnings"],
  ["oxfmt", commands.oxfmt, "--check", "."],
  ["check-imports", join(root, "tools/dist/check-imports/main.js")],
  ["check-docs", join(root, "tools/dist/check-docs/main.js")],
];

/** @type {import("./stage.mjs").Stage} */
export const lintStage = {
  name: "lint",
  budgetSeconds: 20,
  run: async (timeoutMs) => {
    const results = [];
    for (const [name, path, ...args] of checks) {
      const command = [process.execPath, path, ...args];
      const { exitCode } = await runCommand(command, { cwd: root, timeoutMs });
      results.push(exitCode === 0 ? passed() : failed(`failed: ${name}`));
    }
    return sum(results);
  },
};

/** @returns {Promise<number>} exit code */
export async function lint() {
  return printSummary([await runStage(lintStage)]);
}
