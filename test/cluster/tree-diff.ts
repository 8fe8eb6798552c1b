/** Directories that went through a cluster, compared with what they were. */
import { spawnSync } from "node:child_process";
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

/** Of `import dir -o json`. */
export interface ImportReport {
  readonly skipped: number;
  readonly failed: number;
  readonly failures: readonly {
    readonly name: string;
    readonly code: string;
    readonly sizeBytes: number;
    readonly limitBytes: number;
  }[];
}

/** Everything below that is no directory with content, as paths from the root. */
export function leavesOf(root: string, path: string): string[] {
  if (!lstatSync(join(root, path)).isDirectory()) return [path];
  const names = readdirSync(join(root, path));
  if (names.length === 0) return [path];
  return names.flatMap((name) => leavesOf(root, join(path, name)));
}

/** Paths, sorted, that `diff -r --no-dereference` misses in `out`; it must find no other difference. */
export function missingIn(tree: string, out: string): string[] {
  const { stdout, stderr } = spawnSync("diff", ["-r", "--no-dereference", tree, out], {
    env: { LC_ALL: "C" },
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  expect(stderr).toBe("");
  const missing = stdout
    .split("\n")
    .filter((line) => line !== "")
    .flatMap((line) => {
      const only = /^Only in (.*?): (.*)$/.exec(line);
      if (only === null || !`${only[1]}/`.startsWith(`${tree}/`)) throw new Error(`diff says: ${line}`);
      // A directory of which nothing came out is named alone.
      return leavesOf(tree, join(only[1]!, only[2]!).slice(tree.length + 1));
    });
  return missing.sort();
}

export function linksIn(tree: string): string[] {
  return leavesOf(tree, "").filter((path) => lstatSync(join(tree, path)).isSymbolicLink());
}
