/** Where things are in the checkout. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the checkout, without a slash at the end. */
export const root = fileURLToPath(new URL("../..", import.meta.url)).replace(/[\\/]$/, "");

/** Survives the removal of node_modules; holds the package manager, the lock and the state of long test runs. */
export const cacheDirectory = join(root, ".cache");

/** Falls with node_modules, and so do the stamps in it: what they vouch for is then gone too. */
export const stampDirectory = join(root, "node_modules", ".cache", "flotilla");

export const cliMain = join(root, "packages", "cli", "dist", "flotilla.cjs");

/** @returns {string[]} paths, from the root, of the folders of all workspace packages */
export function packageFolders() {
  const folders = readdirSync(join(root, "packages"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => `packages/${entry.name}`);
  return ["packages", ...folders, "tools", "test", "bench", "examples"].filter((folder) =>
    existsSync(join(root, folder, "package.json")),
  );
}
