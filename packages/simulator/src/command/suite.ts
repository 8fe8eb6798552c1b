/**
 * The seeds that `npm test` runs: a few of each scenario, and those that have found something. In one process, as code that has
 * run for a while is several times as fast as code that has just been loaded.
 */
import { readKeptSeeds } from "./kept-seeds.ts";
import type { Scenario, SeedTask } from "./seed-task.ts";

/** From 1 on. */
const seedsOf: readonly (readonly [Scenario, number])[] = [
  ["merge", 2],
  ["cluster", 60],
  ["group", 30],
  ["placement", 8],
];

export const suite = (): SeedTask[] => [
  ...readKeptSeeds(),
  ...seedsOf.flatMap(([scenario, count]) => Array.from({ length: count }, (_, i) => ({ scenario, seed: i + 1 }))),
];
