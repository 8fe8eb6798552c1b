/**
 * The verbs of the command that need a client only, as one file (`packages/cli/src/quick-main.ts`), and beside it the
 * licenses of the libraries that are in it. Lines and names stay what they are, so that stacks can be read.
 */
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { root } from "./workspace.mjs";

const output = join(root, "packages", "cli", "dist");

export const quickCommand = join(output, "quick-main.cjs");
const licenses = join(output, "quick-main.licenses.txt");

/** What the command never comes to: gRPC reads protobuf files for its channelz service only. */
const leftOut = new Set(["@grpc/proto-loader"]);
const leftOutId = "\0left-out";

/** msgpackr's entry for Node would load a native addon; published packages carry this one, too. */
const replaced = new Map([["msgpackr", join(root, "packages/client/node_modules/msgpackr/index.js")]]);

export async function bundleQuickCommand() {
  // Loaded here: before the installation it is not there.
  const { rolldown } = await import(createRequire(join(root, "tools/package.json")).resolve("rolldown"));
  const bundle = await rolldown({
    input: join(output, "quick-main.js"),
    platform: "node",
    plugins: [{ name: "flotilla", resolveId, load }],
    onLog: fail,
  });
  const { output: chunks } = await bundle.write({
    file: quickCommand,
    format: "cjs",
    codeSplitting: false,
    comments: false,
  });
  await bundle.close();
  writeFileSync(licenses, licenseTexts(chunks[0].moduleIds));
}

/** @param {string} id */
function resolveId(id) {
  return leftOut.has(id) ? leftOutId : replaced.get(id);
}

/** @param {string} id */
function load(id) {
  return id === leftOutId ? 'throw new Error("this module is not part of the bundle");' : undefined;
}

/**
 * Nothing is expected; a module that is not found, for one, is only a warning.
 *
 * @param {string} _level
 * @param {{ message: string }} log
 */
function fail(_level, log) {
  throw new Error(log.message);
}

/** @param {string[]} modules paths of what is in the bundle */
function licenseTexts(modules) {
  const folders = new Set(modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${folder} has no license to carry along`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `quick-main.cjs contains these libraries:\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
