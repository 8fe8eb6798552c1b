/**
 * Seeds that have found something. Format of the file: one line each, `SCENARIO SEED EXPLANATION` (seed-task.ts); empty lines
 * and those that begin with # are left out.
 */
import { readFileSync } from "node:fs";
import { scenarios } from "./seed-task.ts";
import type { SeedTask } from "./seed-task.ts";

export const keptSeedsFile: URL = new URL("../../kept-seeds.txt", import.meta.url);

export function parseKeptSeeds(text: string): SeedTask[] {
  const tasks: SeedTask[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name, seed] = /^(\w+) +(\d+) +\S.*$/.exec(line) ?? [];
    const scenario = scenarios.find((each) => each === name);
    if (scenario === undefined)
      throw new Error(`kept seeds, line ${at + 1} is not "${scenarios.join("|")} SEED EXPLANATION": ${line}`);
    tasks.push({ scenario, seed: Number(seed) });
  }
  return tasks;
}

export const readKeptSeeds = (): SeedTask[] => parseKeptSeeds(readFileSync(keptSeedsFile, "utf8"));
