import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** New empty directories below one that goes at the end of the file. */
export function temporaryDirectories(): () => string {
  const root = mkdtempSync(join(tmpdir(), "flotilla-storage-"));
  let count = 0;
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  return () => join(root, String(++count));
}
