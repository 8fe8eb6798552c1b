/** The packages of a checkout and the files that the check reads. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

export interface WorkspacePackage {
  /** The folder below `packages`, which is also the package's name in `layers.ts`. */
  readonly folder: string;
  /** The name by which others import it. */
  readonly name: string;
  /** The subpaths that others may import: "." and "./something". */
  readonly exported: ReadonlySet<string>;
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
}

interface Manifest {
  readonly name: string;
  readonly exports?: Record<string, unknown>;
  readonly dependencies?: Record<string, string>;
  readonly devDependencies?: Record<string, string>;
}

export function readPackages(root: string): WorkspacePackage[] {
  const folders = readdirSync(join(root, "packages"));
  return folders
    .filter((folder) => existsSync(join(root, "packages", folder, "package.json")))
    .map((folder) => readPackage(root, folder));
}

function readPackage(root: string, folder: string): WorkspacePackage {
  const path = join(root, "packages", folder, "package.json");
  const manifest = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  return {
    folder,
    name: manifest.name,
    exported: new Set(Object.keys(manifest.exports ?? {})),
    dependencies: new Set(Object.keys(manifest.dependencies ?? {})),
    devDependencies: new Set(Object.keys(manifest.devDependencies ?? {})),
  };
}

/** Paths of all TypeScript files below a directory, from that directory, with `/`. */
export function typeScriptFiles(directory: string): string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.c?ts$/.test(entry.name))
    .map((entry) =>
      join(entry.parentPath, entry.name)
        .slice(directory.length + 1)
        .replaceAll("\\", "/"),
    )
    .filter((path) => !path.includes("node_modules/"))
    .sort();
}
