/**
 * A defect on purpose, as a file `test/defects/ID.patch`: header lines, then a unified diff of sources.
 *
 *     Defect: A3 a leader commits entries of earlier terms by counting
 *     Scenario: group
 *     Seed: 12
 *
 * `Seed` is the first one, counted from 1, that finds the defect: so many seeds are needed. A line `Run: long` is of one
 * that only a good part of all seeds finds: `npm test` builds it, and does not run it.
 */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { parsePatch } from "./patch.ts";
import type { FilePatch } from "./patch.ts";

export const defectScenarios = ["cluster", "group", "elastic", "merge", "recovery"] as const;
export type DefectScenario = (typeof defectScenarios)[number];

export interface Defect {
  readonly id: string;
  /** Path of the patch. */
  readonly path: string;
  /** In words, the hazard's id in front where there is one. */
  readonly title: string;
  readonly scenario: DefectScenario;
  readonly seed: number;
  readonly long: boolean;
  readonly files: readonly FilePatch[];
}

export const defectsFolder = "test/defects";

export function parseDefect(id: string, path: string, text: string): Defect {
  const header = (name: string): string => {
    const value = new RegExp(`^${name}: (.+)$`, "m").exec(text)?.[1];
    if (value === undefined) throw new Error(`${path} has no line "${name}: …"`);
    return value;
  };
  const named = header("Scenario");
  const scenario = defectScenarios.find((known) => known === named);
  if (scenario === undefined) throw new Error(`${path}: no scenario is called ${named}`);
  const seed = Number(header("Seed"));
  if (!Number.isSafeInteger(seed) || seed < 1) throw new Error(`${path}: the seed is no number from 1`);
  const long = /^Run: long$/m.test(text);
  return { id, path, title: header("Defect"), scenario, seed, long, files: parsePatch(path, text) };
}

/** In the order of their names. */
export function readDefects(root: string): Defect[] {
  const names = readdirSync(join(root, defectsFolder)).filter((name) => name.endsWith(".patch"));
  return names.sort().map((name) => {
    const path = `${defectsFolder}/${name}`;
    return parseDefect(name.slice(0, -".patch".length), path, readFileSync(join(root, path), "utf8"));
  });
}
