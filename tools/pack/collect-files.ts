/**
 * The files of a published package: everything that its entries lead to, code and types, out of all packages of the
 * workspace, under one roof. Names of packages become relative paths; so it needs none of them, and the layout stays the
 * one of the workspace, which errors and profiles speak of:
 *
 *     dist/PACKAGE/…           the built files of packages/PACKAGE
 *     dist/vendor/LIBRARY/…    a library that is carried along, with its license
 *
 * A bundle (tools/bootstrap/bundle.mjs) is one file among the others, with the licenses of the libraries in it beside it.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, posix, relative } from "node:path";
import { isBuiltin } from "node:module";
import { rewriteSpecifiers } from "./module-specifiers.ts";
import type { ModuleSpecifier } from "./module-specifiers.ts";
import { publicTypes } from "./public-types.ts";
import { vendored } from "./published-packages.ts";
import type { PublishedPackage } from "./published-packages.ts";
import { beside, splitSpecifier } from "./workspace.ts";
import type { Kind, Workspace, WorkspacePackage } from "./workspace.ts";

export interface CollectedFiles {
  /** By path in the package. */
  readonly files: ReadonlyMap<string, string>;
  /** Libraries, with their versions. */
  readonly dependencies: ReadonlyMap<string, string>;
}

interface Library {
  readonly directory: string;
  readonly name: string;
}

export class FileCollector {
  readonly #workspace: Workspace;
  readonly #published: Pick<PublishedPackage, "mayContain" | "mayDeclare">;
  readonly #files = new Map<string, string>();
  readonly #dependencies = new Map<string, string>();
  readonly #libraries: Library[] = [];
  readonly #waiting: string[] = [];

  constructor(workspace: Workspace, published: Pick<PublishedPackage, "mayContain" | "mayDeclare">) {
    this.#workspace = workspace;
    this.#published = published;
  }

  /** Takes a built file and all that it leads to; the path in the package. */
  add(path: string): string {
    const target = this.#targetOf(path);
    if (!this.#files.has(target)) {
      this.#files.set(target, "");
      this.#waiting.push(path);
    }
    for (let next = this.#waiting.pop(); next !== undefined; next = this.#waiting.pop()) this.#take(next);
    return target;
  }

  get collected(): CollectedFiles {
    return { files: this.#files, dependencies: this.#dependencies };
  }

  #take(path: string): void {
    const target = this.#targetOf(path);
    const kind: Kind = isTypes(path) ? "types" : "code";
    const source = readFileSync(path, "utf8").replace(/\n?\/\/# sourceMappingURL=.*\s*$/, "\n");
    const shown = kind === "types" ? publicTypes(source) : source;
    // Of a bundle: what its libraries' licenses demand.
    const licenses = path.replace(/\.cjs$/, ".licenses.txt");
    if (licenses !== path && existsSync(licenses)) {
      this.#files.set(this.#targetOf(licenses), readFileSync(licenses, "utf8"));
    }
    this.#files.set(
      target,
      rewriteSpecifiers(path, shown, (specifier) => this.#follow(specifier, path, kind)),
    );
  }

  /** What stands in the place of the specifier. */
  #follow({ text, kind: found }: ModuleSpecifier, from: string, kind: Kind): string {
    const path = beside(from, found === "url" ? text : builtName(text, kind));
    // What is in the checkout and in no package is for the checkout; the code says so where it is missing.
    if (found === "url" && this.#workspace.ownerOf(path) === undefined) return text;
    if (text.startsWith(".")) return this.#lead(from, path);
    if (isBuiltin(text)) return text;
    const inWorkspace = this.#workspace.resolve(text, kind);
    if (inWorkspace !== undefined) return this.#lead(from, inWorkspace);
    return this.#library(text, from, kind);
  }

  #lead(from: string, to: string): string {
    if (!existsSync(to)) throw new Error(`${from} leads to ${to}, which does not exist`);
    const target = this.#targetOf(to);
    if (!this.#files.has(target)) {
      this.#files.set(target, "");
      this.#waiting.push(to);
    }
    const path = posix.relative(posix.dirname(this.#targetOf(from)), target);
    // Types are found beside the code.
    return (path.startsWith(".") ? path : `./${path}`).replace(/\.d\.ts$/, ".js");
  }

  #library(text: string, from: string, kind: Kind): string {
    const importer = this.#workspace.ownerOf(from);
    if (importer === undefined) throw new Error(`${from} is no file of the workspace and imports ${text}`);
    const { name, subpath } = splitSpecifier(text);
    const version = this.#workspace.versionOf(name, importer);
    const copy = vendored[name];
    if (copy === undefined) {
      this.#dependencies.set(name, version);
      return text;
    }
    if (subpath !== ".")
      throw new Error(`${from} imports ${text}; of a vendored library only its entry is carried along`);
    return this.#lead(from, join(this.#vendor(name, importer), kind === "code" ? copy.entry : copy.types));
  }

  #vendor(name: string, importer: WorkspacePackage): string {
    const directory = this.#workspace.directoryOf(name, importer);
    if (!this.#libraries.some((library) => library.name === name)) {
      this.#libraries.push({ name, directory });
      this.#files.set(`dist/vendor/${name}/LICENSE`, readFileSync(join(directory, "LICENSE"), "utf8"));
    }
    return directory;
  }

  #targetOf(path: string): string {
    const library = this.#libraries.find(({ directory }) => path.startsWith(`${directory}/`));
    if (library !== undefined) return `dist/vendor/${library.name}/${relative(library.directory, path)}`;
    const owner = this.#workspace.ownerOf(path);
    if (owner === undefined) throw new Error(`${path} belongs to no package`);
    const { mayContain, mayDeclare } = this.#published;
    const isAllowed = mayContain.includes(owner.folder) || (isTypes(path) && mayDeclare.includes(owner.folder));
    if (!isAllowed) throw new Error(`${path} must not be in this package`);
    return `dist/${owner.folder}/${relative(join(owner.directory, "dist"), path)}`;
  }
}

const isTypes = (path: string): boolean => /\.d\.[cm]?ts$/.test(path);

/** Declarations name the sources that they were made from, code names code; beside both lies the built file. */
function builtName(text: string, kind: Kind): string {
  return kind === "code" ? text : text.replace(/(?:\.ts|\.js)$/, ".d.ts");
}
