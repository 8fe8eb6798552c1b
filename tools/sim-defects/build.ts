/**
 * Builds the sources with each defect in turn, all in one run of the compiler: of the packages that a patch touches a copy
 * is made and changed, and what the changed files compile to takes their place when seeds run (replace-modules.ts).
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Defect } from "./defect.ts";
import { applyPatch } from "./patch.ts";

/** Below the root; nothing in it is kept. */
const scratchFolder = ".cache/defects";

export interface BrokenBuild {
  readonly defect: Defect;
  /** URL of a module of the build → file with what it is with the defect. */
  readonly modules: Readonly<Record<string, string>>;
}

export interface BuildFailure {
  readonly defect: Defect;
  readonly why: string;
}

export interface Builds {
  readonly built: readonly BrokenBuild[];
  readonly failed: readonly BuildFailure[];
}

const packageOf = (file: string): string => /^packages\/[^/]+/.exec(file)?.[0] ?? "";

/** The file, or the only one of its name in its package: sources move between folders. */
function locate(root: string, file: string): string {
  const folder = `${packageOf(file)}/src`;
  const all = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => `${folder}/${path}`);
  if (all.includes(file)) return file;
  const same = all.filter((path) => basename(path) === basename(file));
  if (same.length !== 1) throw new Error(`${file} does not exist, and ${same.length} others have its name`);
  return same[0]!;
}

function applyAll(root: string, scratch: string, defect: Defect): BrokenBuild {
  const modules: Record<string, string> = {};
  for (const folder of new Set(defect.files.map(({ file }) => packageOf(file)))) {
    const copy = join(scratch, defect.id, folder);
    mkdirSync(copy, { recursive: true });
    cpSync(join(root, folder, "src"), join(copy, "src"), { recursive: true });
    symlinkSync(join(root, folder, "node_modules"), join(copy, "node_modules"));
    writeFileSync(join(copy, "package.json"), readFileSync(join(root, folder, "package.json")));
  }
  for (const patch of defect.files) {
    const file = locate(root, patch.file);
    writeFileSync(join(scratch, defect.id, file), applyPatch(patch, readFileSync(join(root, file), "utf8")));
    const output = file.replace(/\.ts$/, ".js");
    const built = join(root, output.replace("/src/", "/dist/"));
    modules[pathToFileURL(built).href] = join(scratch, "out", defect.id, output);
  }
  return { defect, modules };
}

export function buildDefects(root: string, defects: readonly Defect[]): Builds {
  const scratch = join(root, scratchFolder);
  rmSync(scratch, { recursive: true, force: true });
  const applied: BrokenBuild[] = [];
  const failed: BuildFailure[] = [];
  for (const defect of defects) {
    try {
      applied.push(applyAll(root, scratch, defect));
    } catch (error) {
      failed.push({ defect, why: `does not apply: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
  const errors = compile(root, scratch);
  const built = applied.filter((build) => {
    const own = errors.filter((line) => line.includes(`${scratchFolder}/${build.defect.id}/`));
    if (own.length > 0) failed.push({ defect: build.defect, why: `does not build: ${own.join("\n")}` });
    return own.length === 0;
  });
  return { built, failed };
}

/** Lines of errors. */
function compile(root: string, scratch: string): string[] {
  const options = {
    rootDir: ".",
    outDir: "out",
    composite: false,
    incremental: false,
    declaration: false,
    declarationMap: false,
    isolatedDeclarations: false,
    sourceMap: false,
    types: ["node"],
    typeRoots: [join(root, "packages/node_modules/@types")],
  };
  const project = { extends: "../../tsconfig.base.json", compilerOptions: options, include: ["*/packages/*/src"] };
  mkdirSync(scratch, { recursive: true });
  writeFileSync(join(scratch, "tsconfig.json"), JSON.stringify(project));
  const compiler = join(root, "packages/node_modules/typescript/bin/tsc");
  const { stdout, stderr, status } = spawnSync(process.execPath, [compiler, "-p", scratch, "--pretty", "false"], {
    cwd: root,
    encoding: "utf8",
  });
  const lines = stdout.split("\n").filter((line) => line !== "");
  if (status !== 0 && lines.length === 0) throw new Error(`the compiler ended with ${String(status)}: ${stderr}`);
  return lines;
}
