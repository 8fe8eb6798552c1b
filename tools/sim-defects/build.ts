/**
 * Builds the sources with defects, all in one run of the compiler: of the packages that a patch touches a copy is made and
 * changed, and what the changed files compile to takes their place when seeds run (replace-modules.ts). A copy takes several
 * defects as long as they change different files: the compiler sees each file of a package a few times then, and not once for
 * each defect. Only where such a copy does not build, each of its defects gets one of its own, which says whose fault it is.
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

/** A defect as changed files: path from the root → content. */
interface Applied {
  readonly defect: Defect;
  readonly files: ReadonlyMap<string, string>;
}

/** Defects that share a copy of the sources. */
interface Copy {
  readonly name: string;
  readonly applied: Applied[];
}

function apply(root: string, defect: Defect): Applied {
  const files = new Map<string, string>();
  for (const patch of defect.files) {
    const file = locate(root, patch.file);
    files.set(file, applyPatch(patch, files.get(file) ?? readFileSync(join(root, file), "utf8")));
  }
  return { defect, files };
}

function share(applied: readonly Applied[]): Copy[] {
  const copies: Copy[] = [];
  for (const each of applied) {
    const has = ({ applied: others }: Copy): boolean =>
      others.some(({ files }) => [...files.keys()].some((file) => each.files.has(file)));
    const free = copies.find((copy) => !has(copy));
    if (free !== undefined) free.applied.push(each);
    else copies.push({ name: `copy-${copies.length + 1}`, applied: [each] });
  }
  return copies;
}

function write(root: string, scratch: string, { name, applied }: Copy): void {
  const files = new Map(applied.flatMap((each) => [...each.files]));
  for (const folder of new Set([...files.keys()].map(packageOf))) {
    const copy = join(scratch, name, folder);
    mkdirSync(copy, { recursive: true });
    cpSync(join(root, folder, "src"), join(copy, "src"), { recursive: true });
    symlinkSync(join(root, folder, "node_modules"), join(copy, "node_modules"));
    writeFileSync(join(copy, "package.json"), readFileSync(join(root, folder, "package.json")));
  }
  for (const [file, content] of files) writeFileSync(join(scratch, name, file), content);
}

function builtOf(root: string, scratch: string, { name, applied }: Copy): BrokenBuild[] {
  return applied.map(({ defect, files }) => {
    const modules: Record<string, string> = {};
    for (const file of files.keys()) {
      const output = file.replace(/\.ts$/, ".js");
      modules[pathToFileURL(join(root, output.replace("/src/", "/dist/"))).href] = join(scratch, "out", name, output);
    }
    return { defect, modules };
  });
}

interface Compiled {
  readonly copy: Copy;
  /** Of the compiler, about this copy. */
  readonly errors: readonly string[];
}

function compileCopies(root: string, folder: string, copies: readonly Copy[]): Compiled[] {
  if (copies.length === 0) return [];
  const scratch = join(root, folder);
  mkdirSync(scratch, { recursive: true });
  for (const copy of copies) write(root, scratch, copy);
  const errors = compile(root, scratch);
  return copies.map((copy) => ({ copy, errors: errors.filter((line) => line.includes(`${folder}/${copy.name}/`)) }));
}

export function buildDefects(root: string, defects: readonly Defect[]): Builds {
  rmSync(join(root, scratchFolder), { recursive: true, force: true });
  const applied: Applied[] = [];
  const failed: BuildFailure[] = [];
  for (const defect of defects) {
    try {
      applied.push(apply(root, defect));
    } catch (error) {
      failed.push({ defect, why: `does not apply: ${error instanceof Error ? error.message : String(error)}` });
    }
  }
  const built: BrokenBuild[] = [];
  const together = `${scratchFolder}/together`;
  const alone: Copy[] = [];
  for (const { copy, errors } of compileCopies(root, together, share(applied))) {
    if (errors.length === 0) built.push(...builtOf(root, join(root, together), copy));
    else alone.push(...copy.applied.map((each) => ({ name: each.defect.id, applied: [each] })));
  }
  const apart = `${scratchFolder}/alone`;
  for (const { copy, errors } of compileCopies(root, apart, alone)) {
    const { defect } = copy.applied[0]!;
    if (errors.length === 0) built.push(...builtOf(root, join(root, apart), copy));
    else failed.push({ defect, why: `does not build: ${errors.join("\n")}` });
  }
  return { built, failed };
}

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
  const project = {
    extends: join(root, "tsconfig.base.json"),
    compilerOptions: options,
    include: ["*/packages/*/src"],
  };
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
