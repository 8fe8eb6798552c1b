/**
 * Programs that the build makes one file each of, with all that they lead to: most of the time of their start would else go
 * into finding and reading two hundred modules. Beside each lie the licenses of the libraries that are in it. Lines and
 * names stay what they are, so that stacks can be read.
 */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { root } from "./workspace.mjs";

/** Compiled files, from the root; the bundle of `X.js` is `X.cjs`. */
const programs = [
  // The verbs of the command that need a client only.
  "packages/cli/dist/quick-main.js",
  // A store's thread.
  "packages/server/dist/node/store-worker.js",
];

/** What none of them comes to: gRPC reads protobuf files for its channelz service only. */
const leftOut = new Set(["@grpc/proto-loader"]);
const leftOutId = "\0left-out";

/** msgpackr's entry for Node would load a native addon; published packages carry this one, too. */
const replaced = new Map([["msgpackr", join(root, "packages/client/node_modules/msgpackr/index.js")]]);

/** What a bundle finds beside it when it comes to it: a pool that starts threads from files of its own. */
const external = ["piscina"];

/** classic-level looks for its native code in its own folder. */
const nativeCode = "classic-level/binding.js";

export function areBundled() {
  return programs.every((program) => existsSync(bundleOf(program)));
}

export async function bundlePrograms() {
  // Loaded here: before the installation it is not there.
  const { rolldown } = await import(createRequire(join(root, "tools/package.json")).resolve("rolldown"));
  for (const program of programs) {
    const bundle = await rolldown({
      input: join(root, program),
      platform: "node",
      external,
      plugins: [{ name: "flotilla", resolveId, load }],
      onLog: fail,
    });
    const file = bundleOf(program);
    const { output: chunks } = await bundle.write({ file, format: "cjs", codeSplitting: false, comments: false });
    await bundle.close();
    writeFileSync(file.replace(/\.cjs$/, ".licenses.txt"), licenseTexts(basename(file), chunks[0].moduleIds));
  }
}

/** @param {string} program */
function bundleOf(program) {
  return join(root, program.replace(/\.js$/, ".cjs"));
}

/**
 * @param {string} id
 * @param {string | undefined} importer
 */
function resolveId(id, importer) {
  if (id === "./binding" && importer !== undefined && basename(dirname(importer)) === "classic-level") {
    return { id: nativeCode, external: true };
  }
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

/**
 * @param {string} bundle
 * @param {string[]} modules paths of what is in it
 */
function licenseTexts(bundle, modules) {
  const folders = new Set(modules.flatMap((path) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(path) ?? []));
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
    if (file === undefined) throw new Error(`${folder} has no license to carry along`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
  });
  return `${bundle} contains these libraries:\n\n${texts.join(`\n${"-".repeat(80)}\n\n`)}`;
}
