/** A directory of files for one test. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

/** Files by path, in a new directory that goes when the test ends. Returns the directory. */
export function scratchTree(files: Readonly<Record<string, string>>): string {
  const root = mkdtempSync(join(tmpdir(), "flotilla-tools-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}
