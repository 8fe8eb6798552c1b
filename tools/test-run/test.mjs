/** `npm test`: everything, in the order in which a failure is cheapest to find. */
import { join } from "node:path";
import { ensureBuilt } from "../bootstrap/ensure.mjs";
import { commands } from "../bootstrap/commands.mjs";
import { runCommand } from "../bootstrap/run-command.mjs";
import { root } from "../bootstrap/workspace.mjs";
import { lintStage } from "./lint.mjs";
import { runDefects, runListedSeeds } from "./simulator.mjs";
import { failed, passed, runStages, sum } from "./stage.mjs";
import { runVitest } from "./vitest.mjs";

/** @type {import("./stage.mjs").Stage} */
export const buildStage = {
  name: "install and build",
  budgetSeconds: 45,
  isBase: true,
  run: async (timeoutMs) => {
    await ensureBuilt();
    const command = [process.execPath, commands.tsc, "-p", join(root, "tsconfig.test.json")];
    const { exitCode } = await runCommand(command, { cwd: root, timeoutMs });
    return sum([passed(), exitCode === 0 ? passed() : failed("failed: types of tests and tools")]);
  },
};

/** @type {import("./stage.mjs").Stage} */
const unitStage = {
  name: "unit and script tests",
  budgetSeconds: 60,
  run: (timeoutMs) => runVitest("vitest.config.ts", { timeoutMs }),
};

/** @type {import("./stage.mjs").Stage} */
const simulatorStage = {
  name: "simulator",
  budgetSeconds: 45,
  run: async (timeoutMs) => sum([await runListedSeeds("suite", timeoutMs), await runDefects(timeoutMs)]),
};

/** @type {import("./stage.mjs").Stage} */
const processStage = {
  name: "real processes",
  budgetSeconds: 150,
  run: (timeoutMs) => runVitest("vitest.cluster.config.ts", { timeoutMs }),
};

/**
 * @param {string[]} args
 * @returns {Promise<number>} exit code
 */
export async function test(args) {
  if (args.length > 0) {
    console.error("npm test takes no arguments; for some tests only: npx vitest run PART-OF-PATH");
    return 2;
  }
  return runStages([buildStage, lintStage, unitStage, simulatorStage, processStage]);
}
