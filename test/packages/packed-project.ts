/** Projects outside the workspace that have the published packages installed, as a user's would. */
import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "");
export const typescript: string = join(root, "packages/node_modules/typescript/bin/tsc");
const packTool = join(root, "tools/dist/pack/main.js");

interface Manifest {
  readonly name: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

export interface CommandResult {
  readonly exitCode: number | null;
  readonly out: string;
  readonly errors: string;
}

/** What is made here goes with it. */
export class Workshop {
  readonly path: string = realpathSync(mkdtempSync(join(tmpdir(), "flotilla-packages-")));

  /** Packs what is built; the tarballs' paths by package. */
  pack(): { readonly client: string; readonly flotilla: string } {
    const destination = join(this.path, "tarballs");
    run(process.execPath, [packTool, destination], this.path);
    const find = (pattern: RegExp): string =>
      join(
        destination,
        readdirSync(destination).find((name) => pattern.test(name))!,
      );
    return { client: find(/^flotilla-client-\d/), flotilla: find(/^flotilla-\d/) };
  }

  project(name: string): PackedProject {
    return new PackedProject(join(this.path, name));
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 10, retryDelay: 20 });
  }
}

export class PackedProject {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    mkdirSync(path);
    this.write("package.json", JSON.stringify({ name: "project", private: true }));
  }

  write(name: string, content: string): string {
    const path = join(this.path, name);
    writeFileSync(path, content);
    return path;
  }

  /** From the registry, as a user does. */
  install(...tarballs: string[]): void {
    run("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", ...tarballs], this.path);
  }

  /** Without a network: the tarball itself, and beside it the libraries that it names, as the workspace has them. */
  unpack(tarball: string): Manifest {
    const temporary = mkdtempSync(join(this.path, "unpacked-"));
    run("tar", ["xzf", tarball, "-C", temporary], this.path);
    const manifest = JSON.parse(readFileSync(join(temporary, "package", "package.json"), "utf8")) as Manifest;
    const target = this.#inModules(manifest.name);
    run("mv", [join(temporary, "package"), target], this.path);
    rmSync(temporary, { recursive: true });
    for (const library of Object.keys(manifest.dependencies)) {
      if (!existsSync(this.#inModules(library))) symlinkSync(findLibrary(library), this.#inModules(library));
    }
    return manifest;
  }

  /** Every package below node_modules, as `name@version path`. */
  installed(): string[] {
    return run("npm", ["ls", "--all", "--parseable"], this.path).out.trim().split("\n").slice(1);
  }

  filesMatching(pattern: RegExp): string[] {
    const files = readdirSync(join(this.path, "node_modules"), { recursive: true, encoding: "utf8" });
    return files.filter((name) => pattern.test(name));
  }

  #inModules(name: string): string {
    const path = join(this.path, "node_modules", name);
    mkdirSync(dirname(path), { recursive: true });
    return path;
  }
}

function findLibrary(name: string): string {
  for (const folder of readdirSync(join(root, "packages"))) {
    const path = join(root, "packages", folder, "node_modules", name);
    if (existsSync(path)) return realpathSync(path);
  }
  throw new Error(`no package of the workspace has ${name}`);
}

/** Throws when the command does not end with 0. */
export function run(file: string, args: readonly string[], cwd: string): CommandResult {
  const result = tryRun(file, args, cwd);
  if (result.exitCode !== 0) {
    throw new Error(`${file} ${args.join(" ")} ended with ${result.exitCode}:\n${result.out}${result.errors}`);
  }
  return result;
}

export function tryRun(file: string, args: readonly string[], cwd: string): CommandResult {
  // What the workspace's npm tells its scripts is not for this project.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_(?!config_)|NODE_OPTIONS$|VITEST)/i.test(name)),
  );
  const { status, stdout, stderr } = spawnSync(file, args, { cwd, env, encoding: "utf8", timeout: 120_000 });
  return { exitCode: status, out: stdout, errors: stderr };
}

/** A module's text as a CommonJS script: imports become `require`, and the rest may wait for promises. */
export function asCommonJs(module: string): string {
  const imports: string[] = [];
  const rest = module.replace(/^import (\{[^}]*\}) from ("[^"]*");\n/gm, (_, names: string, from: string) => {
    imports.push(`const ${names.replace(/ as /g, ": ")} = require(${from});`);
    return "";
  });
  if (/^\s*import\b/m.test(rest)) throw new Error("only imports of names can be turned into require");
  return `${imports.join("\n")}\n(async () => {\n${rest}})();\n`;
}

/** Code blocks of a document, in one of these languages. */
export function codeBlocks(document: string, ...languages: string[]): string[] {
  const text = readFileSync(join(root, document), "utf8");
  const blocks = [...text.matchAll(/^```([^\n]+)\n(.*?)^```$/gms)];
  return blocks.filter(([, language]) => languages.includes(language!)).map(([, , code]) => code!);
}
