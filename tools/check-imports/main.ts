/** Prints each import that breaks a rule; exit code 1 when there is one. */
import { fileURLToPath } from "node:url";
import { checkImports } from "./check-imports.ts";

const violations = checkImports(fileURLToPath(new URL("../../..", import.meta.url)));
for (const { path, line, message } of violations) console.error(`${path}:${line} ${message}`);
if (violations.length > 0) {
  console.error(`check-imports: ${violations.length} imports break a rule`);
  process.exitCode = 1;
}
