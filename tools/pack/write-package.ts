/** Writes a published package's folder, and makes the tarball of it as npm would publish it. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { FileCollector } from "./collect-files.ts";
import type { CollectedFiles } from "./collect-files.ts";
import type { PublishedPackage } from "./published-packages.ts";
import { root } from "./workspace.ts";
import type { Workspace, WorkspacePackage } from "./workspace.ts";

export interface WrittenTarball {
  readonly name: string;
  readonly path: string;
  readonly files: number;
  readonly dependencies: number;
}

interface Entry {
  readonly types: string;
  readonly default: string;
}

export function writeTarball(published: PublishedPackage, workspace: Workspace, destination: string): WrittenTarball {
  const source = workspace.inFolder(published.folder);
  const collector = new FileCollector(workspace, published);
  const exported: Record<string, Entry> = {};
  for (const subpath of published.exports) {
    const entry = source.manifest.exports?.[subpath];
    if (entry === undefined) throw new Error(`${source.manifest.name} does not export ${subpath}`);
    exported[subpath] = {
      types: `./${collector.add(join(source.directory, entry.types))}`,
      default: `./${collector.add(join(source.directory, entry.default))}`,
    };
  }
  const bin: Record<string, string> = {};
  for (const [name, path] of Object.entries(source.manifest.bin ?? {})) {
    bin[name] = collector.add(join(source.directory, path));
  }
  const { collected } = collector;
  const manifest = publishedManifest(published, source, collected, exported, bin);
  const staging = mkdtempSync(join(tmpdir(), "flotilla-pack-"));
  try {
    writeFiles(staging, published, collected, manifest);
    for (const path of Object.values(bin)) chmodSync(join(staging, path), 0o755);
    const path = packFolder(staging, destination);
    return { name: source.manifest.name, path, files: collected.files.size, dependencies: collected.dependencies.size };
  } finally {
    rmSync(staging, { recursive: true });
  }
}

function publishedManifest(
  { description, keywords }: PublishedPackage,
  { manifest }: WorkspacePackage,
  { dependencies }: CollectedFiles,
  exported: Readonly<Record<string, Entry>>,
  bin: Readonly<Record<string, string>>,
): object {
  const { name, version, license, type, engines } = manifest;
  return {
    name,
    version,
    description,
    keywords,
    license,
    type,
    engines,
    exports: { ...exported, "./package.json": "./package.json" },
    ...(Object.keys(bin).length === 0 ? {} : { bin }),
    files: ["dist"],
    dependencies: Object.fromEntries([...dependencies].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}

function writeFiles(staging: string, { readme }: PublishedPackage, { files }: CollectedFiles, manifest: object): void {
  for (const [path, content] of files) {
    mkdirSync(dirname(join(staging, path)), { recursive: true });
    writeFileSync(join(staging, path), content);
  }
  writeFileSync(join(staging, "package.json"), JSON.stringify(manifest, null, 2) + "\n");
  copyFileSync(join(root, readme), join(staging, "README.md"));
  copyFileSync(join(root, "LICENSE"), join(staging, "LICENSE"));
}

/** The path of the tarball. */
function packFolder(folder: string, destination: string): string {
  mkdirSync(destination, { recursive: true });
  const args = ["pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", destination];
  const { status, stdout, stderr } = spawnSync("npm", args, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`npm pack ended with ${status}: ${stderr}`);
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return join(destination, filename);
}
