/**
 * Dependencies, by the pinned pnpm. pnpm itself comes through npm into `.cache/pnpm`, once.
 *
 * A plain `npm install` in the root finds no dependencies and no packages there, changes nothing, and then runs the root's
 * `prepare` script, which installs here: so `npm install` does what its name says. A node_modules that npm filled, as it
 * does for `npm install NAME`, is known by npm's lockfile inside and replaced.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { linkCommands } from "./commands.mjs";
import { hashContents, isStamped, removeStamp, writeStamp } from "./stamp.mjs";
import { CommandFailed, runOrFail } from "./run-command.mjs";
import { cacheDirectory, packageFolders, root } from "./workspace.mjs";

const nodeModules = join(root, "node_modules");
const pnpmPrefix = join(cacheDirectory, "pnpm");
const pnpmFolder = join(pnpmPrefix, "node_modules", "pnpm");

/** The hash of all that decides what node_modules holds. */
export function installHash() {
  const manifests = packageFolders().map((folder) => `${folder}/package.json`);
  const platform = `${process.platform} ${process.arch} node ${process.versions.modules}`;
  return hashContents(["package.json", "pnpm-workspace.yaml", "pnpm-lock.yaml", ...manifests], platform);
}

/** @param {string} hash of `installHash` */
export function isInstalled(hash) {
  return isStamped("install", hash) && !wasFilledByNpm() && packageFolders().every(hasModules);
}

/** @param {string} hash of `installHash` */
export async function install(hash) {
  console.error("installing dependencies");
  removeStamp("install");
  if (wasFilledByNpm() || !packageFolders().every(hasModules)) {
    // pnpm believes its own notes about node_modules; where they are wrong, a new start is the only safe repair.
    for (const folder of [".", ...packageFolders()]) {
      rmSync(join(root, folder, "node_modules"), { recursive: true, force: true });
    }
  }
  await runPnpm(["install", "--frozen-lockfile", "--trust-lockfile", "--ignore-scripts", "--reporter=append-only"]);
  linkCommands();
  writeStamp("install", hash);
}

/** An empty list is what npm leaves after it had nothing to do. */
function wasFilledByNpm() {
  try {
    const { packages } = JSON.parse(readFileSync(join(nodeModules, ".package-lock.json"), "utf8"));
    return Object.keys(packages).length > 0;
  } catch {
    return false;
  }
}

/** @param {string} folder */
function hasModules(folder) {
  if (existsSync(join(root, folder, "node_modules"))) return true;
  const manifest = JSON.parse(readFileSync(join(root, folder, "package.json"), "utf8"));
  return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).length === 0;
}

/**
 * @param {string[]} args
 * @param {"inherit" | "stderr"} [stdout]
 */
export async function runPnpm(args, stdout = "stderr") {
  const version = pinnedVersion();
  if (installedVersion() !== version) await fetchPnpm(version);
  // CI: pnpm asks nothing. NODE_ENV=production would leave out the compiler.
  const env = { ...process.env, ...networkSettings(), CI: "true", NODE_ENV: "development" };
  await runOrFail("pnpm", [process.execPath, join(pnpmFolder, "bin", "pnpm.mjs"), ...args], { cwd: root, env, stdout });
}

/**
 * How npm reaches its registry; npm tells its scripts in variables that pnpm does not read.
 *
 * @returns {NodeJS.ProcessEnv}
 */
function networkSettings() {
  /** @type {NodeJS.ProcessEnv} */
  const settings = {};
  for (const name of ["registry", "cafile", "strict_ssl", "proxy", "https_proxy", "noproxy"]) {
    const value = process.env[`npm_config_${name}`] ?? process.env[`NPM_CONFIG_${name.toUpperCase()}`];
    if (value !== undefined && value !== "") settings[`pnpm_config_${name}`] = value;
  }
  return settings;
}

function pinnedVersion() {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return String(packageManager).slice("pnpm@".length);
}

function installedVersion() {
  try {
    return JSON.parse(readFileSync(join(pnpmFolder, "package.json"), "utf8")).version;
  } catch {
    return undefined;
  }
}

/** @param {string} version */
async function fetchPnpm(version) {
  console.error(`fetching pnpm ${version}`);
  mkdirSync(cacheDirectory, { recursive: true });
  // Its install script would only put the binary in a shell's way; bin/pnpm.mjs finds it without.
  const quiet = ["--loglevel=error", "--no-audit", "--no-fund", "--no-update-notifier"];
  const where = ["--prefix", pnpmPrefix, "--no-save", "--no-package-lock", "--ignore-scripts", "--prefer-offline"];
  const command = [...npmCommand(), "install", `pnpm@${version}`, ...where, ...quiet];
  try {
    await runOrFail("npm", command, { cwd: cacheDirectory, stdout: "stderr" });
  } catch (error) {
    if (!(error instanceof CommandFailed)) throw error;
    const hint = "Is the npm registry reachable? `npm config get registry` names it.";
    throw new CommandFailed(`pnpm ${version} could not be fetched with npm. ${hint}`, 1);
  }
}

/** @returns {string[]} the npm that started this script, else the one on the path */
function npmCommand() {
  const running = process.env["npm_execpath"];
  return running !== undefined && /npm-cli\.c?js$/.test(running) ? [process.execPath, running] : ["npm"];
}
