/** The rules of imports between packages, over a whole checkout. */
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, posix } from "node:path";
import { allowedImports, allowedInTests, purePackages, toolsInTests } from "./layers.ts";
import { sourceImports } from "./source-imports.ts";
import { readPackages, typeScriptFiles } from "./workspace-package.ts";
import type { WorkspacePackage } from "./workspace-package.ts";

export interface Violation {
  /** From the root. */
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

interface SourceFile {
  readonly package: WorkspacePackage;
  /** From the package's folder: `src/…` or `test/…`. */
  readonly path: string;
  readonly isTest: boolean;
}

export function checkImports(root: string): Violation[] {
  const packages = readPackages(root);
  const byName = new Map(packages.map((each) => [each.name, each]));
  const violations: Violation[] = [];
  for (const each of packages) {
    if (!allowedImports.has(each.folder)) {
      const message = `package ${each.folder} has no place in tools/check-imports/layers.ts`;
      violations.push({ path: `packages/${each.folder}/package.json`, line: 1, message });
      continue;
    }
    for (const area of ["src", "test"]) {
      for (const path of typeScriptFiles(join(root, "packages", each.folder, area))) {
        const file: SourceFile = { package: each, path: `${area}/${path}`, isTest: area === "test" };
        checkFile(root, file, byName, violations);
      }
    }
  }
  return violations;
}

function checkFile(
  root: string,
  file: SourceFile,
  byName: ReadonlyMap<string, WorkspacePackage>,
  violations: Violation[],
): void {
  const path = `packages/${file.package.folder}/${file.path}`;
  for (const { specifier, line } of sourceImports(path, readFileSync(join(root, path), "utf8"))) {
    const message = objection(file, specifier, byName);
    if (message !== undefined) violations.push({ path, line, message });
  }
}

/** Why the file may not import that, or undefined. */
function objection(
  file: SourceFile,
  specifier: string,
  byName: ReadonlyMap<string, WorkspacePackage>,
): string | undefined {
  if (specifier.startsWith(".")) return relativeObjection(file, specifier);
  const isBuiltin = specifier.startsWith("node:") || builtinModules.includes(specifier);
  if (isBuiltin) return builtinObjection(file, specifier);
  const { name, subpath } = splitSpecifier(specifier);
  const target = byName.get(name);
  return target === undefined ? foreignObjection(file, name) : packageObjection(file, target, subpath);
}

function relativeObjection(file: SourceFile, specifier: string): string | undefined {
  const target = posix.join(posix.dirname(file.path), specifier);
  if (target.startsWith("..")) return `"${specifier}" leaves the package; import the other one by its name`;
  if (!file.isTest && !target.startsWith("src/")) return `"${specifier}" leaves src`;
  if (isPure(file) && !isPureSource(file.package, target)) {
    return `"${specifier}" is a way to the world; code that is handed its interfaces must not import it`;
  }
  return undefined;
}

function builtinObjection(file: SourceFile, specifier: string): string | undefined {
  if (!specifier.startsWith("node:")) return `"${specifier}" is part of Node: write "node:${specifier}"`;
  return isPure(file) ? `"${specifier}": this code reaches the world only through the interfaces of base` : undefined;
}

function packageObjection(file: SourceFile, target: WorkspacePackage, subpath: string): string | undefined {
  const from = file.package;
  if (target === from) return selfObjection(file, target, subpath);
  const allowed = allowedImports.get(from.folder) ?? [];
  if (!allowed.includes(target.folder) && !(file.isTest && allowedInTests.includes(target.folder))) {
    return `${from.folder} may not import ${target.folder} (tools/check-imports/layers.ts)`;
  }
  if (!target.exported.has(subpath)) return `${target.name} does not export "${subpath}"`;
  return isDeclared(file, target.name) ? undefined : undeclared(file, target.name);
}

/** Tests may come in by the door that others use. */
function selfObjection(file: SourceFile, target: WorkspacePackage, subpath: string): string | undefined {
  if (!file.isTest) return "the package imports itself by its name; use a relative path";
  return target.exported.has(subpath) ? undefined : `${target.name} does not export "${subpath}"`;
}

function foreignObjection(file: SourceFile, name: string): string | undefined {
  if (isDeclared(file, name) || (file.isTest && toolsInTests.includes(name))) return undefined;
  return undeclared(file, name);
}

function isDeclared(file: SourceFile, name: string): boolean {
  return file.package.dependencies.has(name) || (file.isTest && file.package.devDependencies.has(name));
}

function undeclared(file: SourceFile, name: string): string {
  const field = file.isTest ? "dependencies or devDependencies" : "dependencies";
  return `${name} is not among the ${field} of packages/${file.package.folder}/package.json`;
}

function isPure(file: SourceFile): boolean {
  return !file.isTest && isPureSource(file.package, file.path);
}

function isPureSource(from: WorkspacePackage, path: string): boolean {
  const exceptions = purePackages.get(from.folder);
  if (exceptions === undefined || !path.startsWith("src/")) return false;
  return !exceptions.some((pattern) => pattern.test(path.slice("src/".length)));
}

function splitSpecifier(specifier: string): { name: string; subpath: string } {
  const parts = specifier.split("/");
  const length = specifier.startsWith("@") ? 2 : 1;
  const rest = parts.slice(length).join("/");
  return { name: parts.slice(0, length).join("/"), subpath: rest === "" ? "." : `./${rest}` };
}
