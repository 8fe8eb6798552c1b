import { realpathSync } from "node:fs";
import { run } from "./packed-project.ts";

/** Every major version that the packages support. */
export const supportedNodes = [20, 22, 24] as const;

/** The path of a Node of that major version; npm fetches it when it is not this one. */
export function nodeOf(major: number, cwd: string): string {
  if (process.version.startsWith(`v${major}.`)) return process.execPath;
  const script = "console.log(process.execPath)";
  const { out } = run("npx", ["--yes", "--package", `node@${major}`, "node", "--eval", script], cwd);
  return realpathSync(out.trim());
}
