/** `node tools/bootstrap.mjs VERB [ARGS]`, one verb for each script in package.json. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { commands, linkCommands } from "./commands.mjs";
import { ensureBuilt, ensureInstalled } from "./ensure.mjs";
import { runPnpm } from "./install.mjs";
import { CommandFailed, runOrFail } from "./run-command.mjs";
import { cliMain, root } from "./workspace.mjs";

/** @type {Record<string, (args: string[]) => Promise<void>>} */
const verbs = {
  install: afterInstall,
  build: ensureBuilt,
  start: (args) => buildAndBecome(cliMain, ["dev", ...args]),
  test: async (args) => {
    const { test } = await import("../test-run/test.mjs");
    process.exitCode = await test(args);
  },
  "test:long": async (args) => {
    const { testLong } = await import("../test-run/test-long.mjs");
    process.exitCode = await testLong(args);
  },
  lint: async () => {
    await ensureBuilt();
    const { lint } = await import("../test-run/lint.mjs");
    process.exitCode = await lint();
  },
  format: async () => {
    await ensureInstalled();
    await runOrFail("oxfmt", [process.execPath, commands.oxfmt, "--write", "."], { cwd: root });
  },
  sim: (args) => buildAndBecome(join(root, "packages/simulator/dist/main.js"), args),
  "sim:defects": (args) => buildAndBecome(join(root, "tools/dist/sim-defects/main.js"), args),
  "check-history": (args) => buildAndBecome(join(root, "packages/simulator/dist/check-history.js"), args),
  "raft-vectors": (args) => buildAndBecome(join(root, "tools/dist/raft-vectors/main.js"), args),
  pack: (args) => buildAndBecome(join(root, "tools/dist/pack/main.js"), args),
  pnpm: async (args) => {
    await runPnpm(args, "inherit");
    linkCommands();
  },
};

/** @param {string[]} args */
export async function main(args) {
  const [verb = "", ...rest] = args;
  try {
    const run = verbs[verb];
    if (run === undefined) throw new Error(`unknown verb "${verb}"; known: ${Object.keys(verbs).join(", ")}`);
    await run(rest);
  } catch (error) {
    console.error(error instanceof CommandFailed ? error.message : error);
    process.exitCode = error instanceof CommandFailed ? error.exitCode : 1;
  }
}

/**
 * The `prepare` script, which package managers run at the end of an installation. After pnpm there is little left to do.
 *
 * @param {string[]} args
 */
async function afterInstall(args) {
  const byPnpm = process.env["npm_config_user_agent"]?.startsWith("pnpm/") === true;
  if (byPnpm && args.includes("--after-package-manager")) linkCommands();
  else await ensureInstalled();
}

/**
 * Goes on as that program, in this process: signals and exit code are its own, and no second Node is started.
 *
 * @param {string} path
 * @param {string[]} args
 */
async function buildAndBecome(path, args) {
  await ensureBuilt();
  process.argv = [process.execPath, path, ...args];
  await import(pathToFileURL(path).href);
}
