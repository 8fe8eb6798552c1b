/** Prints each claim of the documents that the checkout does not bear out; exit code 1 when there is one. */
import { fileURLToPath } from "node:url";
import { checkDocs } from "./check-docs.ts";

const objections = checkDocs(fileURLToPath(new URL("../../..", import.meta.url)).replace(/[\\/]$/, ""));
for (const { path, line, message } of objections) console.error(`${path}:${line} ${message}`);
if (objections.length > 0) {
  console.error(`check-docs: ${objections.length} claims do not hold`);
  process.exitCode = 1;
}
