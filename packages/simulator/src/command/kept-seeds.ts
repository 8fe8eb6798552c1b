/**
 * Seeds that have found something. Format of the file: one line each, `cluster SEED EXPLANATION` or `group SEED EXPLANATION`;
 * empty lines and those that begin with # are left out.
 */
import { readFileSync } from "node:fs";
import type { SeedTask } from "./seed-task.ts";

export const keptSeedsFile: URL = new URL("../../kept-seeds.txt", import.meta.url);

export function parseKeptSeeds(text: string): SeedTask[] {
  const tasks: SeedTask[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, scenario, seed] = /^(cluster|group) +(\d+) +\S.*$/.exec(line) ?? [];
    if (seed === undefined)
      throw new Error(`kept seeds, line ${at + 1} is not "cluster|group SEED EXPLANATION": ${line}`);
    tasks.push({ scenario: scenario === "group" ? "group" : "cluster", seed: Number(seed) });
  }
  return tasks;
}

export const readKeptSeeds = (): SeedTask[] => parseKeptSeeds(readFileSync(keptSeedsFile, "utf8"));
