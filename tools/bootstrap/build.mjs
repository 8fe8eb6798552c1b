/** Compiles everything that runs. */
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { areBundled, bundlePrograms } from "./bundle.mjs";
import { areCommandsLinked, commands, linkCommands } from "./commands.mjs";
import { runOrFail } from "./run-command.mjs";
import { hashTimes, isStamped, listFiles, removeStamp, writeStamp } from "./stamp.mjs";
import { cliMain, packageFolders, root } from "./workspace.mjs";

/** @param {string} installed hash of the installation: another compiler builds again */
export function buildHash(installed) {
  const folders = compiledFolders().map((folder) => (folder === "tools" ? folder : `${folder}/src`));
  const sources = listFiles(folders, (name) => /\.c?ts$/.test(name));
  const projects = compiledFolders().map((folder) => `${folder}/tsconfig.json`);
  const shared = ["tsconfig.json", "tsconfig.base.json", "tools/bootstrap/bundle.mjs"];
  return hashTimes([...shared, ...projects, ...sources], installed);
}

function compiledFolders() {
  return packageFolders().filter((folder) => existsSync(join(root, folder, "tsconfig.json")));
}

/** @param {string} hash of `buildHash` */
export function isBuilt(hash) {
  const hasOutput = /** @param {string} folder */ (folder) => existsSync(join(root, folder, "dist"));
  const isThere = existsSync(cliMain) && areBundled() && areCommandsLinked();
  return isStamped("build", hash) && isThere && compiledFolders().every(hasOutput);
}

/** @param {string} hash of `buildHash` */
export async function build(hash) {
  console.error("building");
  removeStamp("build");
  removeOrphans();
  await runOrFail("the compiler", [process.execPath, commands.tsc, "-b"], { cwd: root, stdout: "stderr" });
  await bundlePrograms();
  linkCommands();
  writeStamp("build", hash);
}

/** Output whose source is gone would still be found by imports: a build must not depend on what was built before. */
function removeOrphans() {
  for (const folder of compiledFolders()) {
    const sources = folder === "tools" ? folder : `${folder}/src`;
    removeOrphansBelow(`${folder}/dist`, sources);
  }
}

/**
 * @param {string} output
 * @param {string} sources
 */
function removeOrphansBelow(output, sources) {
  if (!existsSync(join(root, output))) return;
  for (const entry of readdirSync(join(root, output), { withFileTypes: true })) {
    const path = `${output}/${entry.name}`;
    if (entry.isDirectory()) {
      if (existsSync(join(root, sources, entry.name))) removeOrphansBelow(path, `${sources}/${entry.name}`);
      else rmSync(join(root, path), { recursive: true });
      continue;
    }
    const stem = /^(.+?)\.(?:d\.c?ts|c?js)(?:\.map)?$/.exec(entry.name)?.[1];
    if (stem === undefined) continue;
    const hasSource = [`${stem}.ts`, `${stem}.cts`].some((name) => existsSync(join(root, sources, name)));
    if (!hasSource) rmSync(join(root, path));
  }
}
