/**
 * The commands that `npx` finds in the root: `flotilla` and the tools of development. pnpm makes such links for a
 * project's own dependencies only, and the root has none.
 */
import { chmodSync, existsSync, mkdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { join, relative } from "node:path";
import { cliMain, root } from "./workspace.mjs";

const binDirectory = join(root, "node_modules", ".bin");

/** Scripts for Node, which need no shell. */
export const commands = {
  flotilla: cliMain,
  oxfmt: join(root, "tools/node_modules/oxfmt/bin/oxfmt"),
  oxlint: join(root, "tools/node_modules/oxlint/bin/oxlint"),
  tsgolint: join(root, "tools/node_modules/oxlint-tsgolint/bin/tsgolint.js"),
  tsc: join(root, "packages/node_modules/typescript/bin/tsc"),
  vitest: join(root, "packages/node_modules/vitest/vitest.mjs"),
};

/** True when each command that exists can be found. */
export function areCommandsLinked() {
  return Object.entries(commands).every(([name, target]) => isLinked(name, target) || !existsSync(target));
}

/** Those that are not there yet are left out. */
export function linkCommands() {
  mkdirSync(binDirectory, { recursive: true });
  for (const [name, target] of Object.entries(commands)) {
    if (!existsSync(target)) continue;
    if (target === cliMain) chmodSync(target, 0o755);
    if (isLinked(name, target)) continue;
    rmSync(join(binDirectory, name), { force: true });
    symlinkSync(relative(binDirectory, target), join(binDirectory, name));
  }
}

/**
 * @param {string} name
 * @param {string} target
 */
function isLinked(name, target) {
  try {
    return readlinkSync(join(binDirectory, name)) === relative(binDirectory, target);
  } catch {
    return false;
  }
}
