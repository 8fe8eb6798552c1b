/** Runs seeds against a build with a defect, in a process of its own, until one finds it. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { BrokenBuild } from "./build.ts";

export interface Hunt {
  readonly from: number;
  readonly seeds: number;
}

export interface Found {
  readonly seed: number;
  readonly claim: string;
}

interface Result {
  readonly seeds: number;
  readonly violations: readonly { readonly seed: number; readonly claim: string }[];
}

/** Undefined: none of the seeds found it. Rejects when the run itself fails. */
export async function hunt(root: string, build: BrokenBuild, { from, seeds }: Hunt): Promise<Found | undefined> {
  const preload = pathToFileURL(join(root, "tools/dist/sim-defects/replace-modules.js")).href;
  const main = join(root, "packages/simulator/dist/main.js");
  const args = ["--from", String(from), "--seeds", String(seeds), "--jobs", "1", "-o", "json"];
  if (build.defect.scenario !== "cluster") args.push(`--${build.defect.scenario}`);
  const env = { ...process.env, FLOTILLA_REPLACED_MODULES: JSON.stringify(build.modules) };
  const child = spawn(process.execPath, ["--import", preload, main, ...args], { cwd: root, env });
  const output: Buffer[] = [];
  const errors: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => errors.push(chunk));
  const exitCode = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  const text = Buffer.concat(output).toString("utf8");
  if ((exitCode !== 0 && exitCode !== 1) || text === "")
    throw new Error(`the simulator ended with ${exitCode}: ${Buffer.concat(errors).toString("utf8").slice(-2000)}`);
  const { violations } = JSON.parse(text) as Result;
  const first = violations[0];
  return first === undefined ? undefined : { seed: first.seed, claim: first.claim };
}
