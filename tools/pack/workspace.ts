/** The packages of the workspace as they are built: what their names lead to. */
import { readFileSync, readdirSync, existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root: string = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");

export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly type: string;
  readonly sideEffects?: boolean;
  readonly engines: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, { readonly types: string; readonly default: string }>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

export interface WorkspacePackage {
  readonly folder: string;
  readonly directory: string;
  readonly manifest: Manifest;
}

export type Kind = "code" | "types";

export class Workspace {
  readonly #byName = new Map<string, WorkspacePackage>();

  constructor() {
    for (const folder of readdirSync(join(root, "packages"))) {
      const directory = join(root, "packages", folder);
      if (!existsSync(join(directory, "package.json"))) continue;
      const manifest = readManifest(directory);
      this.#byName.set(manifest.name, { folder, directory, manifest });
    }
  }

  inFolder(folder: string): WorkspacePackage {
    const found = [...this.#byName.values()].find((each) => each.folder === folder);
    if (found === undefined) throw new Error(`there is no package packages/${folder}`);
    return found;
  }

  /** The built file behind a specifier like `@flotilla/transport/grpc`; undefined: no package of the workspace. */
  resolve(specifier: string, kind: Kind): string | undefined {
    const { name, subpath } = splitSpecifier(specifier);
    const target = this.#byName.get(name);
    if (target === undefined) return undefined;
    const entry = target.manifest.exports?.[subpath];
    if (entry === undefined) throw new Error(`${name} does not export ${subpath}`);
    return join(target.directory, kind === "code" ? entry.default : entry.types);
  }

  /** The exact version of a library, as the package that imports it pins it. */
  versionOf(library: string, importer: WorkspacePackage): string {
    const version = importer.manifest.dependencies?.[library];
    if (version === undefined) throw new Error(`${importer.folder} imports ${library} and does not depend on it`);
    return version;
  }

  /** Where a library is installed for a package. */
  directoryOf(library: string, importer: WorkspacePackage): string {
    return realpathSync(join(importer.directory, "node_modules", library));
  }

  /** The package that a built file belongs to. */
  ownerOf(path: string): WorkspacePackage | undefined {
    return [...this.#byName.values()].find(({ directory }) => path.startsWith(`${directory}/`));
  }
}

export function splitSpecifier(specifier: string): { name: string; subpath: string } {
  const parts = specifier.split("/");
  const length = specifier.startsWith("@") ? 2 : 1;
  const rest = parts.slice(length).join("/");
  return { name: parts.slice(0, length).join("/"), subpath: rest === "" ? "." : `./${rest}` };
}

function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, "package.json"), "utf8")) as Manifest;
}

/** A file beside which others are looked for. */
export const beside = (path: string, relative: string): string => join(dirname(path), relative);
